// An invoice as an HTML page to print on A4. Pure: the same document gives the same page.

import { formatMoney } from '../rules/money.ts'
import { html, PRINT_PREAMBLE, trustedHtml, webAddress } from './html.ts'
import type { SafeHtml } from './html.ts'
import type { InvoiceDocument, InvoiceDocumentClient, InvoiceDocumentSite } from './invoice-document.ts'
import { INVOICE_STYLE } from './invoice-style.ts'
import { bareMoney, grouped, longDate, multiline, period, sumOfDays, typed, unitPrice } from './invoice-words.ts'

/** One table's time grows with the square of its rows: 20,000 in one took 35 s, in parts 6 s. */
const LICENSES_PER_TABLE = 200

const KINDS: Record<InvoiceDocument['invoiceKind'], string> = {
  usage: 'Usage',
  contract: 'Contract',
  overage: 'Overage above the contract',
  renewal: 'Plan renewal',
  proration: 'Plan change',
}

function topOf(document: InvoiceDocument): SafeHtml {
  const { issuer } = document
  const copy = document.kind === 'paid_copy'
  return html`<header class="top">
    <div class="issuer">
      <p class="name">${typed(issuer.name)}</p>
      <address>${multiline([...issuer.address, ...issuer.taxIds])}</address>
    </div>
    <div class="heading">
      <h1>Invoice</h1>
      <p class="name">${typed(document.number)}</p>
      ${copy && html`<p class="muted">Paid copy</p>`}
    </div>
  </header>`
}

function fact(label: string, value: SafeHtml | string | null): SafeHtml | null {
  return value === null
    ? null
    : html`<dt>${label}</dt>
        <dd>${value}</dd>`
}

function partiesOf(document: InvoiceDocument): SafeHtml {
  const { billTo } = document
  return html`<div class="parties">
    <section class="bill">
      <h2 class="label">Bill to</h2>
      <p class="name">${typed(billTo.name)}</p>
      <address>${multiline([...billTo.lines, ...billTo.taxIds])}</address>
    </section>
    <dl class="facts">
      ${fact('Invoice number', typed(document.number))} ${fact('Issued on', longDate(document.issuedOn))}
      ${fact('Due on', document.dueOn === null ? null : longDate(document.dueOn))}
      ${fact('Billing period', period(document.periodStart, document.periodEnd))}
      ${fact('Charges', KINDS[document.invoiceKind])}
      ${fact('PO number', document.poNumber === null ? null : typed(document.poNumber))}
    </dl>
  </div>`
}

function settledBox(document: InvoiceDocument): SafeHtml {
  const { paid } = document
  const words = paid ? html`Paid on ${longDate(paid.on)} by ${typed(paid.by)}` : html`Nothing is due on this invoice`
  return html`<section class="due settled">
    <div>
      <h2 class="label">${paid ? 'Total paid' : 'Amount due'}</h2>
      <p class="sum">${formatMoney(paid ? document.total : document.balance, document.currency)}</p>
      <p class="muted">${words}</p>
    </div>
    ${document.kind === 'paid_copy' && html`<p class="stamp">PAID</p>`}
  </section>`
}

/** The amount to pay, by when and where; or that it is paid. */
function dueBox(document: InvoiceDocument): SafeHtml {
  if (document.kind === 'paid_copy' || document.balance <= 0n) return settledBox(document)
  const address = document.payUrl === null ? null : webAddress(document.payUrl)
  const shown = address?.toString() ?? document.payUrl
  return html`<section class="due">
      <div>
        <h2 class="label">Amount due</h2>
        <p class="sum">${formatMoney(document.balance, document.currency)}</p>
        ${document.dueOn !== null && html`<p class="muted">due on ${longDate(document.dueOn)}</p>`}
      </div>
      ${address && html`<p><a class="button" href="${address}">Pay this invoice</a></p>`}
    </section>
    ${
      shown !== null &&
      html`<p class="address">Pay online at ${address ? html`<a href="${address}">${shown}</a>` : typed(shown)}</p>`
    }`
}

function linesOf(document: InvoiceDocument): SafeHtml {
  const { currency, lines } = document
  const byDay = lines.every((line) => line.unit === 'days')
  const code = currency.toUpperCase()
  return html`<table class="lines">
    <thead>
      <tr>
        <th scope="col">Product</th>
        <th scope="col" class="number">${byDay ? 'Days' : 'Quantity'}</th>
        <th scope="col" class="number">${byDay ? 'Daily rate' : 'Unit price'} (${code})</th>
        <th scope="col" class="number">Amount (${code})</th>
      </tr>
    </thead>
    <tbody>
      ${lines.map(
        (line) =>
          html`<tr>
            <th scope="row">${line.description}</th>
            <td class="number">${grouped(line.quantity)}${!byDay && ` ${line.unit}`}</td>
            <td class="number">${unitPrice(line, currency)}</td>
            <td class="number">${bareMoney(line.amount, currency)}</td>
          </tr> `,
      )}
    </tbody>
  </table>`
}

