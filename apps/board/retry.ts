// Retry, the one thing the board may do. It does not touch the queue: the job's record is opened again, as the API does
// it, and the next sweep tells the queue. What is not dead is being tried again already, and is left to that.
import type { Router, Response } from 'express'
import type { Clock } from '../../jobs/kit/ports.ts'
import { retryDeadJob } from '../api/retry-job.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import { bounded } from './bounded.ts'
import type { BoardQueue } from './board-queue.ts'
import { stagedIdOf } from './show-job.ts'
import { signedIn } from './sign-in.ts'

/** What a transaction of a second or two opens again; who has more dead jobs asks again. */
const RETRY_ALL_MAX = 200

/** Bull Board's page shows this text, and no success, for any answer that has it. */
const refuse = (response: Response, status: number, error: string): void => void response.status(status).json({ error })

const NOT_DEAD = 'This job is not dead: it is done, or is being tried again by itself. Nothing was changed.'
const NO_RECORD = 'This job only asks what is due, or whether somebody works. The next one asks again.'

export interface RetryOptions {
  readonly db: ProcessDatabase
  readonly clock: Clock
  readonly queues: readonly BoardQueue[]
}

/** Two routes in the place of Bull Board's own. Only for operators: asked before. */
export function mountRetry(router: Router, { db, clock, queues }: RetryOptions): void {
  const byName = new Map(queues.map((queue) => [queue.getName(), queue]))
  router.put('/api/queues/:queue/retry/:status', async (request, response) => {
    const queue = byName.get(request.params.queue)
    if (!queue) return refuse(response, 404, 'There is no such queue.')
    const { id } = signedIn(response)
    const found = await bounded('PostgreSQL', () => retryAll(db, clock, queue.getQueueName(), `key:${id}`))
    if (found.retried === 0) return refuse(response, 409, 'No job of this queue is dead. Nothing was changed.')
    if (!found.more) return void response.json({ retried: found.retried, skipped: 0 })
    refuse(response, 409, `${found.retried} dead jobs are tried again. There are more: ask once more.`)
  })
  router.put('/api/queues/:queue/:job/retry', async (request, response) => {
    const queue = byName.get(request.params.queue)
    const job = await queue?.getJob(request.params.job)
    if (!job) return refuse(response, 404, 'There is no such job.')
    const staged = stagedIdOf(job)
    if (staged === null) return refuse(response, 409, NO_RECORD)
    const { id } = signedIn(response)
    const at = await bounded('PostgreSQL', () => clock.now())
    const verdict = await bounded('PostgreSQL', () =>
      db.withOperator((tx) => retryDeadJob(tx, staged, `key:${id}`, at)),
    )
    if (verdict === 'redriven') return void response.status(204).end()
    if (verdict === 'not_dead') return refuse(response, 409, NOT_DEAD)
    refuse(response, 404, 'This job has no record. Nothing was changed.')
  })
}

/** By the records, not by what the queue still shows: the oldest dead first, each with its line in the audit log. */
async function retryAll(db: ProcessDatabase, clock: Clock, queue: string, actor: string) {
  const at = await clock.now()
  return await db.withOperator(async (tx) => {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      SELECT j.id FROM staged_jobs j
      WHERE j.outcome = 'dead' AND split_part(j.name, '.', 1) = ${queue} AND NOT EXISTS (
        SELECT 1 FROM staged_jobs o WHERE o.name = j.name AND o.key = j.key AND o.finished_at IS NULL)
      ORDER BY j.created_at, j.id LIMIT ${RETRY_ALL_MAX + 1}`
    let retried = 0
    for (const { id } of rows.slice(0, RETRY_ALL_MAX)) {
      if ((await retryDeadJob(tx, id, actor, at)) === 'redriven') retried += 1
    }
    return { retried, more: rows.length > RETRY_ALL_MAX }
  })
}
