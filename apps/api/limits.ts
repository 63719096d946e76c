// How many requests a minute a caller may send, and how many failed sign-ins an address.
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
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

export interface SignInLimiter {
  /** Before anything is asked of the database. */
  readonly refuse: RequestHandler
  /** After the routes: an answer of 401 counts. Whoever signs in costs nothing here. */
  readonly count: ErrorRequestHandler
}

const addressOf = (request: Request): string => ipKeyGenerator(request.socket.remoteAddress ?? 'unknown')

/** Failed sign-ins, per address: made-up keys would each get a bucket of their own from the limiter by key. */
export function signInLimiter(perMinute: number): SignInLimiter {
  let lastFailure = -Infinity
  const failures = rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: false,
    legacyHeaders: false,
    validate: false,
    keyGenerator: addressOf,
    handler: tooMany,
  })
  return {
    async refuse(request, response, next) {
      if (performance.now() - lastFailure > WINDOW_MS) return next()
      const known = await failures.getKey(addressOf(request))
      if ((known?.totalHits ?? 0) < perMinute) next()
      else tooMany(request, response)
    },
    count(error, request, response, next) {
      if (!(error instanceof Problem && error.status === 401)) return next(error)
      lastFailure = performance.now()
      void failures(request, response, () => next(error))
    },
  }
}
