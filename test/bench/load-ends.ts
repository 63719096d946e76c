// When actions end, as those are told who wait for them: by the NOTIFY of the transaction that ends them.
import pg from 'pg'

export interface Ends {
  /** When it ended, by performance.now() of this process. @throws when it does not */
  of(actionId: string): Promise<number>
  close(): Promise<void>
}

/** Nothing that is measured takes this long: who waits longer waits for something that was lost. */
const LOST_AFTER_MS = 60_000

/** @param url as the web process: it listens the same way */
export async function listenForEnds(url: string): Promise<Ends> {
  const client = new pg.Client({ connectionString: url, application_name: 'perdiem-bench' })
  const ended = new Map<string, number>()
  const waiting = new Map<string, (at: number) => void>()
  client.on('notification', ({ payload = '' }) => {
    const wake = waiting.get(payload)
    // An action may end before its 202 is here.
    if (wake) wake(performance.now())
    else ended.set(payload, performance.now())
  })
  // A listener that is lost is told by the actions that are.
  client.on('error', () => undefined)
  await client.connect()
  await client.query('LISTEN perdiem_actions')
  return {
    async of(actionId) {
      const at = ended.get(actionId)
      if (at !== undefined) {
        ended.delete(actionId)
        return at
      }
      return await new Promise((done, fail) => {
        const late = (): void => fail(new Error(`action ${actionId} has not ended within ${LOST_AFTER_MS / 1_000} s`))
        const timer = setTimeout(late, LOST_AFTER_MS)
        waiting.set(actionId, (now) => {
          clearTimeout(timer)
          waiting.delete(actionId)
          done(now)
        })
      })
    },
    close: () => client.end(),
  }
}
