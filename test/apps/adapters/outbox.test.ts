// The outbox: what is staged is done, however often it fails, whatever the queue forgets. The jobs here are the test's
// own, put into the catalog of this process.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../../apps/adapters/database.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { createRelay, retryDelayMs, sweep, workStaged } from '../../../apps/adapters/outbox.ts'
import { retry } from '../../../jobs/kit/job.ts'
import { dead, done, later, skipped, type Outcome } from '../../../jobs/kit/outcome.ts'
import type { Ports } from '../../../jobs/kit/ports.ts'
import { stage } from '../../../jobs/kit/stage.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import {
  delayOf,
  fakeQueue,
  register,
  stagedFacts,
  unregister,
  type StagedFacts,
  type TestJob,
} from '../../support/staged.ts'

let database: TestDatabase
let db: ProcessDatabase
let owner: ProcessDatabase
let offered: unknown[] = []
const NOW = new Date('2026-10-01T12:00:00Z')
const silent = { info: () => {}, warn: () => {} }

beforeAll(async () => {
  database = await createTestDatabase()
  db = connectDatabase({ url: database.workerUrl, max: 4, onStaged: (rows) => offered.push(...rows) })
  owner = connectDatabase({ url: database.ownerUrl, max: 2 })
})
afterAll(async () => {
  await Promise.all([db.close(), owner.close()])
  await database.drop()
})
afterEach(async () => {
  await owner.prisma.$executeRaw`DELETE FROM staged_jobs`
  offered = []
})

const ports = (): Ports => ({ db, clock: { now: async () => NOW }, newId, log: silent }) as unknown as Ports

const rowOf = (id: string): Promise<StagedFacts> => stagedFacts(db, id)

let facts = 0
async function staged(job: TestJob, dueAt?: Date): Promise<string> {
  facts += 1
  const key = String(facts)
  await db.acrossAccounts((tx) => stage(tx, job, { n: facts }, dueAt ? { dueAt } : {}))
  const rows = await db.prisma.$queryRaw<{ id: string }[]>`
    SELECT id FROM staged_jobs WHERE name = ${job.name} AND key = ${key}`
  return rows[0]!.id
}

/** As if the time until the sweep may look had passed. */
const ripen = (): Promise<unknown> =>
  owner.prisma.$executeRaw`UPDATE staged_jobs SET next_at = clock_timestamp() - interval '1 second'`

