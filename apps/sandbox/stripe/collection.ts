import type Stripe from 'stripe'
import { emit, idOf, named, referred } from './context.ts'
import type { Context } from './context.ts'
import { invalid } from './errors.ts'
import { checkAmount } from './invoice-amounts.ts'
import { emitInvoice, presentInvoice } from './invoice-view.ts'
import { finalize } from './finalization.ts'
import { ownCard } from './invoices.ts'
import { cardNamed } from './payment-methods.ts'
import { confirm, openPayment } from './payments.ts'
import type { Manner } from './payments.ts'

type Path = Record<string, string>

/** `POST /v1/invoices/{invoice}/pay`: a draft is finalized first. */
export function payInvoice(context: Context, params: Stripe.InvoicePayParams, path: Path): object {
  let invoice = named(context, 'invoice', path['invoice'])
  checkPayable(invoice)
  if (params.paid_out_of_band === true) {
    if (invoice.status === 'draft') invoice = finalize(context, invoice)
    if (invoice.status !== 'paid') invoice = settle(context, invoice, null)
    return presentInvoice(context, invoice)
  }
  const card = choose(context, invoice, params.payment_method)
  if (invoice.status === 'draft') invoice = finalize(context, invoice)
  // A total of zero was settled by becoming final.
  if (invoice.status === 'paid') return presentInvoice(context, invoice)
  const manner = { offSession: params.off_session ?? true, authenticated: false }
  return presentInvoice(context, collect(context, invoice, card, manner))
}

/** Refuses to collect what is no longer owed. */
export function checkPayable(invoice: Stripe.Invoice): void {
  if (invoice.status === 'paid') throw invalid('Invoice is already paid')
  if (invoice.status === 'void') throw invalid('Voided invoices cannot be paid.')
}

function choose(context: Context, invoice: Stripe.Invoice, asked: string | undefined): Stripe.PaymentMethod {
  if (asked !== undefined) {
    const card = cardNamed(context, asked, 'payment_method')
    // A ready-made card is made on the spot and belongs to nobody.
    return card.id === asked ? ownCard(context, invoice, asked, 'payment_method') : card
  }
  const customer = referred(context, 'customer', idOf(invoice.customer) ?? '', 'customer')
  const fallback = idOf(customer.invoice_settings.default_payment_method)
  const id = idOf(invoice.default_payment_method) ?? fallback
  if (id !== null) return ownCard(context, invoice, id, 'payment_method')
  throw invalid(
    'There is no default_payment_method set on this Customer or Invoice. ' +
      'Set one prior to attempting to pay this Invoice.',
  )
}

/** One attempt to charge a card for an invoice; a refusal is thrown once it is on record. */
export function collect(
  context: Context,
  invoice: Stripe.Invoice,
  card: Stripe.PaymentMethod,
  manner: Manner,
): Stripe.Invoice {
  checkAmount(invoice)
  const intent = intentOf(context, invoice) ?? openPayment(context, invoice)
  const refused = confirm(context, intent, card, manner)
  // Any attempt counts as the first; from then on Stripe counts only retries of its own schedule.
  const attempt_count = Math.max(1, invoice.attempt_count)
  const attempted = { ...invoice, attempted: true, attempt_count }
  if (refused === undefined) return settle(context, attempted, intent.id)
  context.book.update(attempted)
  emitInvoice(context, 'invoice.payment_failed', attempted)
  if (refused.body.code === 'authentication_required') {
    emitInvoice(context, 'invoice.payment_action_required', attempted)
  }
  throw refused
}

/** The intent an invoice is collected by, once it is final. */
export function intentOf(context: Context, invoice: Stripe.Invoice): Stripe.PaymentIntent | undefined {
  const payment = paymentOf(context, invoice)
  return context.book.find('payment_intent', idOf(payment?.payment.payment_intent) ?? '')
}

/** The invoice's own payment, as `invoice_payments` lists it. */
export function paymentOf(context: Context, invoice: Stripe.Invoice): Stripe.InvoicePayment | undefined {
  return context.book.all('invoice_payment', { parent: invoice.id }).find((p) => p.is_default)
}

