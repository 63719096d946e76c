// The sandbox's own talk with the Stripe stand-in: its clock, its log, its faults, and the card page a person would
// fill in.

export interface StandIn {
  setClock(instant: Date): Promise<void>
  pendingWebhooks: () => Promise<number>
  requests(limit: number): Promise<unknown>
  addFault(fault: Record<string, unknown>): Promise<{ status: number; body: unknown }>
  /** Fills in the page a card is entered on. Null when the card was taken; otherwise why it was not. */
  enterCard(pageUrl: string, card: { number: string; exp: string }): Promise<{ code: string; message: string } | null>
}

/** The stand-in answers from memory and one local file; longer than this it is stuck. */
const TIMEOUT_MS = 10_000

export function standInClient(url: string, secretKey: string): StandIn {
  const headers = { Authorization: `Bearer ${secretKey}`, 'Content-Type': 'application/json' }
  const call = async (path: string, body?: unknown): Promise<Response> =>
    await fetch(new URL(path, url), {
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    })
  const json = async (response: Response): Promise<unknown> => {
    if (!response.ok) throw new Error(`the stand-in answered ${response.status}`)
    return await response.json()
  }
  return {
    setClock: async (instant) =>
      void (await json(await call('/_sandbox/clock', { now: Math.floor(instant.getTime() / 1_000) }))),
    pendingWebhooks: async () =>
      ((await json(await call('/_sandbox/idle'))) as { pending_webhooks: number }).pending_webhooks,
    requests: async (limit) => await json(await call(`/_sandbox/requests?limit=${limit}`)),
    async addFault(fault) {
      const response = await call('/_sandbox/faults', fault)
      return { status: response.status, body: await response.json() }
    },
    async enterCard(pageUrl, { number, exp }) {
      const response = await fetch(pageUrl, {
        method: 'POST',
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { Accept: 'application/json' },
        body: new URLSearchParams({ number, exp, cvc: '123', name: 'Sandbox Cardholder' }),
      })
      if (response.status === 303) return null
      const { error } = (await response.json()) as {
        error?: { code?: string; decline_code?: string; message?: string }
      }
      return {
        code: error?.decline_code ?? error?.code ?? 'card_declined',
        message: error?.message ?? 'The card was not taken.',
      }
    },
  }
}