describe('a staged job that is worked', () => {
  const ends: [Outcome, { outcome: string; reason: string | null }][] = [
    [done(), { outcome: 'done', reason: null }],
    [done('a note'), { outcome: 'done', reason: 'a note' }],
    [skipped('moved on'), { outcome: 'skipped', reason: 'moved on' }],
    [dead('never'), { outcome: 'dead', reason: 'never' }],
  ]
  it.each(ends)('%j ends its row, and the row is never run again', async (outcome, expected) => {
    let runs = 0
    const id = await staged(register('outbox-test.ends', async () => ((runs += 1), outcome)))
    await workStaged(id, db, ports())
    expect(await rowOf(id)).toMatchObject({ ...expected, finished: true, attempts: 0 })
    const ended = await rowOf(id)
    await workStaged(id, db, ports())
    await ripen()
    const queue = fakeQueue()
    expect(await sweep(db, queue, NOW)).toBe(0)
    expect(queue.added).toEqual([])
    expect([runs, (await rowOf(id)).outcome]).toEqual([1, ended.outcome])
  })

  it('that throws is tried again, later each time; dead after the last, and buried once', async () => {
    const buried: string[] = []
    const job = register('outbox-test.fails', () => Promise.reject(new Error('no luck for a@b.example')), {
      bury: async (_, __, reason) => void buried.push(reason),
    })
    const id = await staged(job)
    const fail = () => expect(workStaged(id, db, ports())).rejects.toThrow('no luck')
    // 60 s, then the 100 s by which it is bounded, each spread by up to a quarter.
    for (const [n, [least, most]] of [
      [60, 75],
      [100, 125],
    ].entries()) {
      const [atLeast, atMost] = await delayOf(db, id, fail)
      expect(atMost).toBeGreaterThanOrEqual(least!)
      expect(atLeast).toBeLessThanOrEqual(most!)
      const counted = { attempts: n + 1, redrives: n + 1, outcome: null, reason: 'no luck for [mail address]' }
      expect(await rowOf(id)).toMatchObject(counted)
      expect(buried).toEqual([])
    }
    await fail()
    expect(await rowOf(id)).toMatchObject({ outcome: 'dead', finished: true })
    expect((await rowOf(id)).reason).toMatch(/^gave up after 3 attempts: no luck/)
    expect(buried).toHaveLength(1)
    await workStaged(id, db, ports())
    expect(buried).toHaveLength(1)
  })

  it('that says dead is buried at once, with its reason', async () => {
    const buried: string[] = []
    const id = await staged(
      register('outbox-test.dead', async () => dead('hopeless'), {
        bury: async (_, __, reason) => void buried.push(reason),
      }),
    )
    await workStaged(id, db, ports())
    expect([buried, (await rowOf(id)).outcome]).toEqual([['hopeless'], 'dead'])
  })

  it('whose burial fails is not lost: it stays undone, and is buried when that works', async () => {
    let broken = true
    const job = register('outbox-test.unburied', () => Promise.reject(new Error('no luck')), {
      retry: { attempts: 1, firstDelayMs: 1, maxDelayMs: 1 },
      bury: async () => {
        if (broken) throw new Error('the database is away')
      },
    })
    const id = await staged(job)
    await expect(workStaged(id, db, ports())).rejects.toThrow()
    expect((await rowOf(id)).finished).toBe(false)
    broken = false
    await expect(workStaged(id, db, ports())).rejects.toThrow('no luck')
    expect(await rowOf(id)).toMatchObject({ outcome: 'dead', finished: true })
  })

  it('of no known name, or with a payload it does not take, is dead', async () => {
    const unknown = register('outbox-test.removed', async () => done())
    const [gone, wrong] = [await staged(unknown), await staged(register('outbox-test.typed', async () => done()))]
    unregister(unknown)
    // The next version, or the one before, may know it: until a day has gone by it is left to that.
    await workStaged(gone, db, ports())
    expect(await rowOf(gone)).toMatchObject({ outcome: null, reason: 'there is no such job', attempts: 0 })
    await owner.prisma.$executeRaw`
      UPDATE staged_jobs SET created_at = created_at - interval '25 hours' WHERE id = ${gone}::uuid`
    await owner.prisma.$executeRaw`UPDATE staged_jobs SET payload = '{"n": "one"}' WHERE id = ${wrong}::uuid`
    await workStaged(gone, db, ports())
    await workStaged(wrong, db, ports())
    expect(await rowOf(gone)).toMatchObject({ outcome: 'dead', reason: 'there is no such job' })
    expect((await rowOf(wrong)).outcome).toBe('dead')
    expect((await rowOf(wrong)).reason).toMatch(/^payload refused/)
  })

  it('that does not exist is nothing, and one that two workers have at once ends once', async () => {
    await workStaged(newId(), db, ports())
    const id = await staged(register('outbox-test.raced', async () => done('same')))
    await Promise.all([workStaged(id, db, ports()), workStaged(id, db, ports())])
    expect(await rowOf(id)).toMatchObject({ outcome: 'done', reason: 'same', attempts: 0 })
  })

  it('the job of an action that dies marks the action failed, and says so to who waits', async () => {
    const [account, action, job] = [newId(), newId(), newId()]
    await owner.prisma.$executeRaw`
      INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
      VALUES (${account}::uuid, 'A', 'usd', 'UTC', '2026-10-01', ${NOW}::timestamptz)`
    await owner.prisma.$queryRaw`
      SELECT verdict FROM accept_action(${account}::uuid, ${action}::uuid, 'license.issue', '{}', 'key:x',
        ${NOW}::timestamptz, ${job}::uuid, NULL, NULL)`
    const broken = { ...ports(), db: { ...db, withAccount: () => Promise.reject(new Error('always')) } } as Ports
    for (let attempt = 1; attempt <= retry.brief.attempts; attempt += 1) {
      const before = await db.prisma.$queryRaw`SELECT status FROM actions WHERE id = ${action}::uuid`
      expect(before).toEqual([{ status: 'queued' }])
      await expect(workStaged(job, db, broken)).rejects.toThrow('always')
    }
    expect(await rowOf(job)).toMatchObject({ outcome: 'dead', attempts: retry.brief.attempts - 1 })
    const ended = await db.prisma.$queryRaw`
      SELECT status, error ->> 'code' AS code, ended_at AS at FROM actions WHERE id = ${action}::uuid`
    expect(ended).toEqual([{ status: 'failed', code: 'internal_error', at: NOW }])
  })
})

