import type Stripe from 'stripe'
import type { WireLine } from './book.ts'
import { idOf } from './context.ts'
import type { Context } from './context.ts'
import type { FormMap } from './form.ts'
import type { Answer } from './http.ts'
import { style } from './pages-style.ts'

/** Text that can stand anywhere in a page, whatever is in it. */
export function escape(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}

/** A page as an answer: nothing may be loaded into it and nobody may frame it. */
export function html(status: number, body: string): Answer {
  return {
    status,
    body,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy':
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    },
  }
}

export function redirect(url: string): Answer {
  return { status: 303, body: '', headers: { Location: url } }
}

/** An amount in minor units as people read it. */
export function money(amount: number, currency: string): string {
  const format = new Intl.NumberFormat('en-US', { style: 'currency', currency })
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2
  return format.format(amount / 10 ** digits)
}

/** A date as people read it. */
export function day(seconds: number, dateStyle: 'long' | 'medium' = 'long'): string {
  const format = new Intl.DateTimeFormat('en-US', { dateStyle, timeZone: 'UTC' })
  return format.format(seconds * 1000)
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${style}</style>
</head>
<body>
<p class="banner">Sandbox: no money moves. Use Stripe's test card numbers.</p>
<main>${body}</main>
</body>
</html>
`
}

/** A page that only says something. */
export function messagePage(title: string, text: string): string {
  return page(title, `<h1>${escape(title)}</h1><p>${escape(text)}</p>`)
}

function problem(message: string | undefined): string {
  if (message === undefined) return ''
  return `<p class="problem" role="alert" id="problem">${escape(message)}</p>`
}

interface FieldOptions {
  name: string
  label: string
  autocomplete: string
  value: string
  more?: string
}

function field({ name, label, autocomplete, value, more = '' }: FieldOptions): string {
  return `<div class="field"><label for="${name}">${label}</label>
<input id="${name}" name="${name}" autocomplete="${autocomplete}"
 value="${escape(value)}" ${more}></div>`
}

// What was typed stays when the page comes back, but for what must not stand in a page: the card.
function cardFields(form: FormMap, required: boolean): string {
  const typed = (name: string) => (typeof form[name] === 'string' ? form[name] : '')
  const must = required ? 'required' : ''
  const digits = `inputmode="numeric" ${must}`
  return [
    field({
      name: 'number',
      label: 'Card number',
      autocomplete: 'cc-number',
      value: '',
      more: `${digits} maxlength="23" placeholder="4242 4242 4242 4242"`,
    }),
    '<div class="row">',
    field({
      name: 'exp',
      label: 'Expires (MM/YY)',
      autocomplete: 'cc-exp',
      value: typed('exp'),
      more: `${must} maxlength="7" placeholder="12/34"`,
    }),
    field({
      name: 'cvc',
      label: 'Security code',
      autocomplete: 'cc-csc',
      value: '',
      more: `${digits} maxlength="4" placeholder="123"`,
    }),
    '</div>',
    field({
      name: 'name',
      label: 'Name on card',
      autocomplete: 'cc-name',
      value: typed('name'),
      more: 'maxlength="200"',
    }),
  ].join('\n')
}

/** The page on which a card is entered to be saved. */
export function setupPage(
  context: Context,
  session: Stripe.Checkout.Session,
  form: FormMap = {},
  message?: string,
): string {
  const customer = context.book.find('customer', idOf(session.customer) ?? '')
  const whose = customer?.name ?? customer?.email ?? ''
  const back = session.cancel_url
    ? `<p class="back"><a href="${escape(session.cancel_url)}">Go back without saving</a></p>`
    : ''
  return page(
    'Save a card',
    `<h1>Save a card</h1>
${whose === '' ? '' : `<p class="whose">For <strong>${escape(whose)}</strong></p>`}
<p>Nothing is charged now. The card is kept for future payments.</p>
${problem(message)}
<form method="post">
${cardFields(form, true)}
<button type="submit">Save card</button>
</form>
${back}`,
  )
}

/** The bank's question to the holder of a card. */
export function challengePage(card: Stripe.PaymentMethod, action: string): string {
  return page(
    'Confirm with your bank',
    `<h1>Confirm with your bank</h1>
<p>The bank of your ${cardLabel(card)} wants to know whether this is you.</p>
<form method="post" action="${escape(action)}">
<input type="hidden" name="confirming" value="${escape(card.id)}">
<button type="submit" name="authenticate" value="complete">Yes, this is me</button>
<button type="submit" class="quiet" name="authenticate" value="fail">No, refuse</button>
</form>`,
  )
}

const brands: Record<string, string> = {
  visa: 'Visa',
  mastercard: 'Mastercard',
  amex: 'American Express',
  discover: 'Discover',
  diners: 'Diners Club',
  jcb: 'JCB',
}

function cardLabel(card: Stripe.PaymentMethod): string {
  const brand = brands[card.card?.brand ?? ''] ?? 'card'
  return `${brand} ending in ${escape(card.card?.last4 ?? '')}`
}

/** The page of an invoice: what it is for and, while it is owed, a way to pay it. */
export function invoicePage(context: Context, invoice: Stripe.Invoice, form: FormMap = {}, message?: string): string {
  const owed = invoice.status === 'open' || invoice.status === 'uncollectible'
  const title = `Invoice ${invoice.number ?? ''}`
  return page(
    title,
    `<h1>${escape(title)}</h1>
${statusOf(invoice)}
${factsOf(invoice)}
${linesTable(context, invoice)}
${problem(message)}
${owed ? payForm(context, invoice, form) : ''}`,
  )
}

function statusOf(invoice: Stripe.Invoice): string {
  const { paid_at: paid, voided_at: voided } = invoice.status_transitions
  if (invoice.status === 'paid') {
    const when = paid === null ? '' : ` on ${day(paid)}`
    return `<p class="state paid" role="status">Paid<span>${when}</span></p>`
  }
  if (invoice.status === 'void') {
    const when = voided === null ? '' : ` on ${day(voided)}`
    return `<p class="state" role="status">Void<span>${when}</span></p>`
  }
  const due = invoice.due_date === null ? '' : ` · due ${day(invoice.due_date)}`
  const amount = money(invoice.amount_remaining, invoice.currency)
  return `<p class="state open">${amount} to pay<span>${due}</span></p>`
}

function factsOf(invoice: Stripe.Invoice): string {
  const name = invoice.customer_name ?? invoice.customer_email ?? ''
  const facts = [
    ['Billed to', name],
    ['Issued', day(invoice.effective_at ?? invoice.created)],
    ['Note', invoice.description ?? ''],
    ...(invoice.custom_fields ?? []).map(({ name: label, value }) => [label, value]),
  ]
  const rows = facts
    .filter(([, value]) => value !== '')
    .map(([label, value]) => `<dt>${escape(label ?? '')}</dt><dd>${escape(value ?? '')}</dd>`)
  return `<dl>${rows.join('')}</dl>`
}

function linesTable(context: Context, invoice: Stripe.Invoice): string {
  const lines = context.book.all('line_item', { parent: invoice.id })
  const row = (label: string, amount: number, kind = '') =>
    `<tr class="${kind}"><th scope="row">${escape(label)}</th>
<td>${money(amount, invoice.currency)}</td></tr>`
  const exclusive = (invoice.total_taxes ?? []).filter((tax) => tax.tax_behavior === 'exclusive')
  const tax = exclusive.reduce((sum, { amount }) => sum + amount, 0)
  const credited = invoice.pre_payment_credit_notes_amount
  const foot = [
    tax === 0 ? '' : row('Subtotal', invoice.subtotal),
    tax === 0 ? '' : row('Tax', tax),
    row('Total', invoice.total, 'total'),
    credited === 0 ? '' : row('Credited', -credited),
  ]
  return `<table><caption>What this invoice is for</caption>
<thead><tr><th scope="col">Description</th><th scope="col">Amount</th></tr></thead>
<tbody>${lines.map(lineRow).join('\n')}</tbody>
<tfoot>${foot.join('\n')}</tfoot></table>`
}

function lineRow(line: WireLine): string {
  const { start, end } = line.period
  const quantity = line.quantity ?? 1
  const details = [
    quantity === 1 ? '' : `Quantity ${quantity.toLocaleString('en-US')}`,
    start === end ? '' : `${day(start, 'medium')} – ${day(end, 'medium')}`,
  ].filter((detail) => detail !== '')
  const small = details.length === 0 ? '' : `<small>${details.join(' · ')}</small>`
  return `<tr><th scope="row">${escape(line.description ?? 'Line')}${small}</th>
<td>${money(line.amount, line.currency)}</td></tr>`
}

function payForm(context: Context, invoice: Stripe.Invoice, form: FormMap): string {
  const saved = context.book.all('payment_method', { customer: idOf(invoice.customer) ?? '' })
  const amount = money(invoice.amount_remaining, invoice.currency)
  const label = `Pay ${amount}`
  const other = saved.length === 0 ? 'Pay with a card' : 'Pay with another card'
  const savedForm =
    saved.length === 0
      ? ''
      : `<form method="post"><fieldset><legend>Pay with a saved card</legend>
${saved.map((card, index) => savedCard(card, index === 0)).join('\n')}
</fieldset><button type="submit">${label}</button></form>
<p class="or">or</p>`
  return `<section aria-label="Payment">${savedForm}
<form method="post"><fieldset><legend>${other}</legend>
${cardFields(form, true)}
</fieldset><button type="submit">${label}</button></form></section>`
}

function savedCard(card: Stripe.PaymentMethod, first: boolean): string {
  const until = `${card.card?.exp_month}/${String(card.card?.exp_year).slice(-2)}`
  return `<label class="choice"><input type="radio" name="payment_method"
 value="${escape(card.id)}" ${first ? 'checked' : ''}>
<span>${cardLabel(card)}<small>expires ${escape(until)}</small></span></label>`
}
