// The words of the mails that carry an invoice. Pure; every value is escaped for where it stands.
import { html, webAddress, type SafeHtml } from '../documents/html.ts'
import type { DocumentKind } from '../documents/documents.store.ts'
import type { FinalInvoice } from '../invoices/invoices.store.ts'
import { formatMoney } from '../rules/money.ts'

export interface MailWords {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** A mail header takes no line breaks, whatever stands in a name. */
export const headerText = (text: string): string => text.replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, ' ').trim()

export function invoiceMail(
  invoice: FinalInvoice,
  kind: DocumentKind,
  payUrl: string | null,
  paidWith: string | null,
): MailWords {
  const vendor = typeof invoice.issuer.name === 'string' ? invoice.issuer.name : 'your vendor'
  const total = formatMoney(invoice.total, invoice.currency)
  const period = `${invoice.periodStart} to ${invoice.periodEnd}`
  const paid = kind === 'paid_copy'
  const due = invoice.total > invoice.paid + invoice.credited
  const sentences = [
    `Hello ${invoice.accountName},`,
    paid
      ? `thank you: invoice ${invoice.number} over ${total} for ${period} is paid ` +
        `(${paidWith ?? 'by its payment link'}). A copy is attached.`
      : `your invoice ${invoice.number} over ${total} for ${period} is attached. ` +
        (due ? `It is due on ${invoice.dueOn ?? 'receipt'}.` : 'Nothing is due: a total this small is not charged.'),
  ]
  const link = paid || payUrl === null ? null : webAddress(payUrl)
  const body: SafeHtml = html`<!doctype html>
    <html lang="en">
      <body style="font-family: sans-serif; line-height: 1.5">
        ${sentences.map((sentence) => html`<p>${sentence}</p>`)}
        ${
          link === null
            ? html``
            : html`<p><a href="${link}">Pay ${total} online</a></p>
                <p>${link.toString()}</p>`
        }
        <p>${vendor}</p>
      </body>
    </html>`
  return {
    subject: headerText(
      paid ? `Paid: invoice ${invoice.number} from ${vendor}` : `Invoice ${invoice.number} from ${vendor}: ${total}`,
    ),
    text: [...sentences, ...(link === null ? [] : [`Pay online: ${link.toString()}`]), vendor].join('\n\n'),
    html: body.toString(),
  }
}
