// Waiting for the end of an action. The transaction that ends it sends NOTIFY; one connection per process listens.
import pg from 'pg'

export interface ActionWaiter {
  /** Begins to wait now: call it before the action can end, so that its end is not missed. */
  expect(actionId: string): { ended(timeoutMs: number): Promise<boolean>; forget(): void }
  close(): Promise<void>
}

/** How soon a lost connection is tried again. */
const RECONNECT_MS = 500
/** While the connection is lost nobody is told: waiters look for themselves this often (ms). */
const LOOK_MS = 1_000

/** @param url the process's own database URL */
export function createActionWaiter(url: string, onError: (error: unknown) => void): ActionWaiter {
  const waiting = new Map<string, Set<() => void>>()
  let closed = false
  let client: pg.Client | null = null
  async function connect(): Promise<void> {
    if (closed) return
    const next = new pg.Client({ connectionString: url, application_name: 'perdiem-waiter' })
    const again = (error?: unknown): void => {
      if (client === next) client = null
      if (error) onError(error)
      if (!closed) setTimeout(() => void connect(), RECONNECT_MS).unref()
    }
    next.once('end', () => again())
    next.on('error', onError)
    next.on('notification', ({ payload }) => waiting.get(payload ?? '')?.forEach((wake) => wake()))
    try {
      await next.connect()
      await next.query('LISTEN perdiem_actions')
      client = next
    } catch (error) {
      next.removeAllListeners('end')
      await next.end().catch(() => {})
      again(error)
    }
  }
  void connect()
  return {
    expect(actionId) {
      let told = false
      let resolve: (() => void) | null = null
      const wake = (): void => {
        told = true
        resolve?.()
      }
      const set = waiting.get(actionId) ?? new Set()
      set.add(wake)
      waiting.set(actionId, set)
      return {
        /** True when it was told of the end; false when it is time to look for oneself. */
        async ended(timeoutMs) {
          if (told) return true
          await new Promise<void>((done) => {
            const timer = setTimeout(done, client === null ? Math.min(timeoutMs, LOOK_MS) : timeoutMs)
            resolve = () => {
              clearTimeout(timer)
              done()
            }
          })
          return told
        },
        forget() {
          set.delete(wake)
          if (set.size === 0) waiting.delete(actionId)
        },
      }
    },
    async close() {
      closed = true
      await client?.end().catch(() => {})
    },
  }
}
