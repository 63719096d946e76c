// The outbox: staged_jobs is what must be done; the queue is how workers hear of it. A relay tells the queue right
// after a commit; a sweep tells it again whatever is due and not done. A row is finished when its job is, not when it
// is queued.
import { catalog } from '../../jobs/catalog.ts'
import { queueOf, type Job } from '../../jobs/kit/job.ts'
import { dead, type Outcome } from '../../jobs/kit/outcome.ts'
import { perform } from '../../jobs/kit/perform.ts'
import type { Ports, Tx } from '../../jobs/kit/ports.ts'
import type { StagedRow } from '../../jobs/kit/stage.ts'
import { wallMs } from './clock.ts'
import { crashPoint } from './crash-point.ts'
import type { ProcessDatabase } from './database.ts'
import { scrub } from './log.ts'
import type { JobQueue, QueueEntry } from './queue.ts'

/** What does not fit is left to the sweep: memory stays bounded however much is staged at once. */
const RELAY_BACKLOG_MAX = 5_000
/** One bulk add takes some tens of milliseconds. */
const RELAY_BATCH = 500
/**
 * A busy process tells the queue a hundred times a second at most, of many rows each time. Nobody's answer waits for
 * it; a quiet process tells at once.
 */
const RELAY_PACE_MS = 10
const SWEEP_BATCH = 500
/** A swept row is looked at again after this long: what a lost queue has forgotten is told it again within it. */
const SWEEP_AGAIN = '5 seconds'
/** Enough to say what went wrong; the log has the rest. */
const REASON_MAX = 500

const entryOf = (row: StagedRow, redrives: number): QueueEntry | null => {
  const job = catalog.get(row.name)
  return job
    ? {
        queue: queueOf(job),
        jobId: `${row.id}-${redrives}`,
        name: row.name,
        data: { staged: row.id, ...(row.payload as object) },
      }
    : null
}

export interface Relay {
  /** Tells the queue of freshly staged rows, in the background, soon, one bulk add at a time. Never throws. */
  offer(rows: readonly StagedRow[]): void
  /** Waits until everything offered is handed over or given up. */
  drain(): Promise<void>
}

export function createRelay(queue: JobQueue, onError: (error: unknown) => void): Relay {
  let backlog: StagedRow[] = []
  let running: Promise<void> | null = null
  let toldAt = -Infinity
  /** At least until the turn of the event loop is over: what one statement has recorded is offered one by one. */
  const pause = (): Promise<void> =>
    new Promise((done) => {
      const early = backlog.length < RELAY_BATCH ? toldAt + RELAY_PACE_MS - performance.now() : 0
      if (early > 0) setTimeout(done, early)
      else setImmediate(done)
    })
  async function run(): Promise<void> {
    while (backlog.length > 0) {
      await pause()
      const batch = backlog.slice(0, RELAY_BATCH)
      backlog = backlog.slice(RELAY_BATCH)
      toldAt = performance.now()
      try {
        await queue.add(batch.map((row) => entryOf(row, 0)).filter((entry) => entry !== null))
      } catch (error) {
        onError(error)
      }
    }
    running = null
  }
  return {
    offer(rows) {
      if (rows.length === 0) return
      backlog.push(...rows.slice(0, RELAY_BACKLOG_MAX - backlog.length))
      running ??= run()
    },
    drain: async () => {
      await running
    },
  }
}

interface Row {
  readonly id: string
  readonly name: string
  readonly payload: unknown
  readonly attempts: number
  readonly redrives: number
  readonly createdAt: Date
}

/**
 * Performs one staged job and records how it ended. Performed twice, or by two workers at once, is safe: jobs are.
 * @returns why the job is dead, when it said so itself
 * @param around puts something around the ports of a job; for tests of crashes
 * @throws what the job threw, after its retry is recorded, so that the board shows it
 */
