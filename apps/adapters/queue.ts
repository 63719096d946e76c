// BullMQ behind a few verbs. The queue is a hint of what is due, never the record of it: the record is staged_jobs.
import type { Job as BullJob, Queue } from 'bullmq'
import type { Job } from '../../jobs/kit/job.ts'
import { queueOf } from '../../jobs/kit/job.ts'
import { crashPoint } from './crash-point.ts'
import { newId } from './ids.ts'
import { KEEP, openBackend, type QueueAddress, type QueueBackend } from './queue-backend.ts'

export interface QueueEntry {
  readonly queue: string
  readonly jobId: string
  readonly name: string
  /** Ids only: what is in a queue is clear text, there and on the board. */
  readonly data: Record<string, unknown>
}

export type QueueState = 'pending' | 'ended' | 'unknown'

export interface JobQueue {
  /** @throws at once when the queue's store cannot be asked: look before you mark anything as told. */
  assertReachable(): void
  add(entries: readonly QueueEntry[]): Promise<void>
  state(queue: string, jobId: string): Promise<QueueState>
  /**
   * Creates the ticks' schedules that are missing or changed, and removes those of earlier versions; an overdue one
   * is never touched.
   * @returns the ticks whose schedules were made anew: what they should have found meanwhile is not yet asked for
   */
  keepSchedules(ticks: readonly Job[]): Promise<Job[]>
  /**
   * Adds a job that does nothing but show that somebody takes jobs.
   * @returns its id; null when it cannot be added, or nobody may take it
   */
  addCanary(queue: string): Promise<string | null>
  close(): Promise<void>
}