/** Marks an invoice as paid: by an intent, or in a way Stripe had no part in. */
export function settle(context: Context, invoice: Stripe.Invoice, intent: string | null): Stripe.Invoice {
  const paid: Stripe.Invoice = {
    ...invoice,
    status: 'paid',
    attempted: true,
    amount_paid: invoice.amount_paid + invoice.amount_remaining,
    amount_remaining: 0,
    status_transitions: { ...invoice.status_transitions, paid_at: context.now },
  }
  context.book.update(paid)
  if (intent === null) cancelPayment(context, invoice, null)
  else markPaymentPaid(context, invoice)
  emitInvoice(context, 'invoice.paid', paid)
  emitInvoice(context, 'invoice.payment_succeeded', paid)
  return paid
}

function markPaymentPaid(context: Context, invoice: Stripe.Invoice): void {
  const payment = paymentOf(context, invoice)
  if (payment === undefined) return
  const paid: Stripe.InvoicePayment = {
    ...payment,
    amount_paid: invoice.amount_remaining,
    status: 'paid',
    status_transitions: { ...payment.status_transitions, paid_at: context.now },
  }
  context.book.update(paid)
  emit(context, 'invoice_payment.paid', paid)
}

/** Ends the payment of an invoice that no longer needs one. */
export function cancelPayment(context: Context, invoice: Stripe.Invoice, reason: 'void_invoice' | null): void {
  const payment = paymentOf(context, invoice)
  const intent = intentOf(context, invoice)
  if (payment === undefined || intent === undefined) return
  const status_transitions = { ...payment.status_transitions, canceled_at: context.now }
  context.book.update({ ...payment, status: 'canceled', status_transitions })
  const canceled: Stripe.PaymentIntent = {
    ...intent,
    status: 'canceled',
    canceled_at: context.now,
    cancellation_reason: reason,
    next_action: null,
  }
  context.book.update(canceled)
  emit(context, 'payment_intent.canceled', canceled)
}

/** `POST /v1/invoices/{invoice}/void` */
export function voidInvoice(context: Context, _params: unknown, path: Path): object {
  const invoice = named(context, 'invoice', path['invoice'])
  if (invoice.status !== 'open' && invoice.status !== 'uncollectible') {
    throw invalid('You can only void open or uncollectible invoices.')
  }
  const after: Stripe.Invoice = {
    ...invoice,
    status: 'void',
    status_transitions: { ...invoice.status_transitions, voided_at: context.now },
  }
  context.book.update(after)
  cancelPayment(context, invoice, 'void_invoice')
  emitInvoice(context, 'invoice.voided', after)
  return presentInvoice(context, after)
}

/** `POST /v1/invoices/{invoice}/mark_uncollectible` */
export function markUncollectible(context: Context, _params: unknown, path: Path): object {
  const invoice = named(context, 'invoice', path['invoice'])
  if (invoice.status !== 'open') {
    throw invalid('You can only mark open invoices as uncollectible.')
  }
  const after: Stripe.Invoice = {
    ...invoice,
    status: 'uncollectible',
    status_transitions: { ...invoice.status_transitions, marked_uncollectible_at: context.now },
  }
  context.book.update(after)
  emitInvoice(context, 'invoice.marked_uncollectible', after)
  return presentInvoice(context, after)
}

/** `POST /v1/invoices/{invoice}/send`: recorded, though no mail leaves a sandbox. */
export function sendInvoice(context: Context, _params: unknown, path: Path): object {
  let invoice = named(context, 'invoice', path['invoice'])
  if (invoice.collection_method !== 'send_invoice') {
    throw invalid('You can only send invoices with collection_method=send_invoice.')
  }
  if (invoice.status === 'draft') invoice = finalize(context, invoice)
  if (invoice.status !== 'open' && invoice.status !== 'paid') {
    throw invalid('You can only send open or paid invoices.')
  }
  emitInvoice(context, 'invoice.sent', invoice)
  return presentInvoice(context, invoice)
}
