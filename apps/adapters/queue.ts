// BullMQ behind five verbs. The queue is a hint of what is due, never the record of it: the record is staged_jobs.
import { createPostgresBackend, withBackend, type Job as BullJob, type PostgresConnectionOptions } from 'bullmq'
import pg from 'pg'
import type { Job } from '../../jobs/kit/job.ts'
import { queueOf } from '../../jobs/kit/job.ts'

const { Queue, Worker } = withBackend(createPostgresBackend)
type Queue = InstanceType<typeof Queue>

export interface QueueEntry {
  readonly queue: string
  readonly jobId: string
  readonly name: string
  /** Ids only: what is in a queue is clear text, there and on the board. */
  readonly data: Record<string, unknown>
}

export type QueueState = 'pending' | 'ended' | 'unknown'

export interface JobQueue {
  add(entries: readonly QueueEntry[]): Promise<void>
  state(queue: string, jobId: string): Promise<QueueState>
  /** Creates the ticks' schedules that are missing or changed; an overdue one is never touched. */
  keepSchedules(ticks: readonly Job[]): Promise<void>
  close(): Promise<void>
}

export interface WorkHandlers {
  /** A staged job has come up. A throw shows it as failed on the board; what follows is already recorded. */
  work(stagedId: string): Promise<void>
  /** A schedule has fired for this instant. */
  tick(name: string, at: Date): Promise<void>
}

/** Keeps an hour of finished jobs to look at, and a week of failed ones; the truth is in staged_jobs. */
const KEEP = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 7 * 86_400, count: 5_000 },
} as const

/**
 * One pool per process: a pool per queue took 98 of 100 connections when tried. Its connections take on the role that
 * owns the queue's schema, which sees none of our own tables.
 */
function queuePool(url: string, max: number) {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    options: '-c search_path=bullmq -c role=perdiem_queue',
    application_name: 'perdiem-queue',
  })
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {})
  return { connection: pool as PostgresConnectionOptions, end: () => pool.end() }
}

/** @param url the process's own database URL */
export function connectQueue(url: string, names: readonly string[], onError: (error: Error) => void): JobQueue {
  const pool = queuePool(url, 4)
  const queues = new Map(
    names.map((name) => {
      const queue = new Queue(name, { connection: pool.connection, defaultJobOptions: { attempts: 1, ...KEEP } })
      queue.on('error', onError)
      return [name, queue]
    }),
  )
  const named = (name: string): Queue => {
    const queue = queues.get(name)
    if (!queue) throw new Error(`no queue ${name}`)
    return queue
  }
  return {
    async add(entries) {
      const byQueue = Map.groupBy(entries, (entry) => entry.queue)
      for (const [name, list] of byQueue) {
        await named(name).addBulk(list.map(({ jobId, name, data }) => ({ name, data, opts: { jobId } })))
      }
    },
    async state(queue, jobId) {
      const state = await named(queue).getJobState(jobId)
      if (state === 'unknown') return 'unknown'
      return state === 'completed' || state === 'failed' ? 'ended' : 'pending'
    },
    async keepSchedules(ticks) {
      for (const tick of ticks) await keepSchedule(named(queueOf(tick)), tick)
    },
    async close() {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()))
      await pool.end()
    },
  }
}

async function keepSchedule(queue: Queue, tick: Job): Promise<void> {
  const known = await queue.getJobScheduler(tick.name)
  // Writing an unchanged schedule while its tick is overdue deletes that tick.
  if (known?.pattern === tick.schedule && known?.tz === 'UTC') return
  await queue.upsertJobScheduler(tick.name, { pattern: tick.schedule!, tz: 'UTC' }, { name: tick.name, opts: KEEP })
}

export interface QueueWorkers {
  /** Takes nothing new, and waits for what is running; the caller bounds the wait. */
  close(): Promise<void>
}

/** A job whose worker dies is taken over after this long; longer than any pause of a healthy event loop. */
const LOCK_MS = 30_000
const STALLED_CHECK_MS = 10_000

/** Works queues in this process. */
export function startWorkers(
  url: string,
  concurrency: ReadonlyMap<string, number>,
  handlers: WorkHandlers,
  onError: (error: Error) => void,
): QueueWorkers {
  const pool = queuePool(url, concurrency.size + 8)
  const workers = [...concurrency].map(([name, parallel]) => {
    const worker = new Worker(
      name,
      async (job: BullJob) => {
        const staged = (job.data as { staged?: unknown }).staged
        if (typeof staged === 'string') return await handlers.work(staged)
        // A scheduler's job: the instant it was scheduled for is the only time it may speak of.
        return await handlers.tick(job.name, new Date(job.opts.prevMillis ?? job.timestamp))
      },
      {
        connection: pool.connection,
        concurrency: parallel,
        lockDuration: LOCK_MS,
        stalledInterval: STALLED_CHECK_MS,
        maxStalledCount: 5,
        ...KEEP,
      },
    )
    worker.on('error', onError)
    return worker
  })
  return {
    async close() {
      await Promise.allSettled(workers.map((worker) => worker.close()))
      await pool.end()
    },
  }
}
