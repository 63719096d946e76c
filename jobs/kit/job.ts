import type { z } from 'zod'
import type { Outcome } from './outcome.ts'
import type { Ports } from './ports.ts'

/** How often, and how far apart, a job that throws is tried again. */
export interface RetryPolicy {
  readonly attempts: number
  /** Delay after the first failure; doubles with each, up to `maxDelayMs`. */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
}

/**
 * Retry policies by name. `brief`: somebody waits, and what comes after waits behind it. `patient`: our own stores;
 * an outage of minutes is ridden out, a bug shows within the hour. `provider`: somebody else's system; a day and
 * a half, longer than Stripe replays a failure of its own to the same idempotency key.
 */
export const retry = {
  brief: { attempts: 6, firstDelayMs: 500, maxDelayMs: 10_000 },
  patient: { attempts: 12, firstDelayMs: 1_000, maxDelayMs: 300_000 },
  provider: { attempts: 60, firstDelayMs: 2_000, maxDelayMs: 2_400_000 },
} as const satisfies Record<string, RetryPolicy>

export interface Job<Payload = unknown> {
  /** `folder.stem` of its file: data in the database and the queue, never changed without an alias. */
  readonly name: string
  readonly payload: z.ZodType<Payload>
  /** Identity of the fact, never of the attempt: at most one unfinished job has it. */
  readonly key: (payload: Payload) => string
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  /** Cron in UTC; only ticks have one. A tick's payload is `{ at }`, the instant it was scheduled for. */
  readonly schedule?: string
  readonly run: (payload: Payload, ports: Ports, signal: AbortSignal) => Promise<Outcome>
  /** What is still owed when it dies: called once, when attempts run out. */
  readonly bury?: (payload: Payload, ports: Ports, reason: string) => Promise<void>
}

/** Declares a job. The literal fields stand in this order in every job file. */
export function defineJob<Payload>(job: Job<Payload>): Job<Payload> {
  return job
}

/** The queue a job belongs to: its folder. */
export const queueOf = (job: Pick<Job, 'name'>): string => job.name.slice(0, job.name.indexOf('.'))
