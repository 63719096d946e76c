// Calls that survive outages: repeated, with the same Idempotency-Key, until the answer is definite.
import { setTimeout as sleep } from 'node:timers/promises'

export interface HttpOptions {
  readonly url: string
  /** How long a call is repeated before the client gives up. */
  readonly totalMs?: number
  /** How long one try may take. */
  readonly tryMs?: number
}

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  /** The secret of an API key. */
  readonly as: string
  readonly body?: unknown
  readonly idempotencyKey?: string
  readonly prefer?: string
  /** For what may take long. */
  readonly tryMs?: number
}

export interface Answer {
  readonly status: number
  readonly code: string | null
  // Whoever asked knows what it asked for.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any
}

export interface Http {
  /** @throws Unanswered when no definite answer came in time */
  call(ask: Ask): Promise<Answer>
  /** One try; null when it has no definite answer. For calls that must not be repeated blindly. */
  once(ask: Ask): Promise<Answer | null>
  readonly felt: { calls: number; retries: number; longestMs: number }
}

export class Unanswered extends Error {
  override name = 'Unanswered'
}

const TOTAL_MS = 180_000
const TRY_MS = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_500

type Try = { readonly answer: Answer } | { readonly why: string }

/** Whether an answer settles what became of the request. */
function definite({ status, code }: Answer): boolean {
  if (status === 429 || status >= 500) return false
  return !(status === 409 && code === 'idempotency_in_progress')
}

async function tryOnce(url: string, ask: Ask, timeoutMs: number): Promise<Try> {
  try {
    const response = await fetch(url + ask.path, {
      method: ask.method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        Authorization: `Bearer ${ask.as}`,
        ...(ask.body !== undefined && { 'Content-Type': 'application/json' }),
        ...(ask.idempotencyKey !== undefined && { 'Idempotency-Key': ask.idempotencyKey }),
        ...(ask.prefer !== undefined && { Prefer: ask.prefer }),
      },
      ...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
    })
    const text = await response.text()
    // A proxy's or a dying server's half page is no answer: what is not JSON throws, and is asked again.
    const body = text === '' ? null : JSON.parse(text)
    const code = typeof body?.code === 'string' ? body.code : null
    const answer = { status: response.status, code, body }
    return definite(answer) ? { answer } : { why: `${response.status} ${code ?? text.slice(0, 200)}` }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
    return { why: `${String(error)}${cause}` }
  }
}

export function createHttp(options: HttpOptions): Http {
  const felt = { calls: 0, retries: 0, longestMs: 0 }
  return {
    felt,
    async call(ask) {
      felt.calls += 1
      const began = performance.now()
      const until = began + (options.totalMs ?? TOTAL_MS)
      for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        const tried = await tryOnce(options.url, ask, ask.tryMs ?? options.tryMs ?? TRY_MS)
        if ('answer' in tried) {
          felt.longestMs = Math.max(felt.longestMs, Math.round(performance.now() - began))
          return tried.answer
        }
        if (performance.now() + pause > until) {
          const seconds = Math.round((performance.now() - began) / 1_000)
          throw new Unanswered(`${ask.method} ${ask.path}: no definite answer in ${seconds} s, last: ${tried.why}`)
        }
        felt.retries += 1
        await sleep(pause)
      }
    },
    async once(ask) {
      felt.calls += 1
      const tried = await tryOnce(options.url, ask, ask.tryMs ?? options.tryMs ?? TRY_MS)
      if ('answer' in tried) return tried.answer
      felt.retries += 1
      return null
    },
  }
}
