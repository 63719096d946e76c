import type Stripe from 'stripe'
import type { WireLine } from './book.ts'
import { ApiError, invalid } from './errors.ts'

// Stripe's smallest charges in minor units, by currency; others are held to the amount of usd.
const minimums: Record<string, number> = {
  aed: 200,
  aud: 50,
  bgn: 100,
  brl: 50,
  cad: 50,
  chf: 50,
  czk: 1500,
  dkk: 250,
  eur: 50,
  gbp: 30,
  hkd: 400,
  huf: 17500,
  inr: 50,
  jpy: 50,
  mxn: 1000,
  myr: 200,
  nok: 300,
  nzd: 50,
  pln: 200,
  ron: 200,
  sek: 300,
  sgd: 50,
  thb: 1000,
  usd: 50,
}
const MAXIMUM = 99_999_999
const threeDecimal = ['bhd', 'jod', 'kwd', 'omr', 'tnd']

/** Whether a card cannot be charged for so little. */
export function amountTooSmall(invoice: Stripe.Invoice): boolean {
  return invoice.amount_remaining < (minimums[invoice.currency] ?? 50)
}

/** Refuses amounts that cannot be charged. */
export function checkAmount(invoice: Stripe.Invoice): void {
  const { currency, amount_remaining: amount } = invoice
  if (amountTooSmall(invoice)) {
    const minimum = minimums[currency] ?? 50
    throw new ApiError(400, {
      type: 'invalid_request_error',
      code: 'amount_too_small',
      message: `The amount must be at least ${minimum} ${currency} in minor units.`,
      param: 'amount',
    })
  }
  if (amount > MAXIMUM) {
    throw invalid(`The amount must be at most ${MAXIMUM}.`, 'amount', 'amount_too_large')
  }
  if (threeDecimal.includes(currency) && amount % 10 !== 0) {
    throw invalid(`Amounts in ${currency} must be a multiple of 10.`, 'amount')
  }
}

type SentTax = NonNullable<Exclude<Stripe.InvoiceAddLinesParams.Line['tax_amounts'], ''>>[number]

/** Taxes of a line as given: this stand-in reckons none itself. */
export function taxesOf(sent: SentTax[]): Stripe.InvoiceLineItem.Tax[] {
  return sent.map((tax) => ({
    amount: tax.amount,
    tax_behavior: tax.tax_rate_data?.inclusive === true ? 'inclusive' : 'exclusive',
    tax_rate_details: null,
    taxability_reason: tax.taxability_reason ?? 'standard_rated',
    taxable_amount: tax.taxable_amount,
    type: 'tax_rate_details',
  }))
}

/** The invoice with the sums of its lines and taxes; all of it still owed. */
export function reckon(invoice: Stripe.Invoice, lines: WireLine[]): Stripe.Invoice {
  const taxes = lines.flatMap((line) => line.taxes ?? [])
  const sum = (behavior: string) =>
    taxes.filter((tax) => tax.tax_behavior === behavior).reduce((total, tax) => total + tax.amount, 0)
  const subtotal = lines.reduce((total, line) => total + line.amount, 0)
  const total = subtotal + sum('exclusive')
  const due = Math.max(0, total)
  return {
    ...invoice,
    subtotal,
    subtotal_excluding_tax: subtotal - sum('inclusive'),
    total,
    total_excluding_tax: subtotal - sum('inclusive'),
    total_taxes: totals(taxes),
    amount_due: due,
    amount_remaining: due,
  }
}

function totals(taxes: Stripe.InvoiceLineItem.Tax[]): Stripe.Invoice.TotalTax[] {
  const byKind = new Map<string, Stripe.Invoice.TotalTax>()
  for (const tax of taxes) {
    const kind = `${tax.tax_behavior} ${tax.taxability_reason}`
    const known = byKind.get(kind)
    byKind.set(kind, {
      amount: (known?.amount ?? 0) + tax.amount,
      tax_behavior: tax.tax_behavior,
      tax_rate_details: null,
      taxability_reason: tax.taxability_reason,
      taxable_amount: (known?.taxable_amount ?? 0) + (tax.taxable_amount ?? 0),
      type: 'tax_rate_details',
    })
  }
  return [...byKind.values()]
}
