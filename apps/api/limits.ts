// How many requests a minute a caller may send, and how many failed sign-ins an address.
import type { RequestHandler, Response } from 'express'
import { rateLimit } from 'express-rate-limit'
import { hash } from 'node:crypto'
import { bearer } from './auth.ts'
import { Problem, sendProblem } from './problem.ts'

const WINDOW_MS = 60_000

const tooMany = (_request: unknown, response: Response): void =>
  sendProblem(
    response,
    new Problem(429, 'rate_limited', 'Too many requests. Slow down, and see the RateLimit headers.'),
  )

/** By key where there is one, so that one partner behind a shared address does not starve another. */
export function limiter(perMinute: number): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    // It would look for mistakes in these options anew with every request.
    validate: false,
    keyGenerator: (request) => {
      const secret = bearer(request)
      return secret === null ? (request.socket.remoteAddress ?? 'unknown') : hash('sha256', secret, 'base64')
    },
    handler: tooMany,
  })
}

/** Failed sign-ins, per address: made-up keys would each get a bucket of their own from the limiter by key. */
export function signInLimiter(perMinute: number): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: false,
    legacyHeaders: false,
    validate: false,
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_request, response) => response.statusCode !== 401,
    handler: tooMany,
  })
}
