import type Stripe from 'stripe'
import { cancelPayment, intentOf, paymentOf } from './collection.ts'
import { emit, idOf, referred } from './context.ts'
import type { Context } from './context.ts'
import { invalid, missing } from './errors.ts'
import { newId } from './identifiers.ts'
import { emitInvoice } from './invoice-view.ts'
import { mergeMetadata } from './parameters.ts'
import { refund } from './refunds.ts'

type Params = Stripe.CreditNoteCreateParams
type WireCreditLine = Omit<Stripe.CreditNoteLineItem, 'unit_amount_decimal'> & {
  unit_amount_decimal: string | null
}

/** `POST /v1/credit_notes`: lowers what is owed, or tells how what was paid goes back. */
export function createCreditNote(context: Context, params: Params): Stripe.CreditNote {
  const invoice = referred(context, 'invoice', params.invoice, 'invoice')
  if (invoice.status === 'draft' || invoice.status === 'void') {
    throw invalid('Credit notes can only be issued for open, paid or uncollectible invoices.')
  }
  const lines = (params.lines ?? []).map((line, index) => lineOf(context, line, index))
  const total = totalOf(params, lines)
  const unpaid = invoice.status === 'paid' ? 0 : invoice.amount_remaining
  const before = Math.min(total, unpaid)
  const after = total - before
  const creditable = invoice.amount_paid - invoice.post_payment_credit_notes_amount
  if (after > creditable) {
    throw invalid('The credit note is more than what is left of the invoice.', 'amount')
  }
  const refunds = backToPayer(context, invoice, params, after)
  const note = noteOf(context, invoice, params, { lines, total, before, after, refunds })
  context.book.insert('credit_note', note, context.now)
  lower(context, invoice, before, after)
  emit(context, 'credit_note.created', note)
  return note
}

function totalOf(params: Params, lines: WireCreditLine[]): number {
  const ofLines = lines.reduce((sum, line) => sum + line.amount, 0)
  if (params.amount === undefined && lines.length === 0) throw missing('amount')
  if (params.amount !== undefined && lines.length > 0 && params.amount !== ofLines) {
    throw invalid('amount differs from the sum of the lines', 'amount')
  }
  const total = params.amount ?? ofLines
  if (total <= 0) throw invalid('Invalid positive integer', 'amount', 'parameter_invalid_integer')
  return total
}

function lineOf(context: Context, line: Stripe.CreditNoteCreateParams.Line, index: number): WireCreditLine {
  const item = line.invoice_line_item
  const ofInvoice = item === undefined ? undefined : context.book.find('line_item', item)
  const param = `lines[${index}][invoice_line_item]`
  if (line.type === 'invoice_line_item' && ofInvoice === undefined) throw missing(param)
  const quantity = line.quantity ?? null
  const unit = line.unit_amount ?? null
  const amount = line.amount ?? (unit === null ? ofInvoice?.amount : unit * (quantity ?? 1))
  if (amount === undefined) throw missing(`lines[${index}][amount]`)
  return {
    id: newId('cnli'),
    object: 'credit_note_line_item',
    amount,
    description: line.description ?? ofInvoice?.description ?? null,
    discount_amount: 0,
    discount_amounts: [],
    ...(item === undefined ? {} : { invoice_line_item: item }),
    livemode: false,
    metadata: mergeMetadata({}, line.metadata),
    pretax_credit_amounts: [],
    quantity,
    tax_rates: [],
    taxes: [],
    type: line.type,
    unit_amount: unit,
    unit_amount_decimal: unit === null ? null : String(unit),
  }
}

// The part that was paid must go somewhere: refunded now, refunded already, or settled elsewhere.
function backToPayer(
  context: Context,
  invoice: Stripe.Invoice,
  params: Params,
  after: number,
): Stripe.CreditNote.Refund[] {
  const linked = (params.refunds ?? []).map((entry, index) => {
    const param = `refunds[${index}][refund]`
    if (entry.refund === undefined) throw missing(param)
    const made = referred(context, 'refund', entry.refund, param)
    return { refund: made.id, amount_refunded: entry.amount_refunded ?? made.amount }
  })
  const fresh = params.refund_amount ?? 0
  const accounted =
    linked.reduce((sum, entry) => sum + entry.amount_refunded, 0) + fresh + (params.out_of_band_amount ?? 0)
  if (accounted !== after) {
    const message =
      'The sum of refund_amount, out_of_band_amount and refunds must equal the part that was ' + `paid (${after}).`
    throw invalid(message)
  }
  if (fresh > 0) linked.push({ refund: refundNow(context, invoice, fresh), amount_refunded: fresh })
  return linked.map((entry) => ({ ...entry, payment_record_refund: null, type: 'refund' }))
}

