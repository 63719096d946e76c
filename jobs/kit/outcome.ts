// The closed set of ways a job can end. A throw is none of them: it means "unexpected" and is retried.

export type Outcome =
  | { readonly kind: 'done'; readonly note?: string }
  /** The world has moved on; there was nothing to do. */
  | { readonly kind: 'skipped'; readonly reason: string }
  /** Not now: to be performed again at a business instant. Does not use up an attempt. */
  | { readonly kind: 'later'; readonly at: Date; readonly reason: string }
  /** It can never succeed without a person. Kept, shown, redriven by an operator. */
  | { readonly kind: 'dead'; readonly reason: string }

export const done = (note?: string): Outcome => (note === undefined ? { kind: 'done' } : { kind: 'done', note })
export const skipped = (reason: string): Outcome => ({ kind: 'skipped', reason })
export const later = (at: Date, reason: string): Outcome => ({ kind: 'later', at, reason })
export const dead = (reason: string): Outcome => ({ kind: 'dead', reason })

const KINDS = new Set(['done', 'skipped', 'later', 'dead'])

/** Whether a job really returned an outcome; anything else is a bug in the job. */
export function isOutcome(value: unknown): value is Outcome {
  return typeof value === 'object' && value !== null && KINDS.has((value as Outcome).kind)
}