describe('the delay before the next try', () => {
  it.each(Object.entries(retry))('%s: grows to its bound, and is spread by at most a quarter', (_, policy) => {
    const delays = Array.from({ length: policy.attempts }, (__, n) => retryDelayMs({ retry: policy }, n, 0))
    expect(delays[0]).toBe(policy.firstDelayMs)
    delays.slice(1).forEach((delay, n) => expect(delay).toBe(Math.min(delays[n]! * 2, policy.maxDelayMs)))
    expect(retryDelayMs({ retry: policy }, 10_000, 1)).toBe(policy.maxDelayMs * 1.25)
  })
})

describe('the sweep', () => {
  const LATER = new Date('2026-10-05T00:00:00Z')

  it('adds again what the relay lost, once it is old enough, and leaves what the queue still holds', async () => {
    const job = register('outbox-test.lost', async () => done())
    const ids = [await staged(job), await staged(job)]
    const queue = fakeQueue()
    expect(await sweep(db, queue, NOW)).toBe(0)
    await ripen()
    expect(await sweep(db, queue, NOW)).toBe(2)
    expect(queue.added.map(({ jobId }) => jobId).sort()).toEqual(ids.map((id) => `${id}-0`).sort())
    expect(queue.added[0]).toMatchObject({ queue: 'outbox-test', name: job.name, data: { staged: expect.any(String) } })
    expect(await sweep(db, queue, NOW)).toBe(0)
    await ripen()
    expect(await sweep(db, queue, NOW)).toBe(0)
    expect(queue.added).toHaveLength(2)
    expect((await rowOf(ids[0]!)).redrives).toBe(0)
  })

  it('an emptied queue loses nothing: everything undone is added again, what is finished is not', async () => {
    const job = register('outbox-test.flushed', async () => done())
    const [ended, undone] = [await staged(job), await staged(job)]
    await workStaged(ended, db, ports())
    await ripen()
    await sweep(db, fakeQueue(), NOW)
    await ripen()
    const empty = fakeQueue()
    expect(await sweep(db, empty, NOW)).toBe(1)
    expect(empty.added[0]!.data).toMatchObject({ staged: undone })
  })

  it('a job the queue has ended and keeps is added under a new id', async () => {
    const id = await staged(register('outbox-test.stuck', async () => done()))
    const queue = fakeQueue()
    queue.states.set(`${id}-0`, 'ended')
    await ripen()
    expect(await sweep(db, queue, NOW)).toBe(1)
    expect(queue.added.map(({ jobId }) => jobId)).toEqual([`${id}-1`])
    expect((await rowOf(id)).redrives).toBe(1)
  })

  it('a retry comes up under a new id, when its delay is over', async () => {
    const id = await staged(register('outbox-test.retried', () => Promise.reject(new Error('no luck'))))
    const queue = fakeQueue()
    queue.states.set(`${id}-0`, 'ended')
    await expect(workStaged(id, db, ports())).rejects.toThrow()
    expect(await sweep(db, queue, NOW)).toBe(0)
    await ripen()
    await sweep(db, queue, NOW)
    expect(queue.added.map(({ jobId }) => jobId)).toEqual([`${id}-1`])
  })

  it('later waits for business time, uses up no attempt, and comes up under a new id', async () => {
    let ready = false
    const id = await staged(register('outbox-test.later', async () => (ready ? done() : later(LATER, 'not yet'))))
    const queue = fakeQueue()
    queue.states.set(`${id}-0`, 'ended')
    await workStaged(id, db, ports())
    expect(await rowOf(id)).toMatchObject({ finished: false, attempts: 0, dueAt: LATER, reason: 'not yet' })
    await ripen()
    expect(await sweep(db, queue, new Date(LATER.getTime() - 1))).toBe(0)
    expect(await sweep(db, queue, LATER)).toBe(1)
    expect(queue.added.map(({ jobId }) => jobId)).toEqual([`${id}-1`])
    ready = true
    await workStaged(id, db, ports())
    expect(await rowOf(id)).toMatchObject({ finished: true, outcome: 'done', attempts: 0 })
  })

  it('what is staged for a business instant is not offered to the relay, and not added before', async () => {
    await staged(
      register('outbox-test.dated', async () => done()),
      LATER,
    )
    expect(offered).toEqual([])
    await ripen()
    const queue = fakeQueue()
    expect(await sweep(db, queue, NOW)).toBe(0)
    expect(await sweep(db, queue, LATER)).toBe(1)
  })

  it('a name nobody knows is not added, and after a day ends as dead', async () => {
    const job = register('outbox-test.forgotten', async () => done())
    const id = await staged(job)
    unregister(job)
    await ripen()
    expect(await sweep(db, fakeQueue(), NOW)).toBe(0)
    expect(await rowOf(id)).toMatchObject({ outcome: null, finished: false, reason: 'there is no such job' })
    await owner.prisma.$executeRaw`UPDATE staged_jobs SET created_at = created_at - interval '25 hours'`
    await ripen()
    expect(await sweep(db, fakeQueue(), NOW)).toBe(0)
    expect(await rowOf(id)).toMatchObject({ outcome: 'dead', finished: true })
  })

  it('two that sweep at once add each row once', async () => {
    const job = register('outbox-test.swept', async () => done())
    for (let n = 0; n < 30; n += 1) await staged(job)
    await ripen()
    const queues = [fakeQueue(), fakeQueue(), fakeQueue()]
    const counts = await Promise.all(queues.map((queue) => sweep(db, queue, NOW)))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(30)
    expect(new Set(queues.flatMap(({ added }) => added.map(({ jobId }) => jobId))).size).toBe(30)
  })
})

