// BullMQ on PostgreSQL, the real one: what one process adds another works, schedules keep, and the queue's own role
// sees nothing of ours.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../../apps/adapters/database.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { createRelay, sweep, workStaged } from '../../../apps/adapters/outbox.ts'
import { connectQueue, startWorkers, type JobQueue, type WorkHandlers } from '../../../apps/adapters/queue.ts'
import { release } from '../../../apps/release.ts'
import { ticks } from '../../../jobs/catalog.ts'
import { queueOf, type Job } from '../../../jobs/kit/job.ts'
import { done } from '../../../jobs/kit/outcome.ts'
import type { Ports } from '../../../jobs/kit/ports.ts'
import { stage } from '../../../jobs/kit/stage.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import { register, stagedFacts } from '../../support/staged.ts'
import { waitUntil } from '../../support/wait.ts'

const QUEUE = 'queue-test'
const NOW = new Date('2026-10-01T12:00:00Z')
const account = newId()
const queuesOfTicks = [...new Set(ticks.map(queueOf))]
let database: TestDatabase
let superuser: pg.Client
let db: ProcessDatabase
let apiQueue: JobQueue
const errors: Error[] = []
const onError = (error: Error): void => void errors.push(error)

beforeAll(async () => {
  database = await createTestDatabase()
  // Rights on a database are not cloned with it: the queue's role gets its temporary tables from the release.
  await release(database)
  superuser = new pg.Client({ connectionString: database.superuserUrl })
  await superuser.connect()
  await superuser.query(
    `INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
     VALUES ($1, 'A', 'usd', 'UTC', '2026-10-01', now())`,
    [account],
  )
  db = connectDatabase({ url: database.workerUrl, max: 3 })
  apiQueue = connectQueue(database.apiUrl, [QUEUE, ...queuesOfTicks], onError)
})
afterAll(async () => {
  await Promise.all([apiQueue.close(), db.close(), superuser.end()])
  await database.drop()
})
afterEach(() => expect(errors).toEqual([]))

const ports = (): Ports =>
  ({ db, clock: { now: async () => NOW }, log: { info: () => {}, warn: () => {} } }) as unknown as Ports
const nothing: WorkHandlers = { work: async () => {}, tick: async () => {} }

async function withWorkers(handlers: Partial<WorkHandlers>, work: () => Promise<void>): Promise<void> {
  const workers = startWorkers(database.workerUrl, new Map([[QUEUE, 4]]), { ...nothing, ...handlers }, onError)
  try {
    await work()
  } finally {
    await workers.close()
  }
}

const entry = (id: string) => ({ queue: QUEUE, jobId: `${id}-0`, name: `${QUEUE}.echo`, data: { staged: id } })
const endedInQueue = (id: string) =>
  waitUntil(`${id} has ended in the queue`, async () => (await apiQueue.state(QUEUE, `${id}-0`)) === 'ended')

