// Moves business time forward, in order through every tick due on the way. The same ticks, jobs and queues as in
// production do the work; only who fires the ticks differs. Ticks ask the database what is due, so that one at each
// local midnight (where days end, months close and invoice days begin) finds all that four an hour would.
import { ticks } from '../../jobs/catalog.ts'
import { stage } from '../../jobs/kit/stage.ts'
import { addDays, dayOf, startOfDay } from '../../jobs/rules/period.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import { sweep } from '../adapters/outbox.ts'
import type { JobQueue } from '../adapters/queue.ts'
import type { SandboxClock } from '../adapters/clock.ts'
import type { StandIn } from './stand-in-client.ts'
import { waitForQuiet } from './quiet.ts'

export class ClockGoesForward extends Error {
  override name = 'ClockGoesForward'
}

export interface Moved {
  readonly now: Date
  /** Jobs that ended on the way. */
  readonly jobs: number
}

export interface MoverParts {
  readonly db: ProcessDatabase
  readonly queue: JobQueue
  readonly clock: SandboxClock
  readonly standIn: StandIn
}

/** Ticks fire on the quarters of an hour, as their schedule says. */
const QUARTER_MS = 15 * 60_000
const nextQuarter = (instant: Date): Date => new Date(Math.ceil(instant.getTime() / QUARTER_MS) * QUARTER_MS)

/** @throws ClockGoesForward; NotQuiet when work gets stuck on the way (the clock then stands where it came to) */
export async function moveClock(parts: MoverParts, to: Date): Promise<Moved> {
  const { db, clock } = parts
  const from = await clock.now()
  if (to < from) throw new ClockGoesForward(`business time is ${from.toISOString()} and only goes forward`)
  const before = await endedJobs(db)
  let now = from
  await setClock(parts, now)
  for (;;) {
    const stop = await nextStop(db, now, to)
    if (stop === null) break
    now = stop
    await setClock(parts, now)
    await fireTicks(parts, now)
  }
  await setClock(parts, to)
  return { now: to, jobs: (await endedJobs(db)) - before }
}

/** The next instant up to `to` at which something may become due: a local midnight, or a job's own business instant. */
async function nextStop(db: ProcessDatabase, now: Date, to: Date): Promise<Date | null> {
  const zones = await db.prisma.$queryRaw<{ timezone: string }[]>`SELECT DISTINCT timezone FROM accounts`
  const due = await db.prisma.$queryRaw<{ at: Date | null }[]>`
    SELECT min(due_at) AS at FROM staged_jobs WHERE finished_at IS NULL AND due_at > ${now}::timestamptz`
  const midnights = zones.map(({ timezone }) => nextQuarter(startOfDay(addDays(dayOf(now, timezone), 1), timezone)))
  const stops = [...midnights, ...(due[0]?.at ? [due[0].at] : [])].filter((stop) => stop > now && stop <= to)
  return stops.length === 0 ? null : stops.reduce((first, stop) => (stop < first ? stop : first))
}

async function setClock(parts: MoverParts, instant: Date): Promise<void> {
  const { db, queue, standIn } = parts
  // A mover that was stopped meanwhile must not put back what its successor has moved on.
  await db.prisma.$executeRaw`
    UPDATE sandbox.clock SET instant = ${instant}::timestamptz
    WHERE instant IS NULL OR instant <= ${instant}::timestamptz`
  await standIn.setClock(instant)
  await sweep(db, queue, instant)
  await quiet(parts, instant)
}

const quiet = ({ db, standIn }: MoverParts, now: Date): Promise<void> => waitForQuiet(db, now, standIn.pendingWebhooks)

/** In the order of the catalog, each given time to finish: what one finds is the next one's input. */
async function fireTicks(parts: MoverParts, at: Date): Promise<void> {
  for (const tick of ticks) {
    await parts.db.acrossAccounts((tx) => stage(tx, tick, { at: at.toISOString() }))
    await quiet(parts, at)
  }
}

async function endedJobs(db: ProcessDatabase): Promise<number> {
  const rows = await db.prisma.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM staged_jobs WHERE finished_at IS NOT NULL`
  return rows[0]!.count
}