function totalsOf(document: InvoiceDocument): SafeHtml {
  const { currency, balance, total } = document
  const row = (label: string, amount: bigint, css = '') =>
    html`<tr class="${css}">
      <th scope="row">${label}</th>
      <td class="number">${formatMoney(amount, currency)}</td>
    </tr>`
  const settled = document.kind === 'paid_copy' ? 'Paid' : 'Paid or credited'
  return html`<table class="totals">
    <tbody>
      ${row('Subtotal', document.subtotal)} ${document.taxes.map((tax) => row(tax.label, tax.amount))}
      ${row('Total', total, 'rule')} ${balance !== total && row(settled, balance - total)}
      ${row('Amount due', balance, 'last')}
    </tbody>
  </table>`
}

function notesOf(document: InvoiceDocument): SafeHtml | null {
  const { support } = document.issuer
  if (document.notes.length === 0 && support === null) return null
  return html`<section class="notes">
    <h2 class="label">Notes</h2>
    ${document.notes.map((note) => html`<p>${typed(note)}</p>`)}
    ${support !== null && html`<p>Questions about this invoice? ${typed(support)}</p>`}
  </section>`
}

function siteRows({ site, licenses }: InvoiceDocumentSite): SafeHtml {
  const css = site === null ? 'none' : ''
  return html`<tbody>
    ${licenses.map(
      (license, index) =>
        html`<tr>
          <th scope="row" class="${css}${index > 0 && ' again'}">${site ?? 'Unassigned'}</th>
          <td>${license.product}</td>
          <td>${license.license}</td>
          <td class="number">${grouped(license.days)}</td>
        </tr> `,
    )}
  </tbody>`
}

/** A client's sites in parts of so many licenses that the time stays in proportion to them. */
function partsOf(sites: InvoiceDocumentSite[]): InvoiceDocumentSite[][] {
  const parts: InvoiceDocumentSite[][] = [[]]
  let room = LICENSES_PER_TABLE
  for (const { site, licenses } of sites) {
    for (let from = 0; from < licenses.length;) {
      if (room === 0) {
        parts.push([])
        room = LICENSES_PER_TABLE
      }
      const taken = licenses.slice(from, from + room)
      parts.at(-1)!.push({ site, licenses: taken })
      from += taken.length
      room -= taken.length
    }
  }
  return parts
}

function subtotalRow(client: InvoiceDocumentClient, currency: string): SafeHtml {
  return html`<tbody class="sum">
    <tr>
      <th colspan="3" scope="row">Subtotal</th>
      <td class="number">${sumOfDays(client.sites)}</td>
      <td class="number">${formatMoney(client.amount, currency)}</td>
    </tr>
  </tbody>`
}

function clientTables(client: InvoiceDocumentClient, currency: string): SafeHtml[] {
  const name = client.client ?? 'No client'
  const parts = partsOf(client.sites)
  // The client's name is part of the head, so that it stands above the rows on every page.
  return parts.map(
    (sites, index) =>
      html`<table class="client">
        <colgroup>
          <col style="width: 41%" />
          <col style="width: 27%" />
          <col style="width: 10%" />
          <col style="width: 8%" />
          <col style="width: 14%" />
        </colgroup>
        <thead>
          <tr class="who">
            <th colspan="5" scope="colgroup">${index === 0 ? html`<h3>${name}</h3>` : html`${name} (continued)`}</th>
          </tr>
          <tr>
            <th scope="col">Site</th>
            <th scope="col">Product</th>
            <th scope="col">License</th>
            <th scope="col" class="number">Days</th>
            <th scope="col" class="number">Amount</th>
          </tr>
        </thead>
        ${sites.map(siteRows)}${index === parts.length - 1 && subtotalRow(client, currency)}
      </table> `,
  )
}

function detailOf(document: InvoiceDocument): SafeHtml | null {
  const { clients, currency } = document
  if (clients.length === 0) return null
  const days = sumOfDays(clients.flatMap((client) => client.sites))
  const amount = clients.reduce((sum, client) => sum + client.amount, 0n)
  return html`<section class="detail">
    <h2 class="title">Detail by client</h2>
    <p class="muted">The days each license was billed, by the client and site it stood on. Amounts are before tax.</p>
    ${clients.map((client) => clientTables(client, currency))}
    ${
      clients.length > 1 &&
      html`<table class="all">
        <tbody>
          <tr>
            <th scope="row">All clients</th>
            <td class="number">${formatMoney(amount, currency)}${days !== null && ` for ${days} days`}</td>
          </tr>
        </tbody>
      </table>`
    }
  </section>`
}

/** The whole page. Every value of the document is shown as text, whatever it holds. */
export function renderInvoicePage(document: InvoiceDocument): string {
  return html`${trustedHtml(PRINT_PREAMBLE)}<title>Invoice ${document.number}</title>
${trustedHtml(`<style>${INVOICE_STYLE}</style>`)}</head><body>
${topOf(document)}<main>${partiesOf(document)}${dueBox(document)}${linesOf(document)}
${totalsOf(document)}${notesOf(document)}${detailOf(document)}</main></body></html>
`.toString()
}
