// Keeps a part of the sandbox running, as an init system does in production: a part that ends without having been asked
// is started again. Work that it was in the middle of is found and done by what starts.
import { setTimeout as delay } from 'node:timers/promises'

export interface Part {
  readonly pid: number
  stop(): Promise<void>
}

export interface Kept<T extends Part> {
  readonly name: string
  /** The one that runs, or ran last. */
  part(): T
  /** From now on it is left ended when it ends: for what is to be down for a while. */
  hold(): void
  /** Ends a hold; returns when it runs again. */
  release(): Promise<void>
  /** Holds it, and asks it to stop. */
  down(): Promise<void>
  stop(): Promise<void>
}

export interface KeepOptions {
  readonly say: (line: string) => void
  /** Told when a part ends over and over; it is not started any more. */
  readonly giveUp: (name: string, how: string) => void
  /** More ends within a minute are too many. */
  readonly endsPerMinute: number
}

/** Starts a part, and tells of its end. */
export type Start<T extends Part> = (ended: (how: string) => void) => Promise<T>

/** After a start that failed; PostgreSQL may be on its way up. */
const AGAIN_MS = 300
const MINUTE_MS = 60_000

/**
 * Starts a part and keeps it running.
 * @throws what the first start throws
 */
export async function keepRunning<T extends Part>(
  name: string,
  start: Start<T>,
  options: KeepOptions,
): Promise<Kept<T>> {
  const keeper = new Keeper(name, start, options)
  await keeper.begin()
  return keeper
}

class Keeper<T extends Part> implements Kept<T> {
  readonly name: string
  readonly #start: Start<T>
  readonly #options: KeepOptions
  #wanted: 'running' | 'held' | 'stopped' = 'running'
  #ends: number[] = []
  #last: T | null = null
  #runs = false
  #restarting: Promise<void> | null = null

  constructor(name: string, start: Start<T>, options: KeepOptions) {
    this.name = name
    this.#start = start
    this.#options = options
  }

  part(): T {
    if (!this.#last) throw new Error(`${this.name} was never started`)
    return this.#last
  }

  hold(): void {
    this.#wanted = 'held'
  }

  async release(): Promise<void> {
    if (this.#wanted !== 'held') return
    this.#wanted = 'running'
    await this.#restart()
  }

  async down(): Promise<void> {
    this.hold()
    await this.#restarting
    if (this.#runs) await this.#last?.stop()
    this.#runs = false
  }

  async stop(): Promise<void> {
    this.#wanted = 'stopped'
    await this.#restarting
    if (this.#runs) await this.#last?.stop()
  }

  async begin(): Promise<void> {
    let over = false
    this.#last = await this.#start((how) => {
      over = true
      this.#ended(how)
    })
    // It may have ended between being ready and being looked at.
    this.#runs = !over
  }

  #ended(how: string): void {
    this.#runs = false
    if (this.#wanted !== 'running' || this.#tooOften(how)) return
    this.#options.say(`${this.name} ended (${how}); it is started again`)
    void this.#restart()
  }

  #tooOften(how: string): boolean {
    const now = performance.now()
    this.#ends = [...this.#ends.filter((at) => now - at < MINUTE_MS), now]
    if (this.#ends.length <= this.#options.endsPerMinute) return false
    this.#wanted = 'stopped'
    this.#options.giveUp(this.name, how)
    return true
  }

  #restart(): Promise<void> {
    this.#restarting ??= this.#startAgain().finally(() => (this.#restarting = null))
    return this.#restarting
  }

  async #startAgain(): Promise<void> {
    while (this.#wanted === 'running' && !this.#runs) {
      try {
        await this.begin()
      } catch (error) {
        if (this.#wanted === 'running' && this.#tooOften(error instanceof Error ? error.message : String(error))) return
        await delay(AGAIN_MS)
      }
    }
  }
}