/** Why a queue cannot be told of anything just now, as a sentence; null when it can. */
export function troubleOf(queue: Pick<JobQueue, 'assertReachable'>): string | null {
  try {
    queue.assertReachable()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

export interface WorkHandlers {
  /** A staged job has come up. A throw shows it as failed on the board; what follows is already recorded. */
  work(stagedId: string): Promise<unknown>
  /** A schedule has fired for this instant. */
  tick(name: string, at: Date): Promise<void>
}

const ADD_CONNECTIONS = 4
/** What a pool needs beyond one blocked connection per worker: 12 for seven queues hung when tried. */
const WORK_CONNECTIONS = 8

/** How many connections to PostgreSQL the queue takes in a process. */
export const queueConnections = ({ redisUrl }: QueueAddress, worked = 0): number =>
  redisUrl === undefined ? ADD_CONNECTIONS + (worked > 0 ? worked + WORK_CONNECTIONS : 0) : 0

export function connectQueue(
  address: QueueAddress,
  names: readonly string[],
  onError: (error: Error) => void,
): JobQueue {
  const backend = openBackend(address, 'add', ADD_CONNECTIONS, onError)
  const queues = new Map(
    names.map((name) => {
      const queue = backend.queue(name)
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
    assertReachable: () => backend.assertReachable(),
    async add(entries) {
      backend.assertReachable()
      for (const [name, list] of Map.groupBy(entries, (entry) => entry.queue)) {
        await within(backend, addAll(named(name), list))
      }
    },
    state: (queue, jobId) => stateOf(backend, named(queue), jobId),
    async keepSchedules(ticks) {
      backend.assertReachable()
      const made: Job[] = []
      for (const [name, queue] of queues) {
        made.push(
          ...(await keepSchedulesOf(
            queue,
            ticks.filter((tick) => queueOf(tick) === name),
          )),
        )
      }
      return made
    },
    addCanary: (name) => addCanary(backend, named(name)),
    async close() {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()))
      await backend.close()
    },
  }
}

async function addAll(queue: Queue, entries: readonly QueueEntry[]): Promise<void> {
  crashPoint(`enqueue ${queue.name}: before`)
  await queue.addBulk(entries.map(({ jobId, name, data }) => ({ name, data, opts: { jobId } })))
  crashPoint(`enqueue ${queue.name}: after`)
}

async function stateOf(backend: QueueBackend, queue: Queue, jobId: string): Promise<QueueState> {
  backend.assertReachable()
  const state = await within(backend, queue.getJobState(jobId))
  if (state === 'unknown') return 'unknown'
  return state === 'completed' || state === 'failed' ? 'ended' : 'pending'
}

const CANARY = 'canary'

async function addCanary(backend: QueueBackend, queue: Queue): Promise<string | null> {
  backend.assertReachable()
  if (await within(backend, queue.isPaused())) return null
  const jobId = `${CANARY}-${newId()}`
  await within(backend, queue.add(CANARY, {}, { jobId, removeOnComplete: true, removeOnFail: true }))
  return jobId
}

/** Nobody waits longer for a store that keeps its connections open and does not answer. */
const ANSWER_MS = 5_000

async function within<T>(backend: QueueBackend, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => {
      backend.doubt()
      fail(new Error(`${backend.kind} has not answered within ${ANSWER_MS} ms`))
    }, ANSWER_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function keepSchedulesOf(queue: Queue, ticks: readonly Job[]): Promise<Job[]> {
  const known = new Map((await queue.getJobSchedulers()).map((scheduler) => [scheduler.key, scheduler]))
  const made: Job[] = []
  for (const tick of ticks) {
    const { pattern, tz, next } = known.get(tick.name) ?? {}
    known.delete(tick.name)
    // Writing an unchanged schedule while its tick is overdue deletes that tick.
    if (pattern === tick.schedule && tz === 'UTC' && (await hasTick(queue, tick, next))) continue
    await queue.upsertJobScheduler(tick.name, { pattern: tick.schedule!, tz: 'UTC' }, { name: tick.name, opts: KEEP })
    made.push(tick)
  }
  // What is left was renamed or dropped in code; it would fire for ever.
  for (const name of known.keys()) await queue.removeJobScheduler(name)
  return made
}

/** A schedule lives by its next tick, which waits in the queue under this name; without it, it never fires again. */
async function hasTick(queue: Queue, tick: Job, next: number | undefined): Promise<boolean> {
  return (await queue.getJobState(`repeat:${tick.name}:${next}`)) !== 'unknown'
}

/** When a worker last took a job from a queue (ms of `performance.now()`), and whether it could take another. */
export interface Appetite {
  readonly tookAt: number
  readonly full: boolean
}

export interface QueueWorkers {
  appetite(): ReadonlyMap<string, Appetite>
  /** Takes nothing new, and waits for what is running; the caller bounds the wait. */
  close(): Promise<void>
}

/**
 * A job whose worker dies is taken over after this long; longer than any pause of a healthy event loop. Taken over too
 * early it is done twice, which is safe.
 */
const LOCK_MS = 10_000
const STALLED_CHECKS_PER_LOCK = 2

export interface WorkersOptions {
  readonly address: QueueAddress
  /** Jobs at once, per queue. */
  readonly concurrency: ReadonlyMap<string, number>
  readonly lockMs?: number | undefined
}

/** Works queues in this process. */
export function startWorkers(
  { address, concurrency, lockMs = LOCK_MS }: WorkersOptions,
  handlers: WorkHandlers,
  onError: (error: Error) => void,
): QueueWorkers {
  const backend = openBackend(address, 'work', concurrency.size + WORK_CONNECTIONS, onError)
  const plates = new Map([...concurrency].map(([name, parallel]) => [name, plate(parallel)]))
  const workers = [...concurrency].map(([name, parallel]) => {
    const worker = backend.worker(name, (job: BullJob) => plates.get(name)!.eat(() => workOne(job, handlers)), {
      concurrency: parallel,
      lockDuration: lockMs,
      stalledInterval: Math.round(lockMs / STALLED_CHECKS_PER_LOCK),
      // What BullMQ gives up is found by the sweep.
      maxStalledCount: 5,
      ...KEEP,
    })
    worker.on('error', onError)
    return worker
  })
  return {
    appetite: () => new Map([...plates].map(([name, { appetite }]) => [name, appetite()])),
    async close() {
      // With its store away a worker cannot even say goodbye; its jobs are taken over.
      const force = troubleOf(backend) !== null
      await Promise.allSettled(workers.map((worker) => worker.close(force)))
      await backend.close()
    },
  }
}

async function workOne(job: BullJob, handlers: WorkHandlers): Promise<void> {
  if (job.name === CANARY) return
  const staged = (job.data as { staged?: unknown }).staged
  if (typeof staged === 'string') return void (await handlers.work(staged))
  // A scheduler's job: the instant it was scheduled for is the only time it may speak of.
  return await handlers.tick(job.name, new Date(job.opts.prevMillis ?? job.timestamp))
}

/** What a worker of one queue has before it. */
function plate(parallel: number) {
  let tookAt = performance.now()
  let eating = 0
  return {
    appetite: (): Appetite => ({ tookAt, full: eating >= parallel }),
    async eat(work: () => Promise<void>): Promise<void> {
      tookAt = performance.now()
      eating += 1
      try {
        await work()
      } finally {
        eating -= 1
        tookAt = performance.now()
      }
    },
  }
}
