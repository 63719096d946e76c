// One queue as Bull Board asks for it: bounded, honest when its store does not answer, and without a way to change
// anything. Retrying is a command of ours (retry.ts), not the queue's.
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { AppJobScheduler, JobCounts, JobStatus, QueueMetrics, QueueWorker } from '@bull-board/api/typings/app'
import type { Job as BullJob, Queue } from 'bullmq'
import type { ProcessDatabase } from '../adapters/database.ts'
import type { QueueBackend } from '../adapters/queue-backend.ts'
import { bounded, Unavailable } from './bounded.ts'
import { cutWithin, findRecords, shownJson } from './show-job.ts'

export interface BoardQueueOptions {
  readonly queue: Queue
  readonly backend: QueueBackend
  readonly db: ProcessDatabase
  readonly readOnly: boolean
  /** Before its name in addresses: two stores may have queues of one name. */
  readonly prefix: string
  readonly displayName: string
  /** Told what the person who looks is not. */
  readonly onError: (error: Error) => void
}

/** Retry is offered for what has failed, not for what is done. The option is missing from the adapter's types alone. */
const NO_NEEDLESS_RETRIES = { allowCompletedRetries: false }

export class BoardQueue extends BullMQAdapter {
  readonly #backend: QueueBackend
  readonly #db: ProcessDatabase
  readonly #onError: (error: Error) => void
  #answers = true

  constructor({ queue, backend, db, readOnly, prefix, displayName, onError }: BoardQueueOptions) {
    super(queue, { readOnlyMode: readOnly, prefix, displayName, ...NO_NEEDLESS_RETRIES })
    this.#backend = backend
    this.#db = db
    this.#onError = onError
  }

  override getDisplayName(): string {
    const name = super.getDisplayName()
    return this.#answers ? name : `${name} – ${this.#backend.kind} does not answer`
  }

  override getDescription(): string {
    return this.#answers ? '' : 'Nothing can be told of it now. What is to be done is kept in PostgreSQL.'
  }

  /** @throws Unavailable in place of whatever the store says, in bounded time */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      const answer = await bounded(this.#backend.kind, async () => {
        this.#backend.assertReachable()
        return await question()
      })
      this.#answers = true
      return answer
    } catch (error) {
      if (this.#answers) this.#onError(error as Error)
      this.#answers = false
      throw new Unavailable(`${this.#backend.kind} does not answer. Try again soon.`)
    }
  }

  /** What the list of all queues asks: one silent store must not hide the other's queues. */
  #askOr<T>(silent: T, question: () => Promise<T>): Promise<T> {
    return this.#ask(question).catch(() => silent)
  }

  async #show(jobs: readonly BullJob[]): Promise<BullJob[]> {
    const records = await bounded('PostgreSQL', () => findRecords(this.#db, jobs))
    return jobs.map((job) => {
      const json = shownJson(job, records.get((job.data as { staged?: string } | null)?.staged ?? ''))
      return Object.assign(job, { toJSON: () => json })
    })
  }

  override getJobCounts(): Promise<JobCounts> {
    return this.#askOr({} as JobCounts, () => super.getJobCounts())
  }
  override isPaused(): Promise<boolean> {
    return this.#askOr(false, () => super.isPaused())
  }
  override getGlobalConcurrency(): Promise<number | null> {
    return this.#askOr(null, async () => await super.getGlobalConcurrency())
  }
  override getActiveRateLimitTtl(): Promise<number> {
    return this.#askOr(0, () => super.getActiveRateLimitTtl())
  }
  override getJobSchedulersCount(): Promise<number> {
    return this.#askOr(0, () => super.getJobSchedulersCount())
  }
  override getWorkers(): Promise<QueueWorker[] | null> {
    return this.#askOr(null, () => super.getWorkers())
  }
  override async getJobs(statuses: JobStatus[], start?: number, end?: number): Promise<BullJob[]> {
    return await this.#show(await this.#askOr([], () => super.getJobs(statuses, start, end)))
  }

  override async getJob(id: string): Promise<BullJob | undefined> {
    const job = await this.#ask(() => super.getJob(id))
    return job && (await this.#show([job]))[0]
  }
  override async getJobSchedulers(): Promise<Omit<AppJobScheduler, 'queueName'>[]> {
    return cutWithin(await this.#askOr([], () => super.getJobSchedulers()))
  }
  override async getJobLogs(id: string): Promise<string[]> {
    return cutWithin(await this.#ask(() => super.getJobLogs(id)))
  }
  override getMetrics(...asked: Parameters<BullMQAdapter['getMetrics']>): Promise<QueueMetrics> {
    return this.#ask(() => super.getMetrics(...asked))
  }
  override getConfiguredRateLimit() {
    return this.#ask(() => super.getConfiguredRateLimit())
  }
  override getRedisInfo(): Promise<string | null> {
    return this.#ask(() => super.getRedisInfo())
  }
  override getDatastoreStats() {
    return this.#ask(() => super.getDatastoreStats())
  }
}
