// The clockwork: one leader among all workers looks every minute whether every tick still has its schedule. Redis may
// have been lost and its schedules with it; a deployment may have renamed one. Ticks only ask the database what is due,
// so that two leaders at once, or none for an hour, change no result.
import type { Job } from '../../jobs/kit/job.ts'
import type { ProcessDatabase } from './database.ts'
import { troubleOf, type JobQueue } from './queue.ts'

const EVERY_MS = 60_000
/** A leader that misses one look is still the leader; one that misses two is not. */
const LEASE_MS = 2.5 * EVERY_MS
/** As soon as this after a look that failed: the store of the queues may be back. */
const AGAIN_MS = 1_000

export const SCHEDULES_LEASE = 'schedules'

/**
 * Takes or renews a lease.
 * @param holder a fresh id of the process
 * @param leaseMs wall time after which another may take it
 * @returns whether it is this holder's now
 */
export async function takeLease(db: ProcessDatabase, name: string, holder: string, leaseMs: number): Promise<boolean> {
  const rows = await db.prisma.$queryRaw<unknown[]>`
    INSERT INTO leases (name, holder, ends_at)
    VALUES (${name}, ${holder}::uuid, clock_timestamp() + make_interval(secs => ${leaseMs / 1_000}::float8))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at
      WHERE leases.holder = excluded.holder OR leases.ends_at < clock_timestamp()
    RETURNING 1`
  return rows.length > 0
}

/** Gives a lease back, so that the next process need not wait for its end. */
export async function dropLease(db: ProcessDatabase, name: string, holder: string): Promise<void> {
  await db.prisma.$executeRaw`DELETE FROM leases WHERE name = ${name} AND holder = ${holder}::uuid`
}

export interface ClockworkParts {
  readonly db: ProcessDatabase
  readonly queue: JobQueue
  readonly ticks: readonly Job[]
  readonly holder: string
  /** A schedule was made anew: its tick is fired once, for what nobody asked meanwhile. */
  readonly fire: (tick: Job) => Promise<void>
}

/**
 * One look: does nothing unless this process is the leader.
 * @returns the ticks whose schedules were made anew; null for who is not the leader
 */
export async function lookAfterSchedules(parts: ClockworkParts): Promise<Job[] | null> {
  if (!(await takeLease(parts.db, SCHEDULES_LEASE, parts.holder, LEASE_MS))) return null
  const made = await parts.queue.keepSchedules(parts.ticks)
  for (const tick of made) await parts.fire(tick)
  return made
}

export interface Clockwork {
  stop(): Promise<void>
}

async function giveUp({ db, holder }: ClockworkParts): Promise<number> {
  await dropLease(db, SCHEDULES_LEASE, holder)
  return AGAIN_MS
}

/** Looks at once, and then every minute until stopped. */
export function startClockwork(parts: ClockworkParts, onError: (error: unknown) => void): Clockwork {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const look = async (): Promise<void> => {
    let next = EVERY_MS
    try {
      // Who cannot reach the queue cannot lead: another may.
      if (troubleOf(parts.queue) === null) await lookAfterSchedules(parts)
      else next = await giveUp(parts)
    } catch (error) {
      onError(error)
      next = await giveUp(parts).catch(() => AGAIN_MS)
    }
    if (!stopped) timer = setTimeout(() => void (running = look()), next)
  }
  running = look()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
      await dropLease(parts.db, SCHEDULES_LEASE, parts.holder).catch(onError)
    },
  }
}