function refundNow(context: Context, invoice: Stripe.Invoice, amount: number): string {
  const charge = idOf(intentOf(context, invoice)?.latest_charge)
  const found = charge === null ? undefined : context.book.find('charge', charge)
  if (found === undefined || found.amount_captured - found.amount_refunded < amount) {
    throw invalid('The invoice has no charge left to refund that much from.', 'refund_amount')
  }
  return refund(context, found, amount, {}).id
}

interface Reckoned {
  lines: WireCreditLine[]
  total: number
  before: number
  after: number
  refunds: Stripe.CreditNote.Refund[]
}

function noteOf(
  context: Context,
  invoice: Stripe.Invoice,
  params: Params,
  { lines, total, before, after, refunds }: Reckoned,
): Stripe.CreditNote {
  const id = newId('cn')
  const issued = context.book.all('credit_note', { parent: invoice.id }).length + 1
  return {
    id,
    object: 'credit_note',
    amount: total,
    amount_shipping: 0,
    created: context.now,
    currency: invoice.currency,
    customer: idOf(invoice.customer) ?? '',
    customer_account: null,
    customer_balance_transaction: null,
    discount_amount: 0,
    discount_amounts: [],
    effective_at: params.effective_at ?? context.now,
    invoice: invoice.id,
    lines: {
      object: 'list',
      data: lines as unknown as Stripe.CreditNoteLineItem[],
      has_more: false,
      url: `/v1/credit_notes/${id}/lines`,
    },
    livemode: false,
    memo: params.memo ?? null,
    metadata: mergeMetadata({}, params.metadata),
    number: `${invoice.number}-CN-${String(issued).padStart(2, '0')}`,
    out_of_band_amount: params.out_of_band_amount ?? null,
    pdf: `${context.baseUrl}${invoice.invoice_pdf ?? ''}`,
    post_payment_amount: after,
    pre_payment_amount: before,
    pretax_credit_amounts: [],
    reason: params.reason ?? null,
    refunds,
    shipping_cost: null,
    status: 'issued',
    subtotal: total,
    subtotal_excluding_tax: total,
    total,
    total_excluding_tax: total,
    total_taxes: [],
    type: before === 0 ? 'post_payment' : after === 0 ? 'pre_payment' : 'mixed',
    voided_at: null,
  }
}

function lower(context: Context, invoice: Stripe.Invoice, before: number, after: number): void {
  const remaining = invoice.amount_remaining - before
  const lowered: Stripe.Invoice = {
    ...invoice,
    amount_due: invoice.amount_due - before,
    amount_remaining: remaining,
    pre_payment_credit_notes_amount: invoice.pre_payment_credit_notes_amount + before,
    post_payment_credit_notes_amount: invoice.post_payment_credit_notes_amount + after,
  }
  const settled = before > 0 && remaining === 0
  if (settled) {
    lowered.status = 'paid'
    lowered.status_transitions = { ...invoice.status_transitions, paid_at: context.now }
  }
  context.book.update(lowered)
  if (settled) cancelPayment(context, invoice, null)
  else if (before > 0) requestLess(context, lowered)
  emitInvoice(context, settled ? 'invoice.paid' : 'invoice.updated', lowered)
}

// What is still to be collected shrinks with the invoice.
function requestLess(context: Context, invoice: Stripe.Invoice): void {
  const payment = paymentOf(context, invoice)
  const intent = intentOf(context, invoice)
  if (payment === undefined || intent === undefined) return
  context.book.update({ ...payment, amount_requested: invoice.amount_remaining })
  context.book.update({ ...intent, amount: invoice.amount_remaining })
}
