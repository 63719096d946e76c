// Schedules that cannot be lost, on both backends: whatever becomes of the queue's store, of the process that leads, or
// of the names in our code, each tick comes again, and what an overdue tick would have asked is asked.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../../apps/adapters/database.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { connectQueue, startWorkers, troubleOf, type JobQueue } from '../../../apps/adapters/queue.ts'
import { prefixOf } from '../../../apps/adapters/queue-backend.ts'
import { dropLease, lookAfterSchedules, SCHEDULES_LEASE, startClockwork } from '../../../apps/adapters/schedules.ts'
import { release } from '../../../apps/release.ts'
import { ticks } from '../../../jobs/catalog.ts'
import { queueOf, type Job } from '../../../jobs/kit/job.ts'
import { BACKENDS, type Backend } from '../../support/backends.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import { waitUntil } from '../../support/wait.ts'

const names = [...new Set(ticks.map(queueOf))]
const errors: Error[] = []
const onError = (error: unknown): void => void errors.push(error as Error)

let database: TestDatabase
let superuser: pg.Client
let db: ProcessDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  await release(database)
  superuser = new pg.Client({ connectionString: database.superuserUrl })
  await superuser.connect()
  db = connectDatabase({ url: database.workerUrl, max: 3 })
})
afterAll(async () => {
  await Promise.all([db.close(), superuser.end()])
  await database.drop()
})
afterEach(() => expect(errors).toEqual([]))

/** A schedule as the store has it: its rule, when it fires next (ms), and what any rewriting of it would change. */
interface Kept {
  readonly id: string
  readonly pattern: string
  readonly next: number
}

/** What only the store itself can be asked or told. */
interface Store {
  kept(): Promise<Kept[]>
  /** Everything of the queue is gone. */
  lose(): Promise<void>
  /** The schedules are there, and nothing of them waits. */
  loseTicks(): Promise<void>
}

const postgresStore = (): Store => ({
  kept: async () =>
    (
      await superuser.query<Kept>(`
        SELECT s.scheduler_id AS id, s.pattern, j.process_at_ms::float8 AS next
        FROM bullmq.scheduler s JOIN bullmq.job j ON j.queue = s.queue AND j.scheduler_id = s.scheduler_id
        WHERE j.state = 'delayed' ORDER BY 1`)
    ).rows,
  lose: async () => void (await superuser.query('DELETE FROM bullmq.job; DELETE FROM bullmq.scheduler')),
  loseTicks: async () => void (await superuser.query('DELETE FROM bullmq.job WHERE scheduler_id IS NOT NULL')),
})

/** What is done as if so long ago: BullMQ reckons its instants in the process. */
async function ago(ms: number, work: () => Promise<unknown>): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - ms })
  try {
    await work()
  } finally {
    vi.useRealTimers()
  }
}

/** A delayed job's score is its instant, times 4096, plus a counter. */
const SCORE = 0x1000

function redisStore({ redis }: Backend): Store {
  const keys = names.map((name) => `${prefixOf(name)}:${name}`)
  const delayed = async (key: string): Promise<[string, number][]> => {
    const pairs = await redis!.client.call('ZRANGE', `${key}:delayed`, '0', '-1', 'WITHSCORES')
    return (pairs as [string, number | string][]).map(([id, score]) => [id, Number(score)])
  }
  return {
    async kept() {
      const found: Kept[] = []
      for (const key of keys) {
        const at = new Map((await delayed(key)).map(([id, score]) => [id, Math.floor(score / SCORE)]))
        for (const id of (await redis!.client.call('ZRANGE', `${key}:repeat`, '0', '-1')) as string[]) {
          const pattern = (await redis!.client.hget(`${key}:repeat:${id}`, 'pattern'))!
          const job = [...at].find(([jobId]) => jobId.startsWith(`repeat:${id}:`))
          found.push({ id, pattern, next: job![1] })
        }
      }
      return found.sort((a, b) => (a.id < b.id ? -1 : 1))
    },
    lose: async () => void (await redis!.client.flushall()),
    async loseTicks() {
      for (const key of keys) {
        for (const [id] of await delayed(key)) {
          await redis!.client.zrem(`${key}:delayed`, id)
          await redis!.client.del(`${key}:${id}`)
        }
      }
    },
  }
}

