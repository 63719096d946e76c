// A worker can look healthy and take no jobs: some versions of BullMQ hung for ever after an outage. So each worker
// that has had nothing to do for a while puts a canary (a job that does nothing) into its queues, and ends when nobody
// takes it, to be restarted by whoever runs it. That another worker takes it is well: the queue is served.
import type { Appetite, QueueState } from './queue.ts'

/** A process that has taken nothing for so long puts a canary in. */
const HUNGRY_MS = 10_000
/** A canary that is not taken for so long has nobody to take it, this process included. */
const STARVED_MS = 30_000
const LOOK_MS = 2_000
/** A look that comes so late shows that the process itself was stopped: its hunger does not count. */
const ASLEEP_MS = 3 * LOOK_MS

export interface WatchdogParts {
  readonly appetite: () => ReadonlyMap<string, Appetite>
  /** Whether PostgreSQL or the store of the queues is away: then nobody can eat. */
  readonly away: () => Promise<boolean>
  /** @returns null when nobody may take it: the queue is paused */
  readonly addCanary: (queue: string) => Promise<string | null>
  readonly state: (queue: string, jobId: string) => Promise<QueueState>
  readonly starved: (queue: string) => void
}

interface Hunger {
  since: number
  canary: string | null
}

/**
 * The watchdog's state between looks. Pure but for its parts: `look` is told the time.
 * @returns `look(now)`, in ms of the clock that `appetite` uses
 */
export function createWatchdog(parts: WatchdogParts): { look(now: number): Promise<void> } {
  const hunger = new Map<string, Hunger>()
  let last: number | null = null
  return {
    async look(now) {
      const woke = last !== null && now - last > ASLEEP_MS
      last = now
      for (const [queue, { tookAt, full }] of parts.appetite()) {
        const known = hunger.get(queue)
        if (!known || woke || full || tookAt > known.since) {
          hunger.set(queue, { since: now, canary: null })
        } else if (!(await isFed(parts, queue, known, now))) {
          if (now - known.since >= STARVED_MS) return parts.starved(queue)
        } else {
          hunger.set(queue, { since: now, canary: null })
        }
      }
    },
  }
}

/** A store that is there and yet answers nothing we ask counts as hunger, too: it may be our own side that is deaf. */
async function isFed(parts: WatchdogParts, queue: string, known: Hunger, now: number): Promise<boolean> {
  if (now - known.since < HUNGRY_MS) return false
  if (await parts.away()) return true
  try {
    if (known.canary !== null) return (await parts.state(queue, known.canary)) !== 'pending'
    known.canary = await parts.addCanary(queue)
    return known.canary === null
  } catch {
    return false
  }
}

export function startWatchdog(parts: WatchdogParts, onError: (error: unknown) => void): { stop(): Promise<void> } {
  const watchdog = createWatchdog(parts)
  let running: Promise<void> | null = null
  const timer = setInterval(() => {
    running ??= watchdog
      .look(performance.now())
      .catch(onError)
      .finally(() => (running = null))
  }, LOOK_MS)
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
