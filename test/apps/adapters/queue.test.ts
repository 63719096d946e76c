// BullMQ, the real one, on both of its backends: what one process adds another works. And on PostgreSQL the queue's own
// role sees nothing of ours.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../../apps/adapters/database.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { createRelay, sweep, workStaged } from '../../../apps/adapters/outbox.ts'
import { connectQueue, startWorkers, type JobQueue, type WorkHandlers } from '../../../apps/adapters/queue.ts'
import { release } from '../../../apps/release.ts'
import { done } from '../../../jobs/kit/outcome.ts'
import type { Ports } from '../../../jobs/kit/ports.ts'
import { stage } from '../../../jobs/kit/stage.ts'
import { openBackend } from '../../../apps/adapters/queue-backend.ts'
import { BACKENDS, type Backend } from '../../support/backends.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import { register, stagedFacts } from '../../support/staged.ts'
import { waitUntil } from '../../support/wait.ts'

const QUEUE = 'queue-test'
const NOW = new Date('2026-10-01T12:00:00Z')
const account = newId()
let database: TestDatabase
let superuser: pg.Client
let db: ProcessDatabase
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
})
afterAll(async () => {
  await Promise.all([db.close(), superuser.end()])
  await database.drop()
})
afterEach(() => expect(errors).toEqual([]))

const ports = (): Ports =>
  ({ db, clock: { now: async () => NOW }, log: { info: () => {}, warn: () => {} } }) as unknown as Ports
const entry = (id: string) => ({ queue: QUEUE, jobId: `${id}-0`, name: `${QUEUE}.echo`, data: { staged: id } })
const nothing: WorkHandlers = { work: async () => {}, tick: async () => {} }

describe.each(BACKENDS)('a job on $name', ({ missing, start }) => {
  let backend: Backend
  let apiQueue: JobQueue
  beforeAll(async () => {
    if (missing !== null) return
    backend = await start(database)
    apiQueue = connectQueue(backend.api, [QUEUE], onError)
  })
  afterAll(async () => {
    await apiQueue?.close()
    await backend?.stop()
  })

  async function withWorkers(handlers: Partial<WorkHandlers>, work: () => Promise<void>): Promise<void> {
    const options = { address: backend.worker, concurrency: new Map([[QUEUE, 4]]) }
    const workers = startWorkers(options, { ...nothing, ...handlers }, onError)
    try {
      await work()
    } finally {
      await workers.close()
    }
  }

  const endedInQueue = (id: string) =>
    waitUntil(`${id} has ended in the queue`, async () => (await apiQueue.state(QUEUE, `${id}-0`)) === 'ended')

  it.skipIf(missing !== null)(
    'told to the queue by the API is worked by the worker, as roles that are not each other',
    async () => {
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
    },
  )

  it.skipIf(missing !== null)('is pending, then ended; one that was never added is unknown', async () => {
    const id = newId()
    expect(await apiQueue.state(QUEUE, `${id}-0`)).toBe('unknown')
    await apiQueue.add([entry(id)])
    expect(await apiQueue.state(QUEUE, `${id}-0`)).toBe('pending')
    const worked: string[] = []
    await withWorkers({ work: async (staged) => void worked.push(staged) }, () => endedInQueue(id))
    expect(worked).toEqual([id])
  })

  it.skipIf(missing !== null)(
    'added again under its id is swallowed, pending or ended; under the next id it is worked again',
    async () => {
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
    },
  )

  it.skipIf(missing !== null)(
    'that throws has ended for the queue, which does not try it again: that is the sweep’s business',
    async () => {
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
    },
  )

  it.skipIf(missing !== null)('a canary is taken, shows that the worker eats, and leaves no trace', async () => {
    const options = { address: backend.worker, concurrency: new Map([[QUEUE, 4]]) }
    const workers = startWorkers(options, nothing, onError)
    try {
      const { tookAt } = workers.appetite().get(QUEUE)!
      await apiQueue.addCanary(QUEUE)
      await waitUntil('it is taken', () => workers.appetite().get(QUEUE)!.tookAt > tookAt)
      expect(workers.appetite().get(QUEUE)!.full).toBe(false)
    } finally {
      await workers.close()
    }
    const inspector = openBackend(backend.api, 'add', 1, onError)
    const queue = inspector.queue(QUEUE)
    const jobs = await queue.getJobs(['waiting', 'active', 'completed', 'failed'])
    expect(jobs.filter(({ name }) => name === 'canary')).toEqual([])
    await queue.pause()
    expect(await apiQueue.addCanary(QUEUE)).toBeNull()
    await queue.resume()
    await queue.close()
    await inspector.close()
  })

  it.skipIf(missing !== null)('one that fills its worker is seen as doing so', async () => {
    let letGo = (): void => {}
    const held = new Promise<void>((done) => (letGo = done))
    const id = newId()
    await apiQueue.add([entry(id)])
    const options = { address: backend.worker, concurrency: new Map([[QUEUE, 1]]) }
    const workers = startWorkers(options, { ...nothing, work: () => held }, onError)
    try {
      await waitUntil('it is full', () => workers.appetite().get(QUEUE)!.full)
      letGo()
      await waitUntil('it is not', () => !workers.appetite().get(QUEUE)!.full)
    } finally {
      letGo()
      await workers.close()
    }
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
    const apiQueue = connectQueue({ databaseUrl: database.apiUrl }, [QUEUE], onError)
    const workerQueue = connectQueue({ databaseUrl: database.workerUrl }, [QUEUE], onError)
    try {
      await apiQueue.add([entry(newId())])
      await workerQueue.add([entry(newId())])
      const { rows } = await superuser.query('SELECT DISTINCT who FROM bullmq.witness ORDER BY 1')
      expect(rows.map(({ who }) => who)).toEqual(['perdiem_api as perdiem_queue', 'perdiem_worker as perdiem_queue'])
    } finally {
      await Promise.all([workerQueue.close(), apiQueue.close()])
      await superuser.query('DROP TRIGGER note ON bullmq.job; DROP FUNCTION bullmq.note(); DROP TABLE bullmq.witness')
    }
  })
})