describe('a job', () => {
  it('told to the queue by the API is worked by the worker, as roles that are not each other', async () => {
    const job = register(`${QUEUE}.echo`, async () => done('heard'))
    const relay = createRelay(apiQueue, (error) => onError(error as Error))
    const staged: string[] = []
    const stager = connectDatabase({
      url: database.workerUrl,
      max: 1,
      onStaged: (rows) => (staged.push(...rows.map(({ id }) => id)), relay.offer(rows)),
    })
    try {
      await withWorkers({ work: (id) => workStaged(id, db, ports()) }, async () => {
        await stager.withAccount(account, (tx) => stage(tx, job, { n: 1 }, { accountId: account }))
        await relay.drain()
        await endedInQueue(staged[0]!)
      })
      expect(await stagedFacts(db, staged[0]!)).toMatchObject({ outcome: 'done', reason: 'heard', finished: true })
    } finally {
      await stager.close()
    }
  })

  it('is pending, then ended; one that was never added is unknown', async () => {
    const id = newId()
    expect(await apiQueue.state(QUEUE, `${id}-0`)).toBe('unknown')
    await apiQueue.add([entry(id)])
    expect(await apiQueue.state(QUEUE, `${id}-0`)).toBe('pending')
    const worked: string[] = []
    await withWorkers({ work: async (staged) => void worked.push(staged) }, () => endedInQueue(id))
    expect(worked).toEqual([id])
  })

  it('added again under its id is swallowed, pending or ended; under the next id it is worked again', async () => {
    const [id, last] = [newId(), newId()]
    const worked: string[] = []
    await apiQueue.add([entry(id), entry(id)])
    await apiQueue.add([entry(id)])
    await withWorkers({ work: async (staged) => void worked.push(staged) }, async () => {
      await endedInQueue(id)
      await apiQueue.add([entry(id)])
      await apiQueue.add([{ ...entry(id), jobId: `${id}-1` }, entry(last)])
      await waitUntil('the later ones are worked', () => worked.length >= 3)
      await endedInQueue(last)
    })
    expect(worked.sort()).toEqual([id, id, last].sort())
  })

  it('that throws has ended for the queue, which does not try it again: that is the sweep’s business', async () => {
    let runs = 0
    const job = register(`${QUEUE}.fails`, () => {
      runs += 1
      return runs === 1 ? Promise.reject(new Error('no luck')) : Promise.resolve(done())
    })
    const staged: string[] = []
    const staging = connectDatabase({
      url: database.workerUrl,
      max: 1,
      onStaged: (rows) => staged.push(...rows.map(({ id }) => id)),
    })
    await staging.acrossAccounts((tx) => stage(tx, job, { n: 1 }))
    await staging.close()
    const id = staged[0]!
    const ripe = () => superuser.query('UPDATE staged_jobs SET next_at = now() WHERE id = $1', [id])
    await withWorkers({ work: (one) => workStaged(one, db, ports()) }, async () => {
      await ripe()
      expect(await sweep(db, apiQueue, NOW)).toBe(1)
      await endedInQueue(id)
      expect([runs, (await stagedFacts(db, id)).attempts]).toEqual([1, 1])
      await ripe()
      expect(await sweep(db, apiQueue, NOW)).toBe(1)
      await waitUntil('it is done', async () => (await stagedFacts(db, id)).finished)
    })
    expect(await stagedFacts(db, id)).toMatchObject({ outcome: 'done', attempts: 1, redrives: 1 })
  })
})

describe('schedules', () => {
  /** Rows of schedulers and of the ticks they hold ready, with what any change of them would change. */
  const kept = async () =>
    (
      await superuser.query(`
    SELECT 'scheduler' AS kind, queue, scheduler_id AS id, pattern, xmin::text FROM bullmq.scheduler
    UNION ALL SELECT 'tick', queue, id, scheduler_id, xmin::text FROM bullmq.job WHERE scheduler_id IS NOT NULL
    ORDER BY 1, 2, 3`)
    ).rows
  const patterns = async () =>
    (await kept()).filter(({ kind }) => kind === 'scheduler').map(({ id, pattern }) => [id, pattern])
  const wanted = (list: readonly Job[]) => list.map(({ name, schedule }) => [name, schedule]).sort()

  it('are created for every tick, once, and not rewritten while unchanged', async () => {
    await apiQueue.keepSchedules(ticks)
    const first = await kept()
    expect((await patterns()).sort()).toEqual(wanted(ticks))
    expect(first.filter(({ kind }) => kind === 'tick')).toHaveLength(ticks.length)
    await apiQueue.keepSchedules(ticks)
    const another = connectQueue(database.workerUrl, queuesOfTicks, onError)
    await another.keepSchedules(ticks)
    await another.close()
    expect(await kept()).toEqual(first)
  })

  it('a tick that is overdue is left as it is', async () => {
    await apiQueue.keepSchedules(ticks)
    await superuser.query(`
      UPDATE bullmq.job SET added_at_ms = added_at_ms - 86400000, process_at_ms = process_at_ms - 86400000
      WHERE scheduler_id IS NOT NULL`)
    await superuser.query('UPDATE bullmq.scheduler SET next_run_ms = next_run_ms - 86400000')
    const overdue = await kept()
    await apiQueue.keepSchedules(ticks)
    expect(await kept()).toEqual(overdue)
  })

  it('a changed one is rewritten, and the others are not', async () => {
    await apiQueue.keepSchedules(ticks)
    const before = await kept()
    const [first, ...rest] = ticks
    await apiQueue.keepSchedules([{ ...first!, schedule: '7 * * * *' }, ...rest])
    expect((await patterns()).sort()).toEqual(wanted([{ ...first!, schedule: '7 * * * *' }, ...rest]))
    const untouched = (rows: { id: string; pattern: string }[]) =>
      rows.filter(({ id, pattern }) => id !== first!.name && pattern !== first!.name)
    expect(untouched(await kept())).toEqual(untouched(before))
    await apiQueue.keepSchedules(ticks)
    expect((await patterns()).sort()).toEqual(wanted(ticks))
  })

  it('a tick tells the instant it was scheduled for', async () => {
    const every = register(`${QUEUE}.tick`, async () => done(), { schedule: '* * * * * *' })
    const fired: [string, number][] = []
    await withWorkers({ tick: async (name, at) => void fired.push([name, at.getTime()]) }, async () => {
      await apiQueue.keepSchedules([every as unknown as Job])
      await waitUntil('it has fired twice', () => fired.length >= 2)
    })
    expect(fired.every(([name, at]) => name === every.name && at % 1_000 === 0)).toBe(true)
    expect(fired[1]![1]).toBeGreaterThan(fired[0]![1])
  })
})

