// What to do next about an open invoice that is collected by card. Pure; re-planned from the facts after every step.

export interface PaymentFact {
  readonly id: string
  readonly status: 'created' | 'sent' | 'succeeded' | 'failed' | 'requires_action' | 'processing' | 'unknown'
  readonly methodId: string | null
  readonly sentAt: Date | null
  readonly advice: string | null
  readonly code: string | null
}

export type ChargeStep =
  | { readonly kind: 'nothing'; readonly reason: string }
  /** An attempt whose end we do not know: ask, with the same key; never charge anew. */
  | { readonly kind: 'settle'; readonly payment: PaymentFact }
  /** Stripe itself is still at it: its webhook, or the reconciliation, tells the end. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'charge'; readonly methodId: string }
  /** Every valid card was tried once. */
  | { readonly kind: 'exhausted' }

/** The code of an attempt whose answer was lost, and of which Stripe's own copy bears no trace. */
export const LOST = 'not_found_at_provider'
const LOST_MAX = 3

const IN_FLIGHT = new Set(['created', 'sent', 'unknown'])

/**
 * The primary card first, then the others in order, each once (domain.md, 5).
 * @param cards ids of the valid cards, in the order of charging
 */
export function planCharge(
  invoice: { readonly status: string },
  payments: readonly PaymentFact[],
  cards: readonly string[],
): ChargeStep {
  if (invoice.status === 'paid' || invoice.status === 'void')
    return { kind: 'nothing', reason: `invoice is ${invoice.status}` }
  if (payments.some((payment) => payment.status === 'succeeded')) return { kind: 'nothing', reason: 'already charged' }
  const flying = payments.find((payment) => IN_FLIGHT.has(payment.status))
  if (flying) return { kind: 'settle', payment: flying }
  if (payments.some((payment) => payment.status === 'processing')) return { kind: 'wait' }
  // An attempt that Stripe turned out to know nothing of has not tried its card; but not for ever.
  const lost = payments.filter((payment) => payment.code === LOST).length
  const tried = new Set(payments.filter((one) => one.code !== LOST || lost >= LOST_MAX).map((one) => one.methodId))
  const next = cards.find((card) => !tried.has(card))
  return next === undefined ? { kind: 'exhausted' } : { kind: 'charge', methodId: next }
}
