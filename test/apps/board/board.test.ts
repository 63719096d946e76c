// What the board shows and does, on both backends: every queue of either store; who only looks changes nothing; who may
// retry does so by our own audited command, and nothing else.
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { appRoutes } from '@bull-board/api/dist/routes.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../../apps/adapters/ids.ts'
import { connectQueue, startWorkers, type JobQueue, type QueueWorkers } from '../../../apps/adapters/queue.ts'
import { BOARD_CSS } from '../../../apps/board/bull-board.ts'
import type { Running } from '../../../apps/lifecycle.ts'
import { queues } from '../../../jobs/catalog.ts'
import { BACKENDS, type Backend } from '../../support/backends.ts'
import { waitUntil } from '../../support/wait.ts'
import { createStage, openBoard, visit, type Stage, type Visitor } from './visitor.ts'

const NAME = 'payments.charge-invoice'
let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage?.close())

/** A row as the outbox leaves it. */
async function record(outcome: 'dead' | 'done' | null, name = NAME): Promise<string> {
  const id = newId()
  await stage.superuser.query(
    `INSERT INTO staged_jobs (id, name, payload, key, next_at, attempts, outcome, finished_at, reason)
     VALUES ($1, $2, $3, $4, now(), 7, $5, CASE WHEN $5::text IS NULL THEN NULL ELSE now() END, 'because')`,
    [id, name, { invoice: newId() }, id, outcome],
  )
  return id
}

const facts = async (id: string) =>
  (
    await stage.superuser.query(
      `SELECT coalesce(outcome, 'open') AS status, attempts, redrives FROM staged_jobs WHERE id = $1`,
      [id],
    )
  ).rows[0]

const audited = async (id: string) =>
  (await stage.superuser.query('SELECT actor, action FROM audit_entries WHERE subject = $1', [id])).rows

/** Every route of Bull Board's that writes, with something in the place of each parameter. */
const writes = (appRoutes.api as { method: string | string[]; route: string | string[] }[]).flatMap(
  ({ method, route }) =>
    [method]
      .flat()
      .filter((one) => one !== 'get')
      .flatMap((one) =>
        [route].flat().map((path) => ({
          method: one.toUpperCase(),
          path: path.replace(':queueName', 'payments').replace(':queueStatus', 'failed').replace(/:\w+/g, 'something'),
        })),
      ),
)
const isRetry = ({ path }: { path: string }): boolean => /\/retry(\/|$)/.test(path)

