// Every refusal the stand-in can utter, in the shape Stripe gives its errors.

export type ErrorBody = {
  type: 'api_error' | 'card_error' | 'idempotency_error' | 'invalid_request_error'
  message: string
  code?: string
  param?: string
  decline_code?: string
  advice_code?: string
  network_decline_code?: string
  doc_url?: string
  charge?: string
  payment_intent?: unknown
  payment_method?: unknown
  setup_intent?: unknown
}

/** An answer other than 2xx. A 402 keeps what the request did (a failed charge is a fact). */
export class ApiError extends Error {
  readonly status: number
  readonly body: ErrorBody
  readonly headers: Record<string, string>
  /** Whether the answer belongs to the idempotency key: not when execution never began. */
  readonly executed: boolean

  constructor(status: number, body: ErrorBody, more: { executed?: boolean; headers?: Record<string, string> } = {}) {
    super(body.message)
    this.status = status
    this.body = body.code === undefined ? body : { ...body, doc_url: documentation(body.code) }
    this.headers = more.headers ?? {}
    this.executed = more.executed ?? true
  }
}

function documentation(code: string): string {
  return `https://docs.stripe.com/error-codes/${code.replaceAll('_', '-')}`
}

/** A request that was understood and executed as far as finding it wrong. */
export function invalid(message: string, param?: string, code?: string): ApiError {
  return new ApiError(400, {
    type: 'invalid_request_error',
    message,
    ...(code === undefined ? {} : { code }),
    ...(param === undefined ? {} : { param }),
  })
}

/** A parameter refused before anything was executed: never stored under the key. */
export function malformed(message: string, param?: string, code?: string): ApiError {
  const error = invalid(message, param, code)
  return new ApiError(400, error.body, { executed: false })
}

/** A required parameter that is not there. */
export function missing(param: string): ApiError {
  return malformed(`Missing required param: ${param}.`, param, 'parameter_missing')
}

/** An id that names nothing: 404 when it is in the URL, 400 when it is a parameter. */
export function noSuch(kind: string, id: string, param: string, status = 400): ApiError {
  return new ApiError(status, {
    type: 'invalid_request_error',
    code: 'resource_missing',
    message: `No such ${kind}: '${id}'`,
    param,
  })
}

/** A refusal that ends before the operation: wrong key, unknown URL, conflict, limit. */
export function refusal(
  status: number,
  type: ErrorBody['type'],
  message: string,
  code?: string,
  headers?: Record<string, string>,
): ApiError {
  const body: ErrorBody = { type, message, ...(code === undefined ? {} : { code }) }
  return new ApiError(status, body, { executed: false, ...(headers ? { headers } : {}) })
}