export async function workStaged(
  id: string,
  db: ProcessDatabase,
  given: Ports,
  around: (job: string, ports: Ports) => Ports = (_, ports) => ports,
): Promise<string | null> {
  const rows = await db.prisma.$queryRaw<(Row & { finished: boolean })[]>`
    SELECT id, name, payload, attempts, redrives, created_at AS "createdAt", finished_at IS NOT NULL AS finished
    FROM staged_jobs WHERE id = ${id}::uuid`
  const row = rows[0]
  if (!row || row.finished) return null
  const job = catalog.get(row.name)
  if (!job) return await passOver(db, row)
  const ports = around(row.name, given)
  const startedMs = wallMs()
  const fields = { job: row.name, id, payload: row.payload, attempt: row.attempts + 1 }
  try {
    const outcome = await perform(job, row.payload, ports)
    if (outcome.kind === 'dead') await job.bury?.(row.payload, ports, outcome.reason)
    crashPoint(`${row.name} ended: before`)
    await finish(db, row, outcome)
    crashPoint(`${row.name} ended: after`)
    const reason = 'reason' in outcome ? outcome.reason : outcome.note
    const level = outcome.kind === 'dead' ? 'warn' : 'info'
    ports.log[level]({ ...fields, outcome: outcome.kind, reason, ms: wallMs() - startedMs }, 'job')
    return outcome.kind === 'dead' ? outcome.reason : null
  } catch (error) {
    const reason = scrub(error instanceof Error ? error.message : String(error)).slice(0, REASON_MAX)
    const last = row.attempts + 1 >= job.retry.attempts
    ports.log.warn({ ...fields, outcome: last ? 'dead' : 'retry', reason, err: error, ms: wallMs() - startedMs }, 'job')
    if (last) {
      await job.bury?.(row.payload, ports, reason)
      await finish(db, row, dead(`gave up after ${row.attempts + 1} attempts: ${reason}`))
    } else {
      await retryLater(db, row, job, reason)
    }
    throw shown(error, reason)
  }
}

/** As the queue keeps it and the board shows it: without what no log may have. */
function shown(error: unknown, reason: string): Error {
  const copy = new Error(reason)
  copy.stack = scrub(error instanceof Error ? (error.stack ?? reason) : reason)
  return copy
}

/** A process of the version before this one, or after it, may know the job: for a day it is left to that. */
const UNKNOWN_FOR_MS = 86_400_000

async function passOver(db: ProcessDatabase, row: Row): Promise<string | null> {
  const reason = 'there is no such job'
  if (wallMs() - row.createdAt.getTime() < UNKNOWN_FOR_MS) {
    await db.prisma.$executeRaw`
      UPDATE staged_jobs SET reason = ${reason}, next_at = clock_timestamp() + interval '30 seconds',
        redrives = redrives + 1
      WHERE id = ${row.id}::uuid AND finished_at IS NULL`
    return null
  }
  await finish(db, row, dead(reason))
  return reason
}

async function finish(db: ProcessDatabase, row: Row, outcome: Outcome): Promise<void> {
  if (outcome.kind === 'later') {
    await db.prisma.$executeRaw`
      UPDATE staged_jobs SET due_at = ${outcome.at}::timestamptz, next_at = clock_timestamp(),
        reason = ${outcome.reason},
        redrives = redrives + 1
      WHERE id = ${row.id}::uuid AND finished_at IS NULL`
    return
  }
  const reason = (outcome.kind === 'done' ? outcome.note : outcome.reason) ?? null
  await db.prisma.$executeRaw`
    UPDATE staged_jobs SET finished_at = clock_timestamp(), outcome = ${outcome.kind}, reason = ${reason}
    WHERE id = ${row.id}::uuid AND finished_at IS NULL`
  // Whoever waits for quiet (the sandbox's clock) listens to this.
  await db.prisma.$executeRaw`SELECT pg_notify('perdiem_jobs', '')`
}

/**
 * The delay before attempt n + 1: doubling, bounded, and spread by a quarter so that a crowd does not return at once.
 */
export function retryDelayMs(job: Pick<Job, 'retry'>, failures: number, spread: number): number {
  const { firstDelayMs, maxDelayMs } = job.retry
  const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures, 30))
  return Math.round(delay * (1 + spread / 4))
}

