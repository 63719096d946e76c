import type Stripe from 'stripe'
import { idOf, named } from './context.ts'
import type { Context } from './context.ts'
import { invalid } from './errors.ts'
import type { ApiError } from './errors.ts'
import { randomText } from './identifiers.ts'
import { amountTooSmall } from './invoice-amounts.ts'
import { emitInvoice, presentInvoice } from './invoice-view.ts'
import { openPayment } from './payments.ts'

/** `POST /v1/invoices/{invoice}/finalize` */
export function finalizeInvoice(
  context: Context,
  params: Stripe.InvoiceFinalizeInvoiceParams,
  path: Record<string, string>,
): object {
  const invoice = named(context, 'invoice', path['invoice'])
  if (params.auto_advance === true) throw neverAdvances()
  return presentInvoice(context, finalize(context, invoice))
}

/** Gives the number and the link, and freezes what is owed. */
export function finalize(context: Context, invoice: Stripe.Invoice): Stripe.Invoice {
  if (invoice.status !== 'draft') {
    throw invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
  }
  if (context.book.all('line_item', { parent: invoice.id }).length === 0) {
    const message = 'An invoice without lines cannot be finalized.'
    throw invalid(message, undefined, 'invoice_no_customer_line_items')
  }
  if (invoice.total < 0) throw invalid('This stand-in keeps no customer balance for a credit.')
  const token = randomText(48)
  context.book.statement('insert into tokens (token, id) values (?, ?)').run(token, invoice.id)
  const days = context.book.setting(`days_until_due:${invoice.id}`)
  const finalized: Stripe.Invoice = {
    ...invoice,
    number: invoice.number ?? nextNumber(context, invoice),
    status: 'open',
    effective_at: invoice.effective_at ?? context.now,
    due_date: days === undefined ? invoice.due_date : context.now + Number(days) * 86_400,
    ending_balance: 0,
    hosted_invoice_url: `/i/${token}`,
    invoice_pdf: `/i/${token}/pdf`,
    status_transitions: { ...invoice.status_transitions, finalized_at: context.now },
  }
  // With nothing to pay, it is paid as soon as it is final.
  const settled = finalized.amount_due === 0
  if (settled) {
    finalized.status = 'paid'
    finalized.status_transitions.paid_at = context.now
  }
  context.book.update(finalized)
  if (!settled && !amountTooSmall(finalized)) openPayment(context, finalized)
  emitInvoice(context, 'invoice.finalized', finalized)
  if (settled) emitInvoice(context, 'invoice.paid', finalized)
  return finalized
}

function nextNumber(context: Context, invoice: Stripe.Invoice): string | null {
  const customer = context.book.find('customer', idOf(invoice.customer) ?? '')
  if (customer === undefined) return null
  const sequence = customer.next_invoice_sequence ?? 1
  context.book.update({ ...customer, next_invoice_sequence: sequence + 1 })
  const number = `${customer.invoice_prefix}-${String(sequence).padStart(4, '0')}`
  return takeNumber(context, invoice, number)
}

/** Gives an invoice its number; one that was given is never given again, void or not. */
export function takeNumber(context: Context, invoice: Stripe.Invoice, number: unknown): string | null {
  context.book.statement('delete from numbers where invoice = ?').run(invoice.id)
  if (typeof number !== 'string' || number === '') return null
  const taken = context.book.statement('select 1 from numbers where number = ?').get(number)
  if (taken !== undefined) throw invalid(`Invoice number ${number} is already used`, 'number')
  context.book.statement('insert into numbers (number, invoice) values (?, ?)').run(number, invoice.id)
  return number
}

/** The refusal to collect without being told: a stand-in that did would surprise its witness. */
export function neverAdvances(): ApiError {
  const message = 'This stand-in never collects on its own; pass auto_advance=false.'
  return invalid(message, 'auto_advance')
}
