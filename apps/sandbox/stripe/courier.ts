import { createHmac } from 'node:crypto'
import type { StandIn } from './standin.ts'

const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5000
const AT_ONCE = 4
const PATIENCE = 10_000

/** The header by which an endpoint knows us; the whole `whsec_…` text is the key. */
export function signatureOf(secret: string, body: string, time: number): string {
  const hmac = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')
  return `t=${time},v1=${hmac}`
}

/** Delivers webhooks from the book until each was taken with a 2xx. */
export class Courier {
  readonly #standIn: StandIn
  readonly #underWay = new Map<number, Promise<void>>()
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(standIn: StandIn) {
    this.#standIn = standIn
  }

  /** Sends what is due and sets the clock for what is due later. */
  wake(): void {
    clearTimeout(this.#timer)
    if (this.#stop.signal.aborted || this.#standIn.options.webhook === undefined) return
    const free = AT_ONCE - this.#underWay.size
    if (free <= 0) return
    const rows = this.#standIn.book
      .statement("select * from deliveries where state = 'pending' order by due, seq limit ?")
      .all(AT_ONCE + 1)
    for (const row of rows) {
      const seq = Number(row['seq'])
      if (this.#underWay.has(seq)) continue
      const pause = Number(row['due']) - Date.now()
      if (pause > 0) {
        this.#timer = setTimeout(() => this.wake(), pause)
        return
      }
      if (this.#underWay.size >= AT_ONCE) return
      this.#start(seq, String(row['event']), Number(row['attempts']))
    }
  }

  #start(seq: number, event: string, attempts: number): void {
    const run = this.#deliver(seq, event, attempts).finally(() => {
      this.#underWay.delete(seq)
      this.wake()
    })
    this.#underWay.set(seq, run)
  }

  async #deliver(seq: number, id: string, attempts: number): Promise<void> {
    const { book, options } = this.#standIn
    const taken = await this.#post(id)
    if (this.#stop.signal.aborted && !taken) return
    if (taken) {
      book.statement("update deliveries set state = 'delivered' where seq = ?").run(seq)
      return
    }
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(attempts, 10))
    options.log?.(`webhook ${id} was not taken, next attempt in ${pause} ms`)
    book.statement('update deliveries set attempts = attempts + 1, due = ? where seq = ?').run(Date.now() + pause, seq)
  }

  async #post(id: string): Promise<boolean> {
    const { book, options } = this.#standIn
    const event = book.find('event', id)
    if (event === undefined || options.webhook === undefined) return false
    const body = JSON.stringify(event)
    const time = Math.floor(Date.now() / 1000)
    try {
      const response = await fetch(options.webhook.url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json; charset=utf-8',
          'Stripe-Signature': signatureOf(options.webhook.secret, body, time),
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(PATIENCE)]),
      })
      await response.arrayBuffer()
      return response.ok
    } catch {
      return false
    }
  }

  /** How many webhooks are still to be delivered; dropped ones are not. */
  pending(): number {
    const row = this.#standIn.book.statement("select count(*) as n from deliveries where state = 'pending'").get()
    return Number(row?.['n'])
  }

  /** Stops; what is pending is delivered after the next start. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stop.abort()
    await Promise.all(this.#underWay.values())
  }
}
