// Every error leaves as application/problem+json (RFC 9457) with a stable code, and for input the fields that are
// wrong.
import type { ErrorRequestHandler, Response } from 'express'
import type { Logger } from 'pino'
import { z } from 'zod'

export interface FieldError {
  readonly path: string
  readonly message: string
}

export class Problem extends Error {
  override name = 'Problem'
  readonly status: number
  readonly code: string
  readonly errors: readonly FieldError[]

  constructor(status: number, code: string, detail: string, errors: readonly FieldError[] = []) {
    super(detail)
    this.status = status
    this.code = code
    this.errors = errors
  }
}

export const notFound = (what = 'resource'): Problem => new Problem(404, 'not_found', `There is no such ${what}.`)

/** What a refused action answers when it is waited for. Codes not listed are conflicts with how things stand. */
const STATUS_OF_REFUSAL: Record<string, number> = {
  forbidden: 403,
  account_closed: 403,
  payment_method_required: 402,
  invoice_past_due: 402,
  not_found: 404,
  unknown_product: 422,
  no_price: 422,
  site_conflict: 422,
  invalid_request: 400,
  internal_error: 500,
}

export function refusalProblem(error: { code: string; message: string; path?: string }): Problem {
  const errors = error.path === undefined ? [] : [{ path: error.path, message: error.message }]
  return new Problem(STATUS_OF_REFUSAL[error.code] ?? 409, error.code, error.message, errors)
}

/** One row per wrong field; an unknown field is named itself, not its parent. */
export function inputProblem(error: z.ZodError, where: 'body' | 'query' | 'path'): Problem {
  const errors = error.issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code !== 'unrecognized_keys') return [{ path: path.join('.') || where, message: issue.message }]
    return issue.keys.map((key) => ({ path: [...path, key].join('.'), message: 'is not known here' }))
  })
  return new Problem(
    400,
    'invalid_request',
    `The ${where} is not valid: ${errors[0]?.path} ${errors[0]?.message}`,
    errors,
  )
}

export function sendProblem(response: Response, problem: Problem): void {
  if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer')
  response
    .status(problem.status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: 'about:blank',
        title: TITLES[problem.status] ?? 'Error',
        status: problem.status,
        code: problem.code,
        detail: problem.message,
        ...(problem.errors.length > 0 && { errors: problem.errors }),
      }),
    )
}

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Turns whatever was thrown into a problem. Never a stack, never SQL: those go to the log, under the request's id. */
export function problemHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (response.headersSent) {
      // Cut short, and not ended, so that nobody takes a part for the whole. A caller who hung up is no failure.
      if ((error as { code?: string } | null)?.code !== 'ERR_STREAM_PREMATURE_CLOSE')
        log.error({ err: error, method: request.method, path: request.path.slice(0, PATH_MAX) }, 'answer cut short')
      response.destroy()
      return
    }
    const problem = asProblem(error)
    if (problem.status >= 500)
      log.error({ err: error, method: request.method, path: request.path.slice(0, PATH_MAX) }, 'request failed')
    sendProblem(response, problem)
  }
}

/** Enough of a path to know the route by. */
const PATH_MAX = 200

/** Errors of the body parser bear a type; of these the caller is told what is wrong. */
const PARSER_PROBLEMS: Record<string, [number, string, string]> = {
  'entity.parse.failed': [400, 'malformed_json', 'The body is not valid JSON.'],
  'entity.too.large': [413, 'body_too_large', 'The body is too large.'],
  'encoding.unsupported': [415, 'unsupported_encoding', 'The body is encoded in a way that is not understood.'],
  'charset.unsupported': [415, 'unsupported_charset', 'The body must be UTF-8.'],
  'request.size.invalid': [400, 'malformed_body', 'The body is shorter or longer than it says.'],
  'request.aborted': [400, 'malformed_body', 'The body ended early.'],
}

/** PostgreSQL telling that it cannot serve now: connection lost, shutting down, too many connections. */
const UNAVAILABLE = /^(08|57P|53|55P03)|^P1\d{3}$|^P20(24|28)$|^ECONN/

/** PostgreSQL's own code, which Prisma wraps. */
function sqlStateOf(error: unknown): unknown {
  const meta = (error as { meta?: { driverAdapterError?: { cause?: { originalCode?: unknown } } } } | null)?.meta
  return meta?.driverAdapterError?.cause?.originalCode
}

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const { type, code, status } = (error ?? {}) as { type?: string; code?: string; status?: number }
  const parser = type === undefined ? undefined : PARSER_PROBLEMS[type]
  if (parser) return new Problem(...parser)
  if (error instanceof URIError || status === 400)
    return new Problem(400, 'malformed_request', 'The request is malformed.')
  if ([code, sqlStateOf(error)].some((one) => typeof one === 'string' && UNAVAILABLE.test(one))) {
    return new Problem(503, 'unavailable', 'The service cannot answer now. Try again soon.')
  }
  return new Problem(500, 'internal_error', 'Something went wrong. It has been recorded.')
}
