// As much of the server as an import's client meets: it keeps what it is sent, and misbehaves as it is told to.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const KEY = 'operator-key-of-the-tests'

export interface Sent {
  readonly file: string
  readonly columns: string[]
  readonly rows: [number, ...string[]][]
}
interface FakeFailure {
  readonly file: string
  readonly line: number
  readonly account?: string | null
  readonly field: string
  readonly message: string
}
type Answer = 'cut' | { status: number; headers?: Record<string, string>; body?: unknown }

export interface FakeServer {
  readonly url: string
  /** Requests as `METHOD path`, in the order they came. */
  readonly calls: string[]
  /** Batches that were taken, and the bytes of the largest. */
  readonly sent: Sent[]
  largest: number
  /** Batches that were on their way together, at the most. */
  together: number
  /** What GET answers one after the other; the last one stays. */
  views: Record<string, unknown>[]
  failures: FakeFailure[]
  /** What is answered, instead of the usual, to calls that begin like this; each is used once. */
  readonly instead: [call: string, answer: Answer][]
  /** Asked for every call, before it is answered. */
  before(call: string): Promise<void> | void
  close(): Promise<void>
}

export const problem = (status: number, code: string, detail = '', headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  body: { type: 'about:blank', title: 'x', status, code, detail },
})

export const view = (status: string, accounts: Partial<Record<string, number>> = {}, failures = 0) => ({
  id: 'imp_1',
  object: 'import',
  status,
  bill_from: '2026-01',
  accounts: { total: 0, done: 0, unchanged: 0, refused: 0, ...accounts },
  failures,
  created_at: '2026-11-22T00:00:00Z',
  ended_at: null,
})

export async function fakeServer(): Promise<FakeServer> {
  let busy = 0
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const fake: FakeServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    sent: [],
    largest: 0,
    together: 0,
    views: [view('done')],
    failures: [],
    instead: [],
    before: () => undefined,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = `${request.method} ${request.url}`
    const isRows = call.endsWith('/rows')
    if (isRows) fake.together = Math.max(fake.together, (busy += 1))
    const parts: Buffer[] = []
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
    const body = Buffer.concat(parts)
    fake.calls.push(call)
    await fake.before(call)
    if (isRows) busy -= 1
    const at = fake.instead.findIndex(([begins]) => call.startsWith(begins))
    const usual = (): Answer =>
      request.headers.authorization === `Bearer ${KEY}` ? route(call, body) : problem(401, 'unauthorized')
    const chosen = at < 0 ? usual() : fake.instead.splice(at, 1)[0]![1]
    if (chosen === 'cut') return void request.socket.destroy()
    response.writeHead(chosen.status, { 'Content-Type': 'application/json', ...chosen.headers })
    response.end(typeof chosen.body === 'string' ? chosen.body : JSON.stringify(chosen.body))
  }

  function route(call: string, body: Buffer): Answer {
    if (call === 'POST /v1/admin/imports') return { status: 201, body: view('receiving') }
    if (call === 'POST /v1/admin/imports/imp_1/rows') {
      fake.largest = Math.max(fake.largest, body.length)
      const sent = JSON.parse(body.toString()) as Sent
      fake.sent.push(sent)
      return { status: 200, body: { received: sent.rows.length, failures: fake.failures.length } }
    }
    if (call === 'POST /v1/admin/imports/imp_1/apply') return { status: 202, body: view('applying') }
    if (call.startsWith('GET /v1/admin/imports/imp_1/failures')) return { status: 200, body: page(call) }
    if (call !== 'GET /v1/admin/imports/imp_1') return problem(404, 'not_found')
    return { status: 200, body: fake.views.length > 1 ? fake.views.shift() : fake.views[0] }
  }

  function page(call: string): unknown {
    const query = new URL(call.slice('GET '.length), 'http://x').searchParams
    const [from, limit] = [Number(query.get('cursor')), Number(query.get('limit'))]
    const next = from + limit < fake.failures.length ? String(from + limit) : null
    return { data: fake.failures.slice(from, from + limit), next_cursor: next, total: fake.failures.length }
  }

  return fake
}