describe.each(BACKENDS)('schedules on $name', ({ missing, start }) => {
  let backend: Backend
  let queue: JobQueue
  let store: Store
  beforeAll(async () => {
    if (missing !== null) return
    backend = await start(database)
    queue = connectQueue(backend.worker, names, onError)
    await waitUntil('the queue can be reached', () => troubleOf(queue) === null)
    store = backend.redis === null ? postgresStore() : redisStore(backend)
  })
  afterAll(async () => {
    await queue?.close()
    await backend?.stop()
  })
  beforeEach(async () => {
    if (missing !== null) return
    await store.lose()
    await superuser.query('DELETE FROM leases')
  })
  const test = it.skipIf(missing !== null)

  const idsAndPatterns = async () => (await store.kept()).map(({ id, pattern }) => [id, pattern])
  const wanted = (list: readonly Job[]) => list.map(({ name, schedule }) => [name, schedule]).sort()
  const leader = (fired: string[] = [], list = ticks, holder = newId()) => ({
    db,
    queue,
    holder,
    ticks: list,
    fire: async (tick: Job) => void fired.push(tick.name),
  })
  /** Works the ticks' queues until every one of these has fired. */
  async function fired(expected: readonly string[]): Promise<[string, number][]> {
    const seen: [string, number][] = []
    const workers = startWorkers(
      { address: backend.worker, concurrency: new Map(names.map((name) => [name, 1])) },
      { work: async () => {}, tick: async (name, at) => void seen.push([name, at.getTime()]) },
      onError,
    )
    try {
      await waitUntil('all have fired', () => expected.every((name) => seen.some(([one]) => one === name)))
    } finally {
      await workers.close()
    }
    return seen
  }

  test('are created for every tick, once, each firing for what was missed; unchanged, they are left', async () => {
    const asked: string[] = []
    const parts = leader(asked)
    await lookAfterSchedules(parts)
    const first = await store.kept()
    expect(await idsAndPatterns()).toEqual(wanted(ticks))
    expect(asked.sort()).toEqual(ticks.map(({ name }) => name).sort())
    expect(await lookAfterSchedules(parts)).toEqual([])
    expect(await store.kept()).toEqual(first)
    expect(asked).toHaveLength(ticks.length)
  })

  test('a deployment at midnight on the 1st: the tick that is just due is left as it is, and comes', async () => {
    const holder = newId()
    await ago(20 * 60_000, () => lookAfterSchedules(leader([], ticks, holder)))
    const overdue = await store.kept()
    expect(overdue.every(({ next }) => next < Date.now())).toBe(true)
    await dropLease(db, SCHEDULES_LEASE, holder)
    const asked: string[] = []
    expect(await lookAfterSchedules(leader(asked))).toEqual([])
    expect([await store.kept(), asked]).toEqual([overdue, []])
    const came = await fired(ticks.map(({ name }) => name))
    for (const { id, next } of overdue) expect(came).toContainEqual([id, next])
  })

  test('ten missed ticks give one, for the instant of the first; and the next is in the future', async () => {
    await ago(10 * 15 * 60_000, () => lookAfterSchedules(leader()))
    const overdue = await store.kept()
    const came = await fired(ticks.map(({ name }) => name))
    expect(came.sort()).toEqual(overdue.map(({ id, next }) => [id, next]).sort())
    expect((await store.kept()).every(({ next }) => next > Date.now())).toBe(true)
    expect(await idsAndPatterns()).toEqual(wanted(ticks))
  })

  test('a lost store: the next look makes them anew, and each tick is fired for what was missed', async () => {
    const parts = leader()
    await lookAfterSchedules(parts)
    await store.lose()
    expect(await store.kept()).toEqual([])
    const asked: string[] = []
    await lookAfterSchedules({ ...parts, fire: async (tick) => void asked.push(tick.name) })
    expect(await idsAndPatterns()).toEqual(wanted(ticks))
    expect(asked.sort()).toEqual(ticks.map(({ name }) => name).sort())
  })

  test('a changed one is rewritten, a renamed one removed under its old name; the others are not touched', async () => {
    const parts = leader()
    await lookAfterSchedules(parts)
    const before = await store.kept()
    const [first, second, ...rest] = ticks
    const next: Job[] = [{ ...first!, schedule: '7 * * * *' }, { ...second!, name: `${second!.name}-anew` }, ...rest]
    const asked: string[] = []
    await lookAfterSchedules({ ...parts, ticks: next, fire: async (tick) => void asked.push(tick.name) })
    expect(await idsAndPatterns()).toEqual(wanted(next))
    expect(asked.sort()).toEqual([first!.name, `${second!.name}-anew`].sort())
    const untouched = (list: Kept[]) => list.filter(({ id }) => rest.some(({ name }) => name === id))
    expect(untouched(await store.kept())).toEqual(untouched(before))
  })

  test('two leaders: one leads, the other when its lease is over or given back; both at once do no harm', async () => {
    const [one, other] = [leader(), leader()]
    const looks = await Promise.all([lookAfterSchedules(one), lookAfterSchedules(other)])
    expect(looks.filter((made) => made === null)).toHaveLength(1)
    const [leads, waits] = looks[0] === null ? [other, one] : [one, other]
    expect(await lookAfterSchedules(waits)).toBeNull()
    await superuser.query(`UPDATE leases SET ends_at = clock_timestamp() - interval '1 second'`)
    expect(await lookAfterSchedules(waits)).toEqual([])
    expect(await lookAfterSchedules(leads)).toBeNull()
    await dropLease(db, SCHEDULES_LEASE, leads.holder)
    expect(await lookAfterSchedules(leads)).toBeNull()
    await dropLease(db, SCHEDULES_LEASE, waits.holder)
    expect(await lookAfterSchedules(leads)).toEqual([])
    // One that was stopped while it led looks at the same time as its successor.
    const kept = await store.kept()
    const made = await Promise.all([queue.keepSchedules(ticks), queue.keepSchedules(ticks)])
    expect([made, await store.kept()]).toEqual([[[], []], kept])
    await store.lose()
    await Promise.all([queue.keepSchedules(ticks), queue.keepSchedules(ticks)])
    expect(await idsAndPatterns()).toEqual(wanted(ticks))
  })

  test('a process that starts looks at once, and gives its lease back when it stops', async () => {
    const clockwork = startClockwork(leader(), onError)
    await waitUntil('the schedules are there', async () => (await store.kept()).length === ticks.length)
    expect((await superuser.query('SELECT 1 FROM leases')).rowCount).toBe(1)
    await clockwork.stop()
    expect((await superuser.query('SELECT 1 FROM leases')).rowCount).toBe(0)
  })

  test('a schedule that has lost its next tick, and would never fire again, is made anew', async () => {
    const parts = leader()
    await lookAfterSchedules(parts)
    await store.loseTicks()
    const asked: string[] = []
    await lookAfterSchedules({ ...parts, fire: async (tick) => void asked.push(tick.name) })
    expect(await idsAndPatterns()).toEqual(wanted(ticks))
    expect(asked.sort()).toEqual(ticks.map(({ name }) => name).sort())
  })

  test('a tick tells the instant it was scheduled for', async () => {
    const every: Job = { ...ticks[0]!, schedule: '* * * * * *' }
    await lookAfterSchedules(leader([], [every]))
    const seen = await fired([every.name])
    expect(seen.every(([name, at]) => name === every.name && at % 1_000 === 0)).toBe(true)
  })
})
