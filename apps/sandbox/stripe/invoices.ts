import type Stripe from 'stripe'
import type { WireLine } from './book.ts'
import { currencyOf, idOf, named, referred, saveCustomer } from './context.ts'
import type { Context } from './context.ts'
import { invalid, missing } from './errors.ts'
import { neverAdvances, takeNumber } from './finalization.ts'
import { newId } from './identifiers.ts'
import { reckon, taxesOf } from './invoice-amounts.ts'
import { emitInvoice, presentInvoice } from './invoice-view.ts'
import { mergeMetadata } from './parameters.ts'

type Path = Record<string, string>
type DraftParams = Stripe.InvoiceUpdateParams & { currency?: string }

const MAX_LINES = 250

// What an invoice begins with, apart from its customer's details and what was asked for.
const blank = {
  account_country: 'US',
  account_name: 'Stand-in',
  account_tax_ids: null,
  amount_due: 0,
  amount_overpaid: 0,
  amount_paid: 0,
  amount_remaining: 0,
  amount_shipping: 0,
  application: null,
  attempt_count: 0,
  attempted: false,
  auto_advance: false,
  automatic_tax: {
    disabled_reason: null,
    enabled: false,
    liability: null,
    provider: null,
    status: null,
  },
  automatically_finalizes_at: null,
  billing_reason: 'manual',
  collection_method: 'charge_automatically',
  custom_fields: null,
  default_payment_method: null,
  default_source: null,
  default_tax_rates: [],
  description: null,
  discounts: [],
  due_date: null,
  effective_at: null,
  ending_balance: null,
  footer: null,
  from_invoice: null,
  hosted_invoice_url: null,
  invoice_pdf: null,
  issuer: { type: 'self' },
  last_finalization_error: null,
  latest_revision: null,
  livemode: false,
  metadata: {},
  next_payment_attempt: null,
  number: null,
  on_behalf_of: null,
  parent: null,
  payment_settings: {
    default_mandate: null,
    payment_method_options: null,
    payment_method_types: null,
  },
  post_payment_credit_notes_amount: 0,
  pre_payment_credit_notes_amount: 0,
  receipt_number: null,
  rendering: null,
  shipping_cost: null,
  shipping_details: null,
  starting_balance: 0,
  statement_descriptor: null,
  status: 'draft',
  subtotal: 0,
  subtotal_excluding_tax: 0,
  test_clock: null,
  total: 0,
  total_discount_amounts: [],
  total_excluding_tax: 0,
  total_pretax_credit_amounts: [],
  total_taxes: [],
  webhooks_delivered_at: null,
} satisfies Partial<Stripe.Invoice>

/** `POST /v1/invoices` */
export function createInvoice(context: Context, params: Stripe.InvoiceCreateParams): object {
  if (params.customer === undefined) throw missing('customer')
  const customer = referred(context, 'customer', params.customer, 'customer')
  const currency = currencyOf(params.currency ?? customer.currency ?? 'usd')
  const id = newId('in')
  const invoice: Stripe.Invoice = {
    ...structuredClone(blank),
    id,
    object: 'invoice',
    created: context.now,
    currency,
    customer: customer.id,
    customer_account: null,
    ...billTo(customer),
    lines: { object: 'list', data: [], has_more: false, url: `/v1/invoices/${id}/lines` },
    period_end: context.now,
    period_start: context.now,
    status_transitions: {
      finalized_at: null,
      marked_uncollectible_at: null,
      paid_at: null,
      voided_at: null,
    },
  }
  const drafted = draft(context, invoice, params as DraftParams)
  context.book.insert('invoice', drafted, context.now)
  if (customer.currency === null) saveCustomer(context, customer, { ...customer, currency })
  emitInvoice(context, 'invoice.created', drafted)
  return presentInvoice(context, drafted)
}

function billTo(customer: Stripe.Customer) {
  return {
    customer_address: customer.address ?? null,
    customer_email: customer.email,
    customer_name: customer.name ?? null,
    customer_phone: customer.phone ?? null,
    customer_shipping: customer.shipping as Stripe.Invoice.CustomerShipping | null,
    customer_tax_exempt: customer.tax_exempt ?? 'none',
    customer_tax_ids: [],
  }
}

