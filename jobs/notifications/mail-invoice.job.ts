// Mails an invoice, or its paid copy, with the PDF: to the billing e-mail. Staged by the rendering. Running it twice is
// safe: a message is one row per reason and is marked sent; handed over twice, in the instant between the mail server's
// yes and our commit, it bears the same Message-ID. An account without an address has its invoice show unsent:
// no_address. When it is dead nothing was mailed: mend the cause and redrive.
import { z } from 'zod'
import { audit } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped } from '../kit/outcome.ts'
import { findDocument } from '../documents/documents.store.ts'
import { accountOfInvoice, finalInvoice, markUnsent } from '../invoices/invoices.store.ts'
import { mirrorOf, paidWith } from '../payments/payments.store.ts'
import { invoiceMail } from './invoice-mail.ts'
import { intendMessage, markSent } from './messages.store.ts'

export default defineJob({
  name: 'notifications.mail-invoice',
  payload: z.object({ invoice: z.uuid(), kind: z.enum(['invoice', 'paid_copy']) }),
  key: ({ invoice, kind }) => `${invoice}.${kind}`,
  retry: retry.provider,
  timeoutMs: 60_000,
  async run({ invoice: id, kind }, { db, clock, files, mailer, newId }) {
    const accountId = await db.acrossAccounts((tx) => accountOfInvoice(tx, id))
    if (!accountId) return dead('no such invoice')
    const found = await db.withAccount(accountId, async (tx) => ({
      invoice: await finalInvoice(tx, accountId, id),
      document: await findDocument(tx, accountId, id, kind),
      payUrl: (await mirrorOf(tx, accountId, id))?.hostedUrl ?? null,
      card: await paidWith(tx, accountId, id),
    }))
    if (!found.invoice || !found.document) return dead('no such rendered invoice')
    const { invoice, document } = found
    if (!invoice.billingEmail) {
      await db.withAccount(accountId, (tx) => markUnsent(tx, accountId, id, 'no_address'))
      return skipped('no_address')
    }
    const words = invoiceMail(invoice, kind, found.payUrl, found.card)
    const reason = `invoice.${id}.${kind}`
    const messageId = `<${reason}@perdiem.invalid>`
    const to = [invoice.billingEmail]
    const intent = { id: newId(), accountId, reason, messageId, recipients: to, subject: words.subject }
    const { sent } = await db.withAccount(accountId, (tx) => intendMessage(tx, intent))
    if (sent) return skipped('already sent')
    const content = await files.get(document.file)
    const filename = `${invoice.number}${kind === 'paid_copy' ? '-paid' : ''}.pdf`
    await mailer.send({ messageId, to, ...words, attachments: [{ filename, content, contentType: 'application/pdf' }] })
    const at = await clock.now()
    await db.withAccount(accountId, async (tx) => {
      if (!(await markSent(tx, accountId, reason, at))) return
      await audit(tx, [
        {
          accountId,
          at,
          actor: 'job:notifications.mail-invoice',
          action: 'invoice.mailed',
          subject: id,
          details: { kind },
        },
      ])
    })
    return done()
  },
})
