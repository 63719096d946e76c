import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { ApiError, refusal } from './errors.ts'
import { expand, present } from './expand.ts'
import type { Fault } from './faults.ts'
import { parseForm } from './form.ts'
import type { FormMap } from './form.ts'
import { json, readBody, send } from './http.ts'
import type { Answer } from './http.ts'
import { fingerprintOf, remember, replay } from './idempotency.ts'
import { newId } from './identifiers.ts'
import { apiVersion, checkParameters } from './parameters.ts'
import { tooMany } from './rate-limit.ts'
import { logRequest } from './request-log.ts'
import { route } from './router.ts'
import type { Route } from './router.ts'
import { authorize, businessTime, contextOf } from './standin.ts'
import type { StandIn } from './standin.ts'

/** One request on its way through. */
interface Passage {
  id: string
  method: string
  url: URL
  key: string | null
  route: Route | undefined
  params: FormMap
  fault: Fault | undefined
  error: ApiError | undefined
}

/** Answers one request under `/v1/`. */
export async function answerApi(standIn: StandIn, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const passage = begin(standIn, request)
  let answer: Answer
  let logged = false
  try {
    const body = await readBody(request)
    const done = await admit(standIn, passage, request, body)
    answer = done.answer
    logged = done.logged
  } catch (error) {
    // Whoever asked is gone before they had said it all.
    if (request.errored !== null) return
    answer = errorAnswer(standIn, passage, error)
  }
  if (!logged) standIn.book.transaction(() => log(standIn, passage, answer))
  standIn.wake()
  const served = answer.status === 401 ? undefined : passage.route?.operation
  const cut = served === undefined ? undefined : standIn.faults.take(served, ['timeout'])
  if (cut) {
    // The work is done and recorded, but the answer never leaves.
    await wait(cut.ms, undefined, { ref: false })
    response.destroy()
    return
  }
  send(response, { ...answer, headers: headersOf(passage, answer) })
}

function begin(standIn: StandIn, request: IncomingMessage): Passage {
  const method = request.method ?? 'GET'
  const url = new URL(request.url ?? '/', standIn.baseUrl)
  const key = request.headers['idempotency-key']
  return {
    id: newId('req'),
    method,
    url,
    key: method === 'POST' && typeof key === 'string' && key !== '' ? key : null,
    route: route(method, url.pathname),
    params: {},
    fault: undefined,
    error: undefined,
  }
}

async function admit(
  standIn: StandIn,
  passage: Passage,
  request: IncomingMessage,
  body: string,
): Promise<{ answer: Answer; logged: boolean }> {
  const { method, url, key, route: found } = passage
  authorize(standIn, request.headers.authorization)
  passage.params = parseForm(method === 'GET' ? url.search.slice(1) : body)
  if (found === undefined) {
    const message = `Unrecognized request URL (${method}: ${url.pathname}).`
    throw refusal(404, 'invalid_request_error', message)
  }
  passage.fault = standIn.faults.take(found.operation, ['429'])
  if (passage.fault !== undefined) throw tooMany('endpoint-rate')
  standIn.rateLimit?.admit(found.operation)
  const fingerprint = fingerprintOf(method, url.pathname, passage.params)
  const stored = key === null ? undefined : replay(standIn, key, fingerprint)
  if (stored !== undefined) return { answer: stored, logged: false }
  if (key !== null) standIn.inFlight.add(key)
  try {
    passage.fault = standIn.faults.take(found.operation, ['slow'])
    if (passage.fault !== undefined) await wait(passage.fault.ms, undefined, { ref: false })
    return { answer: perform(standIn, passage, found, fingerprint), logged: true }
  } finally {
    if (key !== null) standIn.inFlight.delete(key)
  }
}

// What happened, the answer to its key and the line in the log become durable together.
function perform(standIn: StandIn, passage: Passage, found: Route, fingerprint: string): Answer {
  const { book } = standIn
  const fault = standIn.faults.take(found.operation, ['500'])
  passage.fault ??= fault
  const params = fault === undefined ? checkParameters(found.operation, passage.params) : undefined
  return book.transaction(() => {
    let answer: Answer
    let executed = true
    try {
      if (params === undefined) throw outage()
      answer = book.attempt(
        () => execute(standIn, passage, found, params),
        (error) => isKept(found.operation, error),
      )
    } catch (error) {
      executed = !(error instanceof ApiError) || error.executed
      answer = errorAnswer(standIn, passage, error)
    }
    if (executed && passage.key !== null) remember(book, passage.key, fingerprint, answer)
    log(standIn, passage, answer)
    return answer
  })
}

// A charge that was declined is a fact like one that was not; any other refusal leaves nothing.
function isKept(operation: string, error: unknown): boolean {
  return operation === 'invoices.pay' && error instanceof ApiError && error.status === 402
}

function outage(): ApiError {
  const message = 'An unknown error occurred. This outage was ordered in the sandbox.'
  return new ApiError(500, { type: 'api_error', message })
}

function execute(standIn: StandIn, passage: Passage, found: Route, params: Record<string, unknown>): Answer {
  const context = contextOf(standIn, passage.id, passage.key)
  const { expand: paths, ...rest } = params
  const result = found.handle(context, rest, found.path)
  return json(200, expand(context, present(context, result), paths))
}

function errorAnswer(standIn: StandIn, passage: Passage, error: unknown): Answer {
  if (error instanceof ApiError) {
    passage.error = error
    return json(error.status, { error: error.body }, error.headers)
  }
  // A fault of the stand-in itself must not pass for one of the product.
  standIn.options.log?.(`stand-in failed: ${error instanceof Error ? error.stack : error}`)
  const message = 'The stand-in itself failed; see its log.'
  passage.error = new ApiError(500, { type: 'api_error', message })
  return json(500, { error: passage.error.body })
}

function log(standIn: StandIn, passage: Passage, answer: Answer): void {
  const { error } = passage
  const picked = error && {
    type: error.body.type,
    ...(error.body.code === undefined ? {} : { code: error.body.code }),
    ...(error.body.decline_code === undefined ? {} : { decline_code: error.body.decline_code }),
    ...(error.body.param === undefined ? {} : { param: error.body.param }),
  }
  logRequest(standIn.book, {
    at: new Date().toISOString(),
    now: businessTime(standIn),
    request_id: passage.id,
    method: passage.method,
    path: passage.url.pathname,
    operation: passage.route?.operation ?? null,
    idempotency_key: passage.key,
    status: answer.status,
    replayed: answer.headers['Idempotent-Replayed'] === 'true',
    fault: passage.fault?.kind ?? null,
    error: picked ?? null,
    params: passage.params,
  })
}

function headersOf(passage: Passage, answer: Answer): Record<string, string> {
  return {
    ...answer.headers,
    'Request-Id': passage.id,
    'Stripe-Version': apiVersion,
    ...(passage.key === null ? {} : { 'Idempotency-Key': passage.key }),
  }
}
