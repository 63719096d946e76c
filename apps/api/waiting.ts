// Waiting for the end of an action. The transaction that ends it sends NOTIFY; one connection per process listens.
import pg from 'pg'

export interface ActionWaiter {
  /** Begins to wait now: call it before the action can end, so that its end is not missed. */
  expect(actionId: string): Expectation
  close(): Promise<void>
}

export interface Expectation {
  /** Returns when it may have ended, or when the time is up: look for yourself. */
  ended(timeoutMs: number): Promise<void>
  forget(): void
}

/** How soon a lost connection is tried again. */
const RECONNECT_MS = 500
/** While the connection is lost nobody is told: waiters look for themselves this often (ms). */
const LOOK_MS = 1_000

/** Who waits for which action. */
class Waiting {
  readonly #wakers = new Map<string, Set<() => void>>()

  add(actionId: string, wake: () => void): () => void {
    const set = this.#wakers.get(actionId) ?? new Set()
    set.add(wake)
    this.#wakers.set(actionId, set)
    return () => {
      set.delete(wake)
      if (set.size === 0) this.#wakers.delete(actionId)
    }
  }

  wake(actionId: string): void {
    this.#wakers.get(actionId)?.forEach((wake) => wake())
  }

  wakeAll(): void {
    for (const set of this.#wakers.values()) set.forEach((wake) => wake())
  }
}

/** @param url the process's own database URL */
export function createActionWaiter(
  url: string,
  onError: (error: unknown) => void,
  applicationName = 'perdiem-waiter',
): ActionWaiter {
  const waiting = new Waiting()
  let closed = false
  let client: pg.Client | null = null
  async function connect(): Promise<void> {
    if (closed) return
    const next = new pg.Client({ connectionString: url, application_name: applicationName })
    const again = (error?: unknown): void => {
      if (client === next) client = null
      if (error) onError(error)
      // What is told from now on until we listen again is missed: everybody looks for himself.
      waiting.wakeAll()
      if (!closed) setTimeout(() => void connect(), RECONNECT_MS).unref()
    }
    next.once('end', () => again())
    next.on('error', onError)
    next.on('notification', ({ payload }) => waiting.wake(payload ?? ''))
    try {
      await next.connect()
      await next.query('LISTEN perdiem_actions')
      client = next
      waiting.wakeAll()
    } catch (error) {
      next.removeAllListeners('end')
      await next.end().catch(() => {})
      again(error)
    }
  }
  void connect()
  return {
    expect: (actionId) => expectation(waiting, actionId, () => client !== null),
    async close() {
      closed = true
      await client?.end().catch(() => {})
    },
  }
}

function expectation(waiting: Waiting, actionId: string, listening: () => boolean): Expectation {
  let told = false
  let resolve: (() => void) | null = null
  const forget = waiting.add(actionId, () => {
    told = true
    resolve?.()
  })
  return {
    async ended(timeoutMs) {
      if (!told) {
        await new Promise<void>((done) => {
          const timer = setTimeout(done, listening() ? timeoutMs : Math.min(timeoutMs, LOOK_MS))
          resolve = () => {
            clearTimeout(timer)
            done()
          }
        })
      }
      told = false
    },
    forget,
  }
}
