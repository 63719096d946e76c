import type Stripe from 'stripe'
import { emit, idOf, referred } from './context.ts'
import type { Context } from './context.ts'
import { invalid, missing } from './errors.ts'
import { newId } from './identifiers.ts'
import { mergeMetadata } from './parameters.ts'

/** `POST /v1/refunds` */
export function createRefund(context: Context, params: Stripe.RefundCreateParams): Stripe.Refund {
  const charge = chargeToRefund(context, params)
  const left = charge.amount_captured - charge.amount_refunded
  if (left === 0) {
    const message = `Charge ${charge.id} has already been refunded.`
    throw invalid(message, undefined, 'charge_already_refunded')
  }
  const amount = params.amount ?? left
  if (amount <= 0) throw invalid('Invalid positive integer', 'amount', 'parameter_invalid_integer')
  if (amount > left) {
    const message = `Refund amount (${amount}) is greater than what is left of the charge (${left})`
    throw invalid(message, 'amount')
  }
  return refund(context, charge, amount, params)
}

function chargeToRefund(context: Context, params: Stripe.RefundCreateParams): Stripe.Charge {
  const { charge: chargeId, payment_intent: intentId } = params
  if (chargeId === undefined && intentId === undefined) throw missing('payment_intent')
  let id = chargeId
  if (id === undefined) {
    const intent = referred(context, 'payment_intent', intentId ?? '', 'payment_intent')
    id = idOf(intent.latest_charge) ?? undefined
    if (intent.status !== 'succeeded' || id === undefined) {
      const message = `PaymentIntent ${intent.id} has no successful charge to refund.`
      throw invalid(message, 'payment_intent', 'payment_intent_unexpected_state')
    }
  }
  const charge = referred(context, 'charge', id, 'charge')
  if (charge.status !== 'succeeded') throw invalid('Only a successful charge can be refunded.')
  return charge
}

/** Gives back a part of a charge that was checked to be there. */
export function refund(
  context: Context,
  charge: Stripe.Charge,
  amount: number,
  params: Pick<Stripe.RefundCreateParams, 'metadata' | 'reason'>,
): Stripe.Refund {
  const made: Stripe.Refund = {
    id: newId('re'),
    object: 'refund',
    amount,
    balance_transaction: null,
    charge: charge.id,
    created: context.now,
    currency: charge.currency,
    customer: charge.customer,
    customer_account: null,
    destination_details: { card: { type: 'refund' }, type: 'card' },
    metadata: mergeMetadata({}, params.metadata),
    payment_intent: charge.payment_intent,
    payment_method: charge.payment_method,
    reason: params.reason ?? null,
    receipt_number: null,
    source_transfer_reversal: null,
    status: 'succeeded',
    transfer_reversal: null,
  }
  const amount_refunded = charge.amount_refunded + amount
  const refunded = amount_refunded === charge.amount_captured
  const after = { ...charge, amount_refunded, refunded }
  context.book.insert('refund', made, context.now)
  context.book.update(after)
  emit(context, 'refund.created', made)
  emit(context, 'charge.refunded', after, { amount_refunded: charge.amount_refunded })
  return made
}