async function retryLater(db: ProcessDatabase, row: Row, job: Job, reason: string): Promise<void> {
  const delayMs = retryDelayMs(job, row.attempts, (Number.parseInt(row.id.slice(-2), 16) % 16) / 16)
  await db.prisma.$executeRaw`
    UPDATE staged_jobs SET attempts = attempts + 1, redrives = redrives + 1, reason = ${reason},
      next_at = clock_timestamp() + make_interval(secs => ${delayMs / 1000}::float8)
    WHERE id = ${row.id}::uuid AND finished_at IS NULL`
}

/**
 * Adds again what is due and not done: rows whose relay died, whose retry has come, whose business instant has come, or
 * that a lost queue has forgotten. Rows the queue still holds are left to it. Any number of processes may sweep. Half
 * of a sweep are those that waited longest, half the newest, which do not wait behind a backlog.
 * @param businessNow rows due later than this are left
 * @returns how many rows were added
 */
export async function sweep(db: ProcessDatabase, queue: JobQueue, businessNow: Date): Promise<number> {
  // Rows must not count as looked at while nobody can be told of them.
  queue.assertReachable()
  const rows = await db.prisma.$queryRaw<Row[]>`
    UPDATE staged_jobs SET next_at = clock_timestamp() + ${SWEEP_AGAIN}::interval
    WHERE id IN (
      SELECT id FROM staged_jobs
      WHERE finished_at IS NULL AND next_at <= clock_timestamp()
        AND (due_at IS NULL OR due_at <= ${businessNow}::timestamptz)
      ORDER BY next_at LIMIT ${SWEEP_BATCH / 2} FOR UPDATE SKIP LOCKED)
      OR id IN (
      SELECT id FROM staged_jobs
      WHERE finished_at IS NULL AND next_at <= clock_timestamp()
        AND (due_at IS NULL OR due_at <= ${businessNow}::timestamptz)
      ORDER BY next_at DESC LIMIT ${SWEEP_BATCH / 2} FOR UPDATE SKIP LOCKED)
    RETURNING id, name, payload, attempts, redrives, created_at AS "createdAt"`
  crashPoint('sweep: marked')
  const asked = await Promise.all(rows.map((row) => forgotten(db, queue, row)))
  const entries = asked.filter((entry) => entry !== null)
  if (entries.length > 0) await queue.add(entries)
  return entries.length
}

/** What the queue must be told of a row, if anything. */
async function forgotten(db: ProcessDatabase, queue: JobQueue, row: Row): Promise<QueueEntry | null> {
  const entry = entryOf(row, row.redrives)
  if (!entry) {
    await passOver(db, row)
    return null
  }
  const state = await queue.state(entry.queue, entry.jobId)
  if (state === 'pending') return null
  // The queue keeps ended jobs and swallows a second add of their id: the redrive count makes a new one.
  return state === 'ended' ? { ...entry, jobId: `${row.id}-${await bumpRedrives(db, row.id)}` } : entry
}

async function bumpRedrives(db: ProcessDatabase, id: string): Promise<number> {
  const rows = await db.prisma.$queryRaw<{ redrives: number }[]>`
    UPDATE staged_jobs SET redrives = redrives + 1 WHERE id = ${id}::uuid RETURNING redrives`
  return rows[0]?.redrives ?? 0
}

/** Has the sweep tell the queue of everything undone, at once. Only behind an operator's key. */
export async function rebuildQueue(tx: Tx): Promise<number> {
  const rows = await tx.$queryRaw<{ told: number }[]>`SELECT rebuild_queue() AS told`
  return rows[0]!.told
}

/** Opens a dead job again with fresh attempts; the next sweep adds it. */
export async function redriveJob(tx: Tx, id: string): Promise<'redriven' | 'not_dead' | 'unknown'> {
  const rows = await tx.$queryRaw<{ verdict: 'redriven' | 'not_dead' | 'unknown' }[]>`
    SELECT redrive_job(${id}::uuid) AS verdict`
  return rows[0]!.verdict
}
