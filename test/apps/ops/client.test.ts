// What the client of an import does when the way to the server is bad: which calls it makes again, after which pauses,
// and what it says in the end. Pauses are asked of a fake, which does not wait.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ClientOptions, importClient, type ImportClient, rebuildQueues } from '../../../apps/ops/client.ts'
import { Failure } from '../../../apps/ops/failure.ts'
import { fakeServer, type FakeServer, KEY, problem } from './fake-server.ts'

let server: FakeServer
let pauses: number[]
let notes: string[]
beforeEach(async () => {
  server = await fakeServer()
  pauses = []
  notes = []
})
afterEach(() => server.close())

const client = (options: Partial<ClientOptions> = {}): ImportClient =>
  importClient({
    url: server.url,
    key: KEY,
    note: (sentence) => notes.push(sentence),
    pause: async (ms) => void pauses.push(ms),
    ...options,
  })

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => expect.fail('the call was answered'),
    (one: unknown) => one,
  )
  expect(error).toBeInstanceOf(Failure)
  return (error as Failure).message
}

const ROWS = JSON.stringify({ file: 'events.csv', columns: ['at'], rows: [[2, 'x']] })
const LOOK = 'GET /v1/admin/imports/imp_1'
const many = (answer: FakeServer['instead'][number][1], times = 20): FakeServer['instead'] =>
  Array.from({ length: times }, () => [LOOK, answer])

describe('a call is made again', () => {
  it('after a connection that was cut, 502 and 503, with growing pauses', async () => {
    const one = client()
    const { id } = await one.begin('2026-01')
    const rows = 'POST /v1/admin/imports/imp_1/rows'
    server.instead.push([rows, 'cut'], [rows, { status: 502, body: '<html>' }], [rows, problem(503, 'unavailable')])
    expect(await one.sendRows(id, ROWS, new AbortController().signal)).toBe(0)
    expect(pauses).toEqual([250, 500, 1000])
    expect(server.sent).toEqual([JSON.parse(ROWS)])
  })

  it('after 429, once the server’s wish is met: seconds, a date, or nothing', async () => {
    const date = new Date(Date.now() + 60_000).toUTCString()
    for (const wish of ['7', date, '0'])
      server.instead.push([LOOK, problem(429, 'slow', 'Slow.', { 'Retry-After': wish })])
    server.instead.push([LOOK, problem(429, 'slow')])
    await client().look('imp_1')
    expect(pauses[0]).toBe(7000)
    expect(pauses[1]).toBeGreaterThan(0)
    expect(pauses[1]).toBeLessThanOrEqual(60_000)
    expect(pauses.slice(2)).toEqual([1000, 2000])
    expect(notes[0]).toBe('The server refused: Slow. (429) Trying again in 7 seconds …')
  })

  it('not for ever, and not after an hour’s pause', async () => {
    server.instead.push(...many(problem(503, 'unavailable', 'Not now.')))
    expect(await refusal(client().look('imp_1'))).toBe('The server refused: Not now. (503)')
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000])
    server.instead.splice(0, Infinity, ...many(problem(429, 'slow', 'Slow.', { 'Retry-After': '3600' })))
    expect(await refusal(client().look('imp_1'))).toBe('The server refused: Slow. (429)')
    expect(pauses).toHaveLength(7)
  })

  it('not when the caller has given up', async () => {
    const one = client()
    await one.look('imp_1')
    const stop = new AbortController()
    server.before = () => stop.abort()
    await expect(one.sendRows('imp_1', ROWS, stop.signal)).rejects.toThrow(/abort/i)
    expect(pauses).toEqual([])
  })
})

describe('what is said', () => {
  it('of a server that was never there names its address, at once', async () => {
    const { url } = server
    await server.close()
    const message = await refusal(client({ url: `${url}/` }).begin('2026-01'))
    expect(message).toBe(
      `Perdiem cannot be reached at ${url} (ECONNREFUSED). Does it run there, and is PERDIEM_URL right?`,
    )
    expect(pauses).toEqual([])
  })

  it('of one that went away says so', async () => {
    const one = client()
    await one.look('imp_1')
    server.instead.push(...many('cut'))
    expect(await refusal(one.look('imp_1'))).toMatch(/^The connection to http:\S+ broke off \(\w+\)\.$/)
    expect(pauses).toHaveLength(7)
  })

  it.each<[string, FakeServer['instead'][number][1], RegExp]>([
    ['401', problem(401, 'unauthorized'), /^http:\S+ does not know this PERDIEM_API_KEY \(401\)/],
    ['403', problem(403, 'forbidden'), /^This PERDIEM_API_KEY is not an operator's key \(403\)/],
    ['404', { status: 404, body: '<html>' }, /^http:\S+ has nothing at GET \S+ \(404\)\. Is PERDIEM_URL right/],
    ['a redirect', { status: 301, headers: { Location: 'https://x.example/' } }, /leads on to https:\/\/x\.example\//],
    ['500', problem(500, 'internal_error', 'It was us.'), /^The server refused: It was us\. \(500\)$/],
    ['500 without a word', { status: 500, body: '' }, /^The server refused: GET \S+ answered 500\.$/],
    ['a page', { status: 200, body: '<html>' }, /^What http:\S+ answers to \S+ is not what Perdiem answers\./],
    ['another JSON', { status: 200, body: { id: '../x' } }, /is not what Perdiem answers/],
    ['busy', problem(409, 'import_busy', 'x'), /^Another import is being applied/],
    ['escapes', problem(400, 'x', '\x1b[2J'), /^The server refused: \\u001b\[2J \(400\)$/],
  ])('of %s is a sentence', async (_, answer, sentence) => {
    server.instead.push([LOOK, answer])
    const message = await refusal(client().look('imp_1'))
    expect(message).toMatch(sentence)
    expect(message).not.toContain(KEY)
    expect(pauses).toEqual([])
  })

  it('of fields that are wrong names them', async () => {
    const errors = [{ path: 'rows.0', message: 'is too short' }]
    server.instead.push([LOOK, { status: 400, body: { code: 'invalid_request', detail: 'Bad.', errors } }])
    expect(await refusal(client().look('imp_1'))).toBe('The server refused: Bad. (400)\n  rows.0 is too short')
  })
})

describe('rebuild', () => {
  const rebuild = () =>
    rebuildQueues({ url: server.url, key: KEY, note: () => {}, pause: async (ms) => void pauses.push(ms) })

  it('asks once and tells how many jobs are told again', async () => {
    server.instead.push(['POST /v1/admin/queues/rebuild', { status: 200, body: { jobs: 7 } }])
    expect([await rebuild(), server.calls]).toEqual([7, ['POST /v1/admin/queues/rebuild']])
  })

  it('says in a sentence whose key may not', async () => {
    server.instead.push(['POST /v1/admin/queues/rebuild', problem(403, 'forbidden')])
    expect(await refusal(rebuild())).toMatch(/^This PERDIEM_API_KEY is not an operator's key \(403\)/)
  })
})
