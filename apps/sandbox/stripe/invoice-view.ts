import type Stripe from 'stripe'
import { emit } from './context.ts'
import type { Context } from './context.ts'
import { listOf } from './lists.ts'

/** The invoice as it is shown: with the first of its lines, and links that can be followed. */
export function presentInvoice(context: Context, invoice: Stripe.Invoice): Stripe.Invoice {
  const { hosted_invoice_url: page, invoice_pdf: pdf } = invoice
  return {
    ...invoice,
    hosted_invoice_url: page ? context.baseUrl + page : null,
    invoice_pdf: pdf ? context.baseUrl + pdf : null,
    lines: linesOf(context, invoice.id, {}) as unknown as Stripe.Invoice['lines'],
  }
}

/** A page of an invoice's lines, in the order they were added. */
export function linesOf(context: Context, invoice: string, params: Record<string, unknown>) {
  const url = `/v1/invoices/${invoice}/lines`
  return listOf(context, 'line_item', url, [['parent = ?', invoice]], params, true)
}

/** Records an event about an invoice, which carries the invoice as it was at that moment. */
export function emitInvoice(context: Context, type: Stripe.Event.Type, invoice: Stripe.Invoice): void {
  emit(context, type, presentInvoice(context, invoice))
}
