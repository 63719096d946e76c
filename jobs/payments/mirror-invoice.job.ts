// Makes Stripe's copy of a final invoice, with the same lines and total; its hosted page is the pay link. Staged by
// finalization. Running it twice is safe: every call carries a key made from the invoice's id, the copy's id is kept
// before lines are added, and a copy that is finalized is not touched again. A copy whose total differs from ours is
// dead: nothing is charged until a person has looked. The customer is created here when the account has none yet.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped } from '../kit/outcome.ts'
import type { MirrorLine, Ports } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import renderInvoice from '../documents/render-invoice.job.ts'
import { accountOfInvoice, finalInvoice, type FinalInvoice } from '../invoices/invoices.store.ts'
import { addDays, startOfDay } from '../rules/period.ts'
import chargeInvoice from './charge-invoice.job.ts'
import { ensureCustomer } from './ensure-customer.ts'
import { mirrorOf, saveMirror, savePayLink } from './payments.store.ts'

export default defineJob({
  name: 'payments.mirror-invoice',
  payload: z.object({ invoice: z.uuid() }),
  key: ({ invoice }) => invoice,
  retry: retry.provider,
  timeoutMs: 120_000,
  async run({ invoice: id }, ports) {
    const accountId = await ports.db.acrossAccounts((tx) => accountOfInvoice(tx, id))
    const invoice = accountId && (await ports.db.withAccount(accountId, (tx) => finalInvoice(tx, accountId, id)))
    if (!invoice) return dead('no such final invoice')
    if (invoice.status !== 'open') return skipped(`invoice is ${invoice.status}`)
    const stripeInvoiceId = await ensureCopy(ports, invoice)
    const copy = await fillCopy(ports, invoice, stripeInvoiceId)
    if (copy.total !== invoice.total || copy.hostedUrl === null) {
      return dead(`Stripe's copy says ${copy.total}, ours says ${invoice.total}`)
    }
    const payLink = copy.hostedUrl
    await ports.db.withAccount(invoice.accountId, async (tx) => {
      await savePayLink(tx, invoice.accountId, id, payLink)
      // A charge settles first, so that the mail can say how it went; an invoice to be sent goes out at once.
      if (invoice.collection === 'charge')
        await stage(tx, chargeInvoice, { invoice: id }, { accountId: invoice.accountId })
      else await stage(tx, renderInvoice, { invoice: id, kind: 'invoice' }, { accountId: invoice.accountId })
    })
    return done()
  },
})

async function ensureCopy({ db, stripe, clock }: Ports, invoice: FinalInvoice): Promise<string> {
  const known = await db.withAccount(invoice.accountId, (tx) => mirrorOf(tx, invoice.accountId, invoice.id))
  if (known) return known.stripeInvoiceId
  const customerId = await ensureCustomer({ db, stripe, clock }, invoice.accountId)
  const stripeInvoiceId = await stripe.createInvoiceCopy({
    invoiceId: invoice.id,
    customerId,
    currency: invoice.currency,
    number: invoice.number,
    dueOn: invoice.dueOn === null ? null : startOfDay(addDays(invoice.dueOn, 1), invoice.timezone),
    collection: invoice.collection === 'charge' ? 'charge' : 'send',
  })
  const at = await clock.now()
  await db.withAccount(invoice.accountId, (tx) => saveMirror(tx, invoice.accountId, invoice.id, stripeInvoiceId, at))
  return stripeInvoiceId
}

async function fillCopy({ stripe }: Ports, invoice: FinalInvoice, stripeInvoiceId: string) {
  const before = await stripe.readInvoiceCopy(stripeInvoiceId)
  if (before.status !== 'draft') return before
  if (before.lines === 0) await stripe.addLines(stripeInvoiceId, invoice.id, mirrorLines(invoice))
  await stripe.finalizeCopy(stripeInvoiceId, invoice.id)
  return await stripe.readInvoiceCopy(stripeInvoiceId)
}

function mirrorLines(invoice: FinalInvoice): MirrorLine[] {
  const lines = invoice.lines.map((line) => ({
    description: `${line.description}: ${line.quantity} ${line.unit} at ${line.unitRate}`,
    amount: line.amount,
    periodStart: startOfDay(line.startsOn, invoice.timezone),
    periodEnd: startOfDay(addDays(line.endsOn, 1), invoice.timezone),
  }))
  return lines
}