describe('the role of the queue', () => {
  it('owns all that is in the schema of the queue', async () => {
    const { rows } = await superuser.query(`
      SELECT relname FROM pg_class
      WHERE relnamespace = 'bullmq'::regnamespace AND relowner <> 'perdiem_queue'::regrole`)
    expect(rows).toEqual([])
  })

  it('has no right to any table, sequence or function of ours', async () => {
    const { rows } = await superuser.query(`
      SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')
        AND CASE relkind WHEN 'S' THEN has_sequence_privilege('perdiem_queue', oid, 'USAGE')
            ELSE has_table_privilege('perdiem_queue', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') END
      UNION ALL
      SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
        AND has_function_privilege('perdiem_queue', oid, 'EXECUTE')`)
    expect(rows).toEqual([])
  })

  it('sees none of the business tables on the connections of either process', async () => {
    const { rows: tables } = await superuser.query(`
      SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
    expect(tables.length).toBeGreaterThan(20)
    for (const url of [database.apiUrl, database.workerUrl]) {
      const client = new pg.Client({ connectionString: url, options: '-c search_path=bullmq -c role=perdiem_queue' })
      await client.connect()
      const seen: string[] = []
      for (const { name } of tables) {
        const code = await client.query(`SELECT 1 FROM public.${name} LIMIT 1`).then(
          () => 'seen',
          (error: pg.DatabaseError) => error.code,
        )
        if (code !== '42501') seen.push(`${name}: ${code}`)
      }
      await client.query('SELECT 1 FROM job LIMIT 1')
      await client.end()
      expect(seen).toEqual([])
    }
  })

  it('is the one under which both processes speak to the queue', async () => {
    await superuser.query(`CREATE TABLE IF NOT EXISTS bullmq.witness (who text);
      GRANT INSERT ON bullmq.witness TO PUBLIC;
      CREATE OR REPLACE FUNCTION bullmq.note() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO bullmq.witness VALUES (session_user || ' as ' || current_user); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT ON bullmq.job FOR EACH STATEMENT EXECUTE FUNCTION bullmq.note()`)
    const workerQueue = connectQueue(database.workerUrl, [QUEUE], onError)
    try {
      await apiQueue.add([entry(newId())])
      await workerQueue.add([entry(newId())])
      const { rows } = await superuser.query('SELECT DISTINCT who FROM bullmq.witness ORDER BY 1')
      expect(rows.map(({ who }) => who)).toEqual(['perdiem_api as perdiem_queue', 'perdiem_worker as perdiem_queue'])
    } finally {
      await workerQueue.close()
      await superuser.query('DROP TRIGGER note ON bullmq.job; DROP FUNCTION bullmq.note(); DROP TABLE bullmq.witness')
    }
  })
})