describe.each(BACKENDS)('on $name', ({ name: kind, missing, start }) => {
  let backend: Backend
  let board: Running
  let queue: JobQueue
  let workers: QueueWorkers
  let operator: { id: string; secret: string }
  let looking: Visitor
  let retrying: Visitor
  beforeAll(async () => {
    if (missing !== null) return
    backend = await start(stage.database)
    board = await openBoard(stage.database.apiUrl, { REDIS_URL: backend.api.redisUrl })
    queue = connectQueue(backend.api, queues, () => {})
    const options = { address: backend.worker, concurrency: new Map([['payments', 4]]) }
    const fails = async (id: string): Promise<void> => {
      throw new Error(`it failed: ${id}`)
    }
    workers = startWorkers(options, { work: fails, tick: async () => {} }, () => {})
    operator = await stage.key('operator')
    looking = visit(board.ready)
    retrying = visit(board.ready)
    await retrying.signIn(operator.secret)
    await looking.signIn((await stage.key('observer')).secret)
    await waitUntil('the queues answer', async () => {
      const { queues: shown } = (await looking.get('/api/queues')).json()
      return shown.every(({ counts }: { counts: object }) => Object.keys(counts).length > 0)
    })
  })
  afterAll(async () => {
    await Promise.allSettled([workers?.close(), queue?.close(), board?.stop()])
    await backend?.stop()
  })

  /** A job in the queue that has failed there, of the record. */
  async function failed(id: string): Promise<string> {
    await queue.add([{ queue: 'payments', jobId: `${id}-7`, name: NAME, data: { staged: id, invoice: newId() } }])
    await waitUntil('the job has failed', async () => (await queue.state('payments', `${id}-7`)) === 'ended')
    return `/api/queues/payments/${id}-7`
  }

  it.skipIf(missing !== null)('every queue of both stores is listed, for both roles', async () => {
    const others = kind === 'Redis' ? queues.map((name) => `${name} (PostgreSQL)`) : []
    for (const visitor of [looking, retrying]) {
      const { queues: shown } = (await visitor.get('/api/queues')).json()
      expect(shown.map((one: { displayName: string }) => one.displayName)).toEqual([...queues, ...others])
      expect(new Set(shown.map((one: { name: string }) => one.name)).size).toBe(shown.length)
      expect(new Set(shown.map((one: { readOnlyMode: boolean }) => one.readOnlyMode))).toEqual(
        new Set([visitor === looking]),
      )
    }
  })

  it.skipIf(missing !== null)('a job left in PostgreSQL by a switch is seen beside those of Redis', async () => {
    const left = connectQueue({ databaseUrl: stage.database.apiUrl }, ['documents'], () => {})
    const id = newId()
    await left.add([{ queue: 'documents', jobId: `${id}-0`, name: 'documents.render-invoice', data: { staged: id } }])
    await left.close()
    const path = kind === 'Redis' ? 'postgresql.documents' : 'documents'
    expect((await looking.get(`/api/queues/${path}/${id}-0`)).json()).toMatchObject({ job: { data: { staged: id } } })
    if (kind === 'Redis') expect((await looking.get(`/api/queues/documents/${id}-0`)).status).toBe(404)
  })

  it.skipIf(missing !== null)('an observer sees a job, its record and why it failed', async () => {
    const id = await record('dead')
    const { job, status } = (await looking.get(await failed(id))).json()
    expect(status).toBe('failed')
    expect(job).toMatchObject({
      name: NAME,
      failedReason: `it failed: ${id}`,
      data: { staged: id, record: { job: `job_${id.replaceAll('-', '')}`, status: 'dead', reason: 'because' } },
    })
    const listed = (await looking.get('/api/queues?activeQueue=payments&status=failed&page=1')).json()
    const one = listed.queues.find(({ name }: { name: string }) => name === 'payments')
    expect(one.jobs.map((shown: { id: string }) => shown.id)).toContain(`${id}-7`)
    expect(one.allowRetries).toBe(false)
  })

  it.skipIf(missing !== null)('an observer changes nothing: every write is 405', async () => {
    const id = await record('dead')
    const path = await failed(id)
    expect(writes.length).toBeGreaterThan(20)
    const asked = [...writes, { method: 'PUT', path: `${path}/retry` }, { method: 'DELETE', path }]
    for (const { method, path: one } of asked) {
      expect([method, one, (await looking.send(method, one)).status]).toEqual([method, one, 405])
    }
    expect(await facts(id)).toEqual({ status: 'dead', attempts: 7, redrives: 0 })
    expect(await audited(id)).toEqual([])
  })

  it.skipIf(missing !== null)('an operator retries a dead job: it is opened again, once, and audited', async () => {
    const id = await record('dead')
    const path = await failed(id)
    expect((await retrying.send('PUT', `${path}/retry`)).status).toBe(204)
    expect(await facts(id)).toEqual({ status: 'open', attempts: 0, redrives: 1 })
    expect(await audited(id)).toEqual([{ actor: `key:${operator.id}`, action: 'job.retried' }])
    const again = await retrying.send('PUT', `${path}/retry`)
    expect(again.status).toBe(409)
    expect(again.json().error).toMatch(/^This job is not dead/)
    expect(await audited(id)).toHaveLength(1)
    expect((await queue.state('payments', `${id}-7`)) === 'ended', 'the queue is left alone').toBe(true)
  })

  it.skipIf(missing !== null)('what is not dead, or has no record, is not retried, and that is said', async () => {
    for (const [outcome, status] of [
      [null, 'open'],
      ['done', 'done'],
    ] as const) {
      const id = await record(outcome)
      const answer = await retrying.send('PUT', `${await failed(id)}/retry`)
      expect([answer.status, (await facts(id)).status]).toEqual([409, status])
    }
    const stranger = newId()
    expect((await retrying.send('PUT', `${await failed(stranger)}/retry`)).status).toBe(404)
    expect((await retrying.send('PUT', '/api/queues/payments/nowhere/retry')).status).toBe(404)
    expect((await retrying.send('PUT', '/api/queues/nowhere/nowhere/retry')).status).toBe(404)
    expect((await retrying.send('PUT', '/api/queues/nowhere/retry/failed')).status).toBe(404)
    expect(await audited(stranger)).toEqual([])
  })

  it.skipIf(missing !== null)('retrying all opens the queue’s dead jobs, and none of another queue', async () => {
    await stage.superuser.query(`UPDATE staged_jobs SET outcome = 'done' WHERE outcome = 'dead'`)
    const [one, two, other] = [await record('dead'), await record('dead'), await record('dead', 'usage.count-day')]
    const answer = await retrying.send('PUT', '/api/queues/payments/retry/failed')
    expect([answer.status, answer.json()]).toEqual([200, { retried: 2, skipped: 0 }])
    for (const id of [one, two]) {
      expect(await facts(id)).toEqual({ status: 'open', attempts: 0, redrives: 1 })
      expect(await audited(id)).toEqual([{ actor: `key:${operator.id}`, action: 'job.retried' }])
    }
    expect((await facts(other!)).status).toBe('dead')
    const again = await retrying.send('PUT', '/api/queues/payments/retry/failed')
    expect([again.status, again.json().error]).toEqual([409, 'No job of this queue is dead. Nothing was changed.'])
  })

  it.skipIf(missing !== null)('retrying all is bounded, and says when there is more', async () => {
    await stage.superuser.query(
      `INSERT INTO staged_jobs (id, name, payload, key, next_at, outcome, finished_at)
       SELECT gen_random_uuid(), 'imports.apply-import', '{}', 'bounded' || n, now(), 'dead', now()
       FROM generate_series(1, 201) AS n`,
    )
    const answer = await retrying.send('PUT', '/api/queues/imports/retry/failed')
    expect(answer.json().error).toMatch(/^200 dead jobs are tried again. There are more/)
    expect((await retrying.send('PUT', '/api/queues/imports/retry/failed')).json().retried).toBe(1)
    await stage.superuser.query(`DELETE FROM staged_jobs WHERE key LIKE 'bounded%'`)
  })

  it.skipIf(missing !== null)('an operator may do nothing else: every other write is 405', async () => {
    const path = await failed(await record('done'))
    const before = (await retrying.get('/api/queues')).json()
    const asked = [
      ...writes.filter((one) => !isRetry(one)),
      ...['clean', 'promote', 'update-data', 'delay', 'priority'].map((verb) => ({
        method: 'PUT',
        path: `${path}/${verb}`,
      })),
      { method: 'DELETE', path },
      { method: 'POST', path: '/' },
    ]
    expect(asked.length).toBeGreaterThan(25)
    for (const { method, path: one } of asked) {
      expect([method, one, (await retrying.send(method, one)).status]).toEqual([method, one, 405])
    }
    expect((await retrying.get('/api/queues')).json()).toEqual(before)
  })

  const onRedisOnly = kind === 'Redis' ? it.skipIf(missing !== null) : () => {}
  onRedisOnly('a Redis that is gone is said to be, soon, and hides no queue of PostgreSQL', async () => {
    await backend.redis!.kill()
    const shown = async () => (await looking.get('/api/queues')).json().queues
    await waitUntil('Redis is known to be gone', async () => (await shown())[0].displayName.includes('not answer'))
    const all = await shown()
    expect(all.map(({ displayName }: { displayName: string }) => displayName)).toEqual([
      ...queues.map((name) => `${name} – Redis does not answer`),
      ...queues.map((name) => `${name} (PostgreSQL)`),
    ])
    const answer = await retrying.send('PUT', '/api/queues/payments/some-job/retry')
    expect([answer.status, answer.json().error]).toEqual([503, 'Redis does not answer. Try again soon.'])
    expect((await looking.get('/api/queues/payments/some-job')).status).toBe(503)
    expect((await looking.get('/api/job-schedulers')).status).toBe(200)
    expect((await looking.get('/api/redis/stats')).status).toBe(503)
    await backend.redis!.start()
    await waitUntil('Redis is seen again', async () => (await shown())[0].displayName === queues[0])
  })
})

it('what the style sheet takes away is still called so in this version of Bull Board', () => {
  const statics = join(dirname(createRequire(import.meta.url).resolve('@bull-board/ui/package.json')), 'dist/static/js')
  const scripts = readdirSync(statics, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(join(statics, name), 'utf8'))
    .join('\n')
  const names = [...BOARD_CSS.matchAll(/\[class\*=(\w+-)\]|\.lucide-([\w-]+)/g)].map(
    ([, name, icon]) => name ?? `"${icon}"`,
  )
  expect(names.length).toBeGreaterThan(8)
  for (const name of names) expect(scripts.includes(name), name).toBe(true)
})