// What may be asked of a draft, at its creation or later.
function draft(context: Context, invoice: Stripe.Invoice, params: DraftParams): Stripe.Invoice {
  if (params.auto_advance === true) {
    throw neverAdvances()
  }
  const { metadata, days_until_due: days, default_payment_method: card } = params
  const after = { ...invoice } as unknown as Record<string, unknown>
  const plain = [
    'collection_method',
    'custom_fields',
    'description',
    'due_date',
    'effective_at',
    'footer',
    'statement_descriptor',
  ] as const
  for (const name of plain) if (params[name] !== undefined) after[name] = params[name] || null
  if (params.number !== undefined) after['number'] = takeNumber(context, invoice, params.number)
  if (metadata !== undefined) after['metadata'] = mergeMetadata(invoice.metadata, metadata)
  if (card !== undefined) {
    if (card) ownCard(context, invoice, card)
    after['default_payment_method'] = card || null
  }
  const sends = after['collection_method'] === 'send_invoice'
  if (!sends && (days !== undefined || params.due_date !== undefined)) {
    const param = days === undefined ? 'due_date' : 'days_until_due'
    throw invalid(`${param} goes with collection_method=send_invoice only`, param)
  }
  if (days !== undefined) {
    context.book.set(`days_until_due:${invoice.id}`, String(days))
    after['due_date'] = context.now + days * 86_400
  }
  if (sends && after['due_date'] === null) throw missing('days_until_due')
  return after as unknown as Stripe.Invoice
}

/** A card that its invoice's customer owns, or 400. */
export function ownCard(
  context: Context,
  invoice: Stripe.Invoice,
  id: string,
  param = 'default_payment_method',
): Stripe.PaymentMethod {
  const card = referred(context, 'payment_method', id, param)
  if (idOf(card.customer) === idOf(invoice.customer)) return card
  throw invalid(`The payment method ${id} does not belong to the invoice's customer.`, param)
}

/** `POST /v1/invoices/{invoice}` */
export function updateInvoice(context: Context, params: DraftParams, path: Path): object {
  const invoice = named(context, 'invoice', path['invoice'])
  const free = ['metadata', 'default_payment_method', 'auto_advance', 'expand']
  const frozen = Object.keys(params).find((name) => !free.includes(name))
  if (invoice.status !== 'draft' && frozen !== undefined) throw notEditable(frozen)
  const after = draft(context, invoice, params)
  context.book.update(after)
  emitInvoice(context, 'invoice.updated', after)
  return presentInvoice(context, after)
}

function notEditable(param?: string): Error {
  return invalid('Finalized invoices cannot be edited.', param, 'invoice_not_editable')
}

/** `DELETE /v1/invoices/{invoice}`: drafts only. */
export function deleteInvoice(context: Context, _params: unknown, path: Path): object {
  const invoice = named(context, 'invoice', path['invoice'])
  if (invoice.status !== 'draft') throw invalid('You can only delete draft invoices.')
  context.book.statement('delete from numbers where invoice = ?').run(invoice.id)
  context.book.remove(invoice.id)
  return { id: invoice.id, object: 'invoice', deleted: true } satisfies Stripe.DeletedInvoice
}

/** `POST /v1/invoices/{invoice}/add_lines` */
export function addLines(context: Context, params: Stripe.InvoiceAddLinesParams, path: Path): object {
  const invoice = named(context, 'invoice', path['invoice'])
  if (invoice.status !== 'draft') throw notEditable()
  const before = context.book.all('line_item', { parent: invoice.id })
  if (before.length + params.lines.length > MAX_LINES) {
    throw invalid(`An invoice may have at most ${MAX_LINES} lines`, 'lines')
  }
  const lines = params.lines.map((line, index) => lineOf(context, invoice, line, index))
  for (const line of lines) context.book.insert('line_item', line, context.now)
  const after = reckon(invoice, [...before, ...lines])
  after.metadata = mergeMetadata(invoice.metadata, params.invoice_metadata)
  context.book.update(after)
  emitInvoice(context, 'invoice.updated', after)
  return presentInvoice(context, after)
}

function lineOf(
  context: Context,
  invoice: Stripe.Invoice,
  line: Stripe.InvoiceAddLinesParams.Line,
  index: number,
): WireLine {
  if (line.amount === undefined) throw missing(`lines[${index}][amount]`)
  const quantity = line.quantity ?? 1
  if (quantity < 0) throw invalid('quantity is never negative', `lines[${index}][quantity]`)
  const period = line.period ?? { start: context.now, end: context.now }
  if (period.end < period.start) {
    throw invalid('The period ends before it starts', `lines[${index}][period]`)
  }
  return {
    id: newId('il'),
    object: 'line_item',
    amount: line.amount,
    currency: invoice.currency,
    description: line.description ?? null,
    discount_amounts: [],
    discountable: line.discountable ?? true,
    discounts: [],
    invoice: invoice.id,
    livemode: false,
    metadata: mergeMetadata({}, line.metadata),
    parent: null,
    period,
    pretax_credit_amounts: [],
    pricing: null,
    quantity,
    quantity_decimal: String(quantity),
    subscription: null,
    subtotal: line.amount,
    taxes: taxesOf(line.tax_amounts || []),
  }
}
