// The load on a web process, from a process of its own: requests over connections that are kept, counted when they are
// answered with 202. Any other answer ends the bench.
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { listenForEnds, type Ends } from './load-ends.ts'
import { serveOrders } from './worker.ts'

interface Target {
  readonly url: string
  readonly body: string
  /** Taken in turn. */
  readonly keys: readonly string[]
  /** Not measured. */
  readonly warmMs: number
  readonly forMs: number
}
/** So many requests at any time, each sent when an earlier one is through. */
export interface ClosedLoop extends Target {
  readonly kind: 'closed'
  readonly lanes: number
  /** A database: a request is through when its action has ended there. Null: when it is answered. */
  readonly endsIn: string | null
}
/** So many requests a second, at times of their own, however long the earlier ones take. */
export interface OpenLoop extends Target {
  readonly kind: 'open'
  readonly perSecond: number
  readonly endsIn: string
}
export type LoadOrder = ClosedLoop | OpenLoop

export interface Loaded {
  /** All 202s, with those before and after what is measured. */
  readonly accepted: number
  readonly perSecond: number
  /** Of those that were measured, from when they were to be sent until they were through, in rising order. */
  readonly latencies: readonly number[]
}

/** More than the machine can have in work at once; the open loop never waits for a connection. */
const SOCKETS_MAX = 2_000

type Send = (path: Target) => Promise<string>

function sender(): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX, scheduling: 'lifo' })
  const run = `${process.pid}-${process.hrtime.bigint()}`
  let sent = 0
  return ({ url, body, keys }) => {
    sent += 1
    const headers = {
      Authorization: `Bearer ${keys[sent % keys.length]}`,
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      'Idempotency-Key': `${run}-${sent}`,
    }
    return new Promise((done, fail) => {
      const sending = request(url, { method: 'POST', agent, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
        response.once('error', fail).once('end', () => {
          if (response.statusCode === 202) done(text)
          else fail(new Error(`answered with ${response.statusCode}: ${text}`))
        })
      })
      sending.once('error', fail)
      sending.end(body)
    })
  }
}

/** The uuid of the action that a 202 tells of. */
const actionOf = (text: string): string => {
  const { id } = JSON.parse(text) as { id: string }
  return id.replace(/^act_(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

async function closedLoop(order: ClosedLoop, send: Send, ends: Ends | null): Promise<Loaded> {
  const from = performance.now() + order.warmMs
  const until = from + order.forMs
  let accepted = 0
  const latencies: number[] = []
  const lane = async (): Promise<void> => {
    for (let since = performance.now(); since < until; since = performance.now()) {
      const text = await send(order)
      accepted += 1
      const through = ends ? await ends.of(actionOf(text)) : performance.now()
      if (through >= from && through < until) latencies.push(through - since)
    }
  }
  await Promise.all(Array.from({ length: order.lanes }, lane))
  return { accepted, perSecond: (latencies.length * 1_000) / order.forMs, latencies: latencies.sort((a, b) => a - b) }
}

/**
 * Callers who know nothing of one another: gaps are exponential. A request is timed from when it was to be sent, so
 * that a late sender does not hide a slow server.
 */
async function openLoop(order: OpenLoop, send: Send, ends: Ends): Promise<Loaded> {
  const begun = performance.now()
  const from = begun + order.warmMs
  const until = from + order.forMs
  const pending: Promise<void>[] = []
  const latencies: number[] = []
  let failure: unknown = null
  for (
    let due = begun;
    due < until && failure === null;
    due -= (Math.log(1 - Math.random()) * 1_000) / order.perSecond
  ) {
    const ahead = due - performance.now()
    if (ahead > 0) await delay(ahead)
    const at = due
    const one = async (): Promise<void> => {
      const through = await ends.of(actionOf(await send(order)))
      if (at >= from) latencies.push(through - at)
    }
    pending.push(one().catch((error: unknown) => void (failure ??= error)))
  }
  await Promise.all(pending)
  if (failure !== null) throw failure
  const perSecond = (latencies.length * 1_000) / order.forMs
  return { accepted: pending.length, perSecond, latencies: latencies.sort((a, b) => a - b) }
}

async function load(order: LoadOrder): Promise<Loaded> {
  const ends = order.endsIn === null ? null : await listenForEnds(order.endsIn)
  try {
    return order.kind === 'open' ? await openLoop(order, sender(), ends!) : await closedLoop(order, sender(), ends)
  } finally {
    await ends?.close()
  }
}

serveOrders(load)
