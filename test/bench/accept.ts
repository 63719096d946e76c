// Actions accepted in a second by the real web process, beside a bare Express route that adds a job to the same queue;
// and how long an action takes from the request to its end, with the real worker, at half of what both sustain.
import type { Child } from '../../apps/sandbox/children.ts'
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts'
import { openAcceptSite, REQUEST, type AcceptSite } from './accept-site.ts'
import type { Lab } from './lab.ts'
import type { Loaded, LoadOrder } from './load.ts'
import { alternate, median, perSecond, say, type Paired } from './measure.ts'
import { atLeastRow, endRow, unmeasuredRow, type Row } from './report.ts'
import { startProgram } from './worker.ts'

/** Ours over the floor. On Redis a bare add is not durable; ours is a row on the disk first. */
const AT_LEAST = { PostgreSQL: 1, Redis: 0.25 } as const
/** What keeps two cores busy: more only wait in line. */
const LANES = 32
/** Actions under way at once when the worker is to be as busy as it can be: twice what all its lanes take. */
const UNDER_WAY = 64

/** Warming up is for the compilers of both sides: their first seconds are half as fast. */
interface Spans {
  readonly warmMs: number
  readonly rateMs: number
  readonly endMs: number
}
const SPANS: Spans = { warmMs: 4_000, rateMs: 8_000, endMs: 20_000 }
const SMALL_SPANS: Spans = { warmMs: 1_000, rateMs: 1_500, endMs: 3_000 }
/** A fiftieth is too few accounts to take in turn. */
const SMALL_DIVISOR = 10

async function send(order: LoadOrder): Promise<Loaded> {
  const load = startProgram<LoadOrder, Loaded>('load.ts')
  try {
    return await load.work(order)
  } finally {
    await load.stop()
  }
}

async function withChild<T>(starting: Promise<Child>, work: (child: Child) => Promise<T>): Promise<T> {
  const child = await starting
  try {
    return await work(child)
  } finally {
    await child.stop()
  }
}

/** What was answered with 202 is there, all of it and no more. What the relay did not tell the queue, a sweep will. */
async function prove(accept: AcceptSite, side: 'ours' | 'floor', { accepted }: Loaded): Promise<void> {
  const queued = await accept.queued(side)
  if (side === 'floor') {
    if (queued !== accepted) throw new Error(`the floor answered ${accepted} times and the queue holds ${queued} jobs`)
    return
  }
  const { rows } = await accept.site.admin.query<{ actions: string; staged: string }>(
    'SELECT (SELECT count(*) FROM actions) AS actions, (SELECT count(*) FROM staged_jobs) AS staged',
  )
  const { actions, staged } = rows[0]!
  const told = `${accepted} answers of 202, ${actions} actions, ${staged} staged jobs, ${queued} told to the queue`
  if (Number(actions) !== accepted || Number(staged) !== accepted || queued === 0) throw new Error(told)
  if (queued < accepted) say(told)
}

async function measureRate(accept: AcceptSite, { warmMs, rateMs }: Spans, times: number): Promise<Paired> {
  const order = { kind: 'closed', body: REQUEST, keys: accept.keys, warmMs, forMs: rateMs, lanes: LANES } as const
  const rateOf = async (side: 'ours' | 'floor'): Promise<number> => {
    const [starting, path] =
      side === 'ours' ? ([accept.startWeb(), '/v1/licenses'] as const) : ([accept.startFloor(), '/'] as const)
    const loaded = await withChild(starting, async ({ ready }) => {
      const url = new URL(path, ready).href
      return await send({ ...order, url, endsIn: null })
    })
    // Web has stopped, and so has told the queue all it was going to.
    await prove(accept, side, loaded)
    return loaded.perSecond
  }
  return await alternate({
    what: `accepting, queue on ${accept.backend}`,
    times,
    reset: () => accept.reset(),
    ours: () => rateOf('ours'),
    floor: () => rateOf('floor'),
    show: perSecond,
  })
}

const percentile = (rising: readonly number[], share: number): number =>
  rising[Math.min(rising.length - 1, Math.ceil(rising.length * share) - 1)]!

export interface Ended {
  /** Actions that web and one worker bring to their ends in a second when both are kept busy. */
  readonly sustained: number
  readonly sent: number
  readonly p50: readonly number[]
  readonly p99: readonly number[]
}

/**
 * Half of what web and one worker sustain together, not half of what web alone accepts: beyond what the worker can do,
 * the wait would only tell how long the bench has run.
 */
async function measureEnds(accept: AcceptSite, spans: Spans, times: number): Promise<Ended> {
  const { warmMs, rateMs, endMs } = spans
  await accept.reset()
  return await withChild(accept.startWeb(), ({ ready }) =>
    withChild(accept.startWorker(), async () => {
      const url = new URL('/v1/licenses', ready).href
      const target = { url, body: REQUEST, keys: accept.keys, endsIn: accept.site.apiUrl, warmMs }
      const busy = await send({ kind: 'closed', ...target, forMs: rateMs, lanes: UNDER_WAY })
      const ended = { sustained: busy.perSecond, sent: busy.perSecond / 2, p50: [] as number[], p99: [] as number[] }
      for (let run = 1; run <= times; run += 1) {
        const { latencies } = await send({ kind: 'open', ...target, forMs: endMs, perSecond: ended.sent })
        ended.p50.push(percentile(latencies, 0.5))
        ended.p99.push(percentile(latencies, 0.99))
      }
      await proveDone(accept)
      return ended
    }),
  )
}

async function proveDone({ site }: AcceptSite): Promise<void> {
  const { rows } = await site.admin.query<{ told: string }>(
    `SELECT status || ' ' || coalesce(error ->> 'code', '') AS told FROM actions WHERE status <> 'done' LIMIT 1`,
  )
  if (rows[0]) throw new Error(`an action of the bench's was not done: ${rows[0].told}`)
}

async function measureBackend(lab: Lab, redis: TestRedis | null, small: boolean, times: number): Promise<Row[]> {
  const spans = small ? SMALL_SPANS : SPANS
  const accept = await openAcceptSite(lab, redis, small ? SMALL_DIVISOR : 1)
  const on = `queue on ${accept.backend}`
  try {
    const rate = await measureRate(accept, spans, times)
    const ended = await measureEnds(accept, spans, times)
    const keepsUp = ended.sustained >= median(rate.ours) / 2 ? 'more' : 'less'
    say(`web and worker sustain ${perSecond(ended.sustained)}, ${keepsUp} than half of what web accepts alone`)
    return [
      atLeastRow(`actions accepted, ${on}`, rate, AT_LEAST[accept.backend]),
      endRow(`request to end, ${on}, at ${perSecond(ended.sent)}`, ended),
    ]
  } finally {
    await accept.drop()
  }
}

export async function measureAccept(lab: Lab, small: boolean, times: number): Promise<Row[]> {
  const rows = await measureBackend(lab, null, small, times)
  if (redisMissing !== null) {
    return [...rows, unmeasuredRow('actions accepted, queue on Redis', redisMissing, `≥ ${AT_LEAST.Redis}×`)]
  }
  const redis = await startRedis()
  const kill = (): void => redis.signal('SIGKILL')
  process.once('exit', kill)
  try {
    return [...rows, ...(await measureBackend(lab, redis, small, times))]
  } finally {
    process.off('exit', kill)
    await redis.stop()
  }
}
