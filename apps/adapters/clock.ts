// The only place that reads the wall clock. Business time comes from a Clock: the wall in production; in the sandbox
// the instant kept in the database, where every process finds the same one.
import type { Clock } from '../../jobs/kit/ports.ts'
import type { PrismaClient } from '../../prisma/client/client.ts'

/** Real time, for operational things only: timers, locks, signatures, log lines. Milliseconds. */
export const wallMs = (): number => Date.now()

export const wallClock: Clock = { now: async () => new Date(wallMs()) }

export interface SandboxClock extends Clock {
  /** Whether business time stands still, that is, was ever set or moved. */
  standsStill(): Promise<boolean>
}

/** Business time as the sandbox keeps it: read from the database each time, so that a move is seen by all at once. */
export function sandboxClock(prisma: PrismaClient): SandboxClock {
  const read = async (): Promise<Date | null> => {
    const rows = await prisma.$queryRaw<{ instant: Date | null }[]>`SELECT instant FROM sandbox.clock`
    return rows[0]?.instant ?? null
  }
  return {
    now: async () => (await read()) ?? new Date(wallMs()),
    standsStill: async () => (await read()) !== null,
  }
}