describe('the relay', () => {
  it('hands over what was committed, one bulk at a time, and survives a queue that is down', async () => {
    const job = register('outbox-test.relayed', async () => done())
    const id = await staged(job)
    expect(offered).toMatchObject([{ id, name: job.name }])
    const errors: unknown[] = []
    const queue = fakeQueue()
    const down = createRelay({ ...queue, add: () => Promise.reject(new Error('down')) }, (error) => errors.push(error))
    down.offer([{ id, name: job.name, payload: { n: 1 } }])
    await down.drain()
    expect(errors).toHaveLength(1)
    const relay = createRelay(queue, (error) => errors.push(error))
    relay.offer([
      { id, name: job.name, payload: { n: 1 } },
      { id: newId(), name: 'outbox-test.nobody', payload: {} },
    ])
    await relay.drain()
    const data = { staged: id, n: 1 }
    expect(queue.added).toEqual([{ queue: 'outbox-test', jobId: `${id}-0`, name: job.name, data }])
    expect(errors).toHaveLength(1)
  })

  it('a transaction that fails offers nothing', async () => {
    const job = register('outbox-test.undone', async () => done())
    await expect(
      db.acrossAccounts(async (tx) => {
        await stage(tx, job, { n: 1 })
        throw new Error('undone')
      }),
    ).rejects.toThrow('undone')
    expect(offered).toEqual([])
  })
})
