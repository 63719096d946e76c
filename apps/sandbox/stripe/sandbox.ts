import type { IncomingMessage } from 'node:http'
import type { Courier } from './courier.ts'
import { malformed, refusal } from './errors.ts'
import { json, readBody } from './http.ts'
import type { Answer } from './http.ts'
import { listRequests } from './request-log.ts'
import { authorize, businessTime } from './standin.ts'
import type { StandIn } from './standin.ts'

/** Answers what Stripe does not have: `/_sandbox/` clock, faults, requests, idle. */
export async function answerSandbox(
  standIn: StandIn,
  courier: Courier,
  request: IncomingMessage,
  url: URL,
): Promise<Answer> {
  authorize(standIn, request.headers.authorization)
  const { book, faults } = standIn
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /_sandbox/clock':
      return json(200, { now: businessTime(standIn) })
    case 'POST /_sandbox/clock':
      return json(200, setClock(standIn, await readJson(request)))
    case 'GET /_sandbox/idle':
      return json(200, { pending_webhooks: courier.pending() })
    case 'GET /_sandbox/requests':
      return json(200, { data: listRequests(book, limitOf(url)) })
    case 'GET /_sandbox/faults':
      return json(200, { data: faults.list() })
    case 'POST /_sandbox/faults':
      return json(200, faults.add(await readJson(request)))
    case 'DELETE /_sandbox/faults':
      faults.clear()
      return json(200, { data: [] })
    default:
      throw refusal(404, 'invalid_request_error', 'No such sandbox verb.')
  }
}

function setClock(standIn: StandIn, body: Record<string, unknown>): { now: number } {
  const now = body['now']
  if (typeof now !== 'number' || !Number.isSafeInteger(now) || now < 0) {
    throw malformed('now must be unix seconds', 'now')
  }
  standIn.book.set('now', String(now))
  return { now }
}

function limitOf(url: URL): number {
  const limit = Number(url.searchParams.get('limit') ?? 1000)
  if (!Number.isInteger(limit) || limit < 1) throw malformed('limit: 1 or more', 'limit')
  return limit
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const text = await readBody(request)
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null) return body as Record<string, unknown>
  } catch {
    // Answered below like any other body that is not an object.
  }
  throw malformed('The body must be a JSON object')
}
