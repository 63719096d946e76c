// What only a sandbox has: a clock that can be moved, and a card page filled in by a call. Neither call has a key, so
// that before one is repeated the client looks what became of it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Http } from './http.ts'
import type { InstantText } from './ledger.ts'

export interface Sandbox {
  now(): Promise<InstantText>
  /** @returns whether one call carried it; after a failure some of what was due may still be undone */
  moveClock(to: InstantText): Promise<{ clean: boolean }>
  /** Enters a card unless an equal one is there. */
  enterCard(of: { account: string; apiKey: string; number: string; primary: boolean }): Promise<void>
}

/** A month's move works off everything due on the way. */
const MOVE_MS = 600_000
const MOVES_MS = 1_200_000
const CARD_TRY_MS = 30_000
const CARDS_MS = 240_000
/** A webhook that is late, not lost, has come by then. */
const CARD_APPEARS_MS = 6_000
const STANDS_STILL_MS = 3_000

export function sandboxOf(http: Http, operatorKey: string): Sandbox {
  const now = async (): Promise<InstantText> => {
    const { status, body } = await http.call({ method: 'GET', path: '/sandbox/clock', as: operatorKey })
    if (status !== 200) throw new Error(`the clock cannot be read: ${status} ${JSON.stringify(body)}`)
    return body.now
  }
  /** A mover whose caller hung up goes on; two movers at once would turn the clock back. */
  const standStill = async (): Promise<void> => {
    for (let last = await now(); ;) {
      await sleep(STANDS_STILL_MS)
      const next = await now()
      if (next === last) return
      last = next
    }
  }
  return {
    now,
    async moveClock(to) {
      const until = performance.now() + MOVES_MS
      const ask = { method: 'POST', path: '/sandbox/clock', as: operatorKey, body: { to }, tryMs: MOVE_MS } as const
      for (let clean = true; ; clean = false) {
        const answer = await http.once(ask)
        if (answer?.status === 200) return { clean }
        if (answer) throw new Error(`the clock does not move to ${to}: ${answer.status} ${JSON.stringify(answer.body)}`)
        if (performance.now() > until) throw new Error(`the clock did not come to ${to}`)
        await standStill()
      }
    },
    enterCard: (of) => enterCard(http, operatorKey, of),
  }
}

type CardOrder = Parameters<Sandbox['enterCard']>[0]

async function enterCard(http: Http, operatorKey: string, of: CardOrder): Promise<void> {
  const until = performance.now() + CARDS_MS
  const { account, number, primary } = of
  while (!(await hasCard(http, of))) {
    const body = { account, number, primary }
    const answer = await http.once({
      method: 'POST',
      path: '/sandbox/cards',
      as: operatorKey,
      body,
      tryMs: CARD_TRY_MS,
    })
    if (answer?.status === 201) return
    if (answer) throw new Error(`the card of ${account}: ${answer.status} ${JSON.stringify(answer.body)}`)
    const appears = performance.now() + CARD_APPEARS_MS
    while (performance.now() < appears && !(await hasCard(http, of))) await sleep(300)
    if (performance.now() > until) throw new Error(`the card of ${account} was not taken`)
  }
}

async function hasCard(http: Http, { apiKey, number }: CardOrder): Promise<boolean> {
  const { status, body } = await http.call({ method: 'GET', path: '/v1/payment-methods', as: apiKey })
  if (status !== 200) throw new Error(`the cards cannot be read: ${status}`)
  return (body.data as { last4: string }[]).some((card) => card.last4 === number.slice(-4))
}
