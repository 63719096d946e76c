// A worker can look healthy and take no jobs: some versions of BullMQ hung for ever after an outage. So each worker
// that has had nothing to do for a while puts a canary (a job that does nothing) into its queues, and ends when it
// takes none, to be restarted by whoever runs it.
import type { Appetite } from './queue.ts'

/** A process that has taken nothing for so long is given a canary with every look. */
const HUNGRY_MS = 10_000
/** ... and ends after so long. */
const STARVED_MS = 30_000
/** Other workers of the queue take canaries, too: so many in a row are not all taken from under our nose. */
const CANARIES_AT_LEAST = 5
const LOOK_MS = 2_000
/** A look that comes so late shows that the process itself was stopped: its hunger does not count. */
const ASLEEP_MS = 3 * LOOK_MS

export interface WatchdogParts {
  readonly appetite: () => ReadonlyMap<string, Appetite>
  /** @throws when the store of the queues cannot be reached: then nobody can eat */
  readonly addCanary: (queue: string) => Promise<void>
  readonly starved: (queue: string) => void
}

interface Hunger {
  since: number
  canaries: number
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
          hunger.set(queue, { since: woke || full ? now : Math.max(tookAt, known?.since ?? now), canaries: 0 })
          continue
        }
        if (now - known.since < HUNGRY_MS) continue
        if (now - known.since >= STARVED_MS && known.canaries >= CANARIES_AT_LEAST) return parts.starved(queue)
        await parts.addCanary(queue).then(
          () => void (known.canaries += 1),
          () => void hunger.set(queue, { since: now, canaries: 0 }),
        )
      }
    },
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
