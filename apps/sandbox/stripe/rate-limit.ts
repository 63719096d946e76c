import { refusal } from './errors.ts'

/** Stripe's published limits: requests per second, together and per operation. */
const limits = {
  live: { global: 100, endpoint: 25 },
  test: { global: 25, endpoint: 25 },
}

export type RateLimitMode = keyof typeof limits

/** Counts requests of the last second in real time. */
export class RateLimit {
  readonly #mode: RateLimitMode
  readonly #times = new Map<string, number[]>()

  constructor(mode: RateLimitMode) {
    this.#mode = mode
  }

  /** Lets the request pass or answers 429 with the limit it met. */
  admit(operation: string): void {
    const now = performance.now()
    const { global, endpoint } = limits[this.#mode]
    if (this.#recent('', now).length >= global) throw tooMany('global-rate')
    if (this.#recent(operation, now).length >= endpoint) throw tooMany('endpoint-rate')
    this.#recent('', now).push(now)
    this.#recent(operation, now).push(now)
  }

  #recent(name: string, now: number): number[] {
    const times = (this.#times.get(name) ?? []).filter((time) => time > now - 1000)
    this.#times.set(name, times)
    return times
  }
}

/** The refusal of a request that came too soon. Stripe says why, but not when to come back. */
export function tooMany(reason: string): Error {
  return refusal(429, 'invalid_request_error', 'Request rate limit exceeded.', 'rate_limit', {
    'Stripe-Rate-Limited-Reason': reason,
  })
}
