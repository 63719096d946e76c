// Renders an invoice's PDF, and stages the mail that carries it. Staged when the invoice is mirrored and, where a
// card is charged, when the charge has ended. Running it twice is safe: a document is stored once per invoice and
// kind (documents' key), under a name made from its own bytes, so that a run that was stopped and comes back does not
// write over what another has stored and mailed; its file stays behind, and nothing leads there. When it is dead the
// invoice has no PDF and no mail went out: mend the cause and redrive.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import { accountOfInvoice, finalInvoice, type FinalInvoice } from '../invoices/invoices.store.ts'
import mailInvoice from '../notifications/mail-invoice.job.ts'
import { mirrorOf, paidWith } from '../payments/payments.store.ts'
import { countBilledLicenses, evidence } from '../usage/evidence.ts'
import { composeDocument } from './compose-document.ts'
import { findDocument, MAX_LICENSES_ON_PAPER, saveDocument, type DocumentKind } from './documents.store.ts'
import type { InvoiceDocument } from './invoice-document.ts'
import { renderInvoicePage } from './invoice-page.ts'

export default defineJob({
  name: 'documents.render-invoice',
  payload: z.object({ invoice: z.uuid(), kind: z.enum(['invoice', 'paid_copy']) }),
  key: ({ invoice, kind }) => `${invoice}.${kind}`,
  retry: retry.patient,
  timeoutMs: 120_000,
  async run({ invoice: id, kind }, { db, clock, pdf, files }) {
    const accountId = await db.acrossAccounts((tx) => accountOfInvoice(tx, id))
    if (!accountId) return dead('no such invoice')
    if (await db.withAccount(accountId, (tx) => findDocument(tx, accountId, id, kind)))
      return skipped('already rendered')
    const document = await db.withAccount(accountId, (tx) => gather(tx, accountId, id, kind))
    if (!document) return dead('no such final invoice')
    const bytes = await pdf.render(renderInvoicePage(document), {
      title: `Invoice ${document.number}`,
      footer: document.number,
    })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const file = `invoices/${id}-${kind}-${sha256.slice(0, NAME_DIGITS)}.pdf`
    await files.put(file, bytes)
    const stored = { file, sha256, bytes: bytes.length }
    const at = await clock.now()
    await db.withAccount(accountId, async (tx) => {
      await saveDocument(tx, accountId, id, kind, stored, at)
      await stage(tx, mailInvoice, { invoice: id, kind }, { accountId })
    })
    return done(`${bytes.length} bytes`)
  },
})

/** Enough that no two renderings of one document share a name. */
const NAME_DIGITS = 16

async function gather(tx: Tx, accountId: string, id: string, kind: DocumentKind): Promise<InvoiceDocument | null> {
  const invoice = await finalInvoice(tx, accountId, id)
  if (!invoice) return null
  const licenses = await countBilledLicenses(tx, accountId, invoice.periodStart, invoice.periodEnd)
  const listed = licenses <= MAX_LICENSES_ON_PAPER
  return composeDocument(invoice, {
    kind,
    payUrl: (await mirrorOf(tx, accountId, id))?.hostedUrl ?? null,
    paidWith: await paidWith(tx, accountId, id),
    evidence: listed ? await evidence(tx, accountId, invoice.periodStart, invoice.periodEnd) : [],
    notes: notesOf(invoice, listed, licenses),
  })
}

function notesOf(invoice: FinalInvoice, listed: boolean, licenses: number): string[] {
  const settled = invoice.credited > 0n && invoice.paid === 0n && invoice.credited === invoice.total
  return [
    ...(settled ? ['Nothing is due: a total this small is not charged.'] : []),
    ...(listed ? [] : [`This invoice covers ${licenses} licenses, too many to list on paper.`]),
  ]
}
