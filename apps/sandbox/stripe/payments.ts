import type Stripe from 'stripe'
import { cardError, isExpired, needsHolder } from './cards.ts'
import type { CardSecret } from './cards.ts'
import { emit, idOf } from './context.ts'
import type { Context } from './context.ts'
import type { ApiError, ErrorBody } from './errors.ts'
import { newId, randomText } from './identifiers.ts'
import { secretOf } from './payment-methods.ts'

/** Opens the one payment an invoice is collected by: an intent, charged once per attempt. */
export function openPayment(context: Context, invoice: Stripe.Invoice): Stripe.PaymentIntent {
  const intent = blankIntent(context, invoice)
  context.book.insert('payment_intent', intent, context.now)
  const payment: Stripe.InvoicePayment = {
    id: newId('inpay'),
    object: 'invoice_payment',
    amount_paid: null,
    amount_requested: invoice.amount_remaining,
    created: context.now,
    currency: invoice.currency,
    invoice: invoice.id,
    is_default: true,
    livemode: false,
    payment: { payment_intent: intent.id, type: 'payment_intent' },
    status: 'open',
    status_transitions: { canceled_at: null, paid_at: null },
  }
  context.book.insert('invoice_payment', payment, context.now)
  emit(context, 'payment_intent.created', intent)
  return intent
}

function blankIntent(context: Context, invoice: Stripe.Invoice): Stripe.PaymentIntent {
  const id = newId('pi')
  return {
    id,
    object: 'payment_intent',
    allowed_payment_method_types: null,
    amount: invoice.amount_remaining,
    amount_capturable: 0,
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: 'automatic',
    client_secret: `${id}_secret_${randomText(25)}`,
    confirmation_method: 'automatic',
    created: context.now,
    currency: invoice.currency,
    customer: idOf(invoice.customer),
    customer_account: null,
    description: `Payment for Invoice ${invoice.number ?? ''}`.trim(),
    excluded_payment_method_types: null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    managed_payments: null,
    metadata: {},
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: null,
    payment_method_types: ['card'],
    payment_record: null,
    processing: null,
    receipt_email: null,
    review: null,
    setup_future_usage: null,
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: 'requires_payment_method',
    transfer_group: null,
  }
}

/** How a card is charged: with its holder away or present, and whether the bank saw them. */
export interface Manner {
  offSession: boolean
  authenticated: boolean
}

/** Charges a card once. Answers with the refusal, if it was one; all of it is on record then. */
export function confirm(
  context: Context,
  intent: Stripe.PaymentIntent,
  card: Stripe.PaymentMethod,
  manner: Manner,
): ApiError | undefined {
  const secret = secretOf(context, card.id)
  const expired = card.card !== undefined && isExpired(card.card, context.now)
  if (!expired && needsHolder(secret, manner.offSession) && !manner.authenticated) {
    return requireAction(context, intent, card)
  }
  const refused = expired ? 'expired' : secret.charge
  if (refused !== undefined) return fail(context, intent, card, secret, refused)
  const charge = chargeOf(context, intent, card, secret)
  context.book.insert('charge', charge, context.now)
  const paid: Stripe.PaymentIntent = {
    ...intent,
    status: 'succeeded',
    amount_received: intent.amount,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    payment_method: card.id,
  }
  context.book.update(paid)
  emit(context, 'charge.succeeded', charge)
  emit(context, 'payment_intent.succeeded', paid)
  return undefined
}

function requireAction(context: Context, intent: Stripe.PaymentIntent, card: Stripe.PaymentMethod): ApiError {
  const waiting: Stripe.PaymentIntent = {
    ...intent,
    status: 'requires_action',
    last_payment_error: null,
    next_action: { type: 'use_stripe_sdk', use_stripe_sdk: {} },
    payment_method: card.id,
  }
  context.book.update(waiting)
  emit(context, 'payment_intent.requires_action', waiting)
  return cardError('authentication', { payment_intent: waiting, payment_method: card })
}

function fail(
  context: Context,
  intent: Stripe.PaymentIntent,
  card: Stripe.PaymentMethod,
  secret: CardSecret,
  refused: string,
): ApiError {
  const error = cardError(refused, { payment_method: card })
  const charge = chargeOf(context, intent, card, secret, error.body)
  context.book.insert('charge', charge, context.now)
  const failed: Stripe.PaymentIntent = {
    ...intent,
    status: 'requires_payment_method',
    last_payment_error: { ...error.body, charge: charge.id } as never,
    latest_charge: charge.id,
    next_action: null,
    payment_method: null,
  }
  context.book.update(failed)
  emit(context, 'charge.failed', charge)
  emit(context, 'payment_intent.payment_failed', failed)
  return cardError(refused, { charge: charge.id, payment_intent: failed, payment_method: card })
}

// A sandbox takes no cut and keeps no balance.
const noFees = {
  application: null,
  application_fee: null,
  application_fee_amount: null,
  balance_transaction: null,
}

function chargeOf(
  context: Context,
  intent: Stripe.PaymentIntent,
  card: Stripe.PaymentMethod,
  secret: CardSecret,
  error?: ErrorBody,
): Stripe.Charge {
  const good = error === undefined
  return {
    id: newId('ch'),
    object: 'charge',
    amount: intent.amount,
    amount_captured: good ? intent.amount : 0,
    amount_refunded: 0,
    ...noFees,
    billing_details: card.billing_details as Stripe.Charge.BillingDetails,
    calculated_statement_descriptor: null,
    captured: good,
    created: context.now,
    currency: intent.currency,
    customer: intent.customer,
    description: intent.description,
    disputed: false,
    failure_balance_transaction: null,
    failure_code: error?.code ?? null,
    failure_message: error?.message ?? null,
    fraud_details: {},
    livemode: false,
    metadata: {},
    on_behalf_of: null,
    outcome: outcomeOf(secret, error),
    paid: good,
    payment_intent: intent.id,
    payment_method: card.id,
    payment_method_details: detailsOf(card),
    receipt_email: null,
    receipt_number: null,
    receipt_url: null,
    refunded: false,
    review: null,
    shipping: null,
    source: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: good ? 'succeeded' : 'failed',
    transfer_data: null,
    transfer_group: null,
  }
}

function outcomeOf(secret: CardSecret, error?: ErrorBody): Stripe.Charge.Outcome {
  const blocked = secret.blocked === true
  return {
    advice_code: (error?.advice_code ?? null) as Stripe.Charge.Outcome['advice_code'],
    network_advice_code: null,
    network_decline_code: null,
    network_status: blocked
      ? 'not_sent_to_network'
      : error === undefined
        ? 'approved_by_network'
        : 'declined_by_network',
    reason: blocked ? 'highest_risk_level' : (error?.decline_code ?? null),
    risk_level: blocked ? 'highest' : 'normal',
    seller_message: error === undefined ? 'Payment complete.' : error.message,
    type: blocked ? 'blocked' : error === undefined ? 'authorized' : 'issuer_declined',
  }
}

function detailsOf(card: Stripe.PaymentMethod): Stripe.Charge.PaymentMethodDetails {
  const { card: shown } = card
  return {
    type: 'card',
    card: {
      brand: shown?.brand ?? null,
      checks: shown?.checks ?? null,
      country: shown?.country ?? null,
      exp_month: shown?.exp_month ?? 0,
      exp_year: shown?.exp_year ?? 0,
      fingerprint: shown?.fingerprint ?? null,
      funding: shown?.funding ?? null,
      last4: shown?.last4 ?? null,
    } as Stripe.Charge.PaymentMethodDetails.Card,
  }
}
