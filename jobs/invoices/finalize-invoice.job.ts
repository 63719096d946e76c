// Makes a draft final: counts its days a second time, gives it its number, freezes it, and stages the mirror at Stripe.
// Staged on the account's invoice day. Running it twice is safe: under the row's lock a final invoice is left alone,
// and the database refuses to change one. A draft whose second count differs is parked and bills nothing. When it is
// dead the invoice stays a draft, visibly: mend the cause and redrive.
import { z } from 'zod'
import { audit } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped, type Outcome } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import { collectionFor, countsDiffer, dueOn, invoiceNumber, isTooSmall } from '../rules/invoice-plan.ts'
import { dayOf, daysOfMonth, addDays, monthOf, startOfDay } from '../rules/period.ts'
import renderInvoice from '../documents/render-invoice.job.ts'
import mirrorInvoice from '../payments/mirror-invoice.job.ts'
import { recountDays } from '../usage/usage.store.ts'
import {
  accountOfInvoice,
  draftedDays,
  finalize,
  lockInvoice,
  openInvoice,
  parkDraft,
  takeNumber,
  terms,
  type DraftInvoice,
  type Terms,
} from './invoices.store.ts'

const ACTOR = 'job:invoices.finalize-invoice'

export default defineJob({
  name: 'invoices.finalize-invoice',
  payload: z.object({ invoice: z.uuid() }),
  key: ({ invoice }) => invoice,
  retry: retry.patient,
  timeoutMs: 60_000,
  async run({ invoice }, { db, clock }) {
    const accountId = await db.acrossAccounts((tx) => accountOfInvoice(tx, invoice))
    if (!accountId) return dead('no such invoice')
    const at = await clock.now()
    return await db.withAccount(accountId, async (tx) => {
      const draft = await lockInvoice(tx, accountId, invoice)
      if (!draft) return dead('no such invoice')
      if (draft.finalized) return skipped('already final')
      if (draft.parkedReason) return skipped(`parked: ${draft.parkedReason}`)
      if (draft.finalizeAt > at) return skipped('still under review')
      const facts = await terms(tx, accountId)
      const differing = await secondCount(tx, draft, facts)
      return differing.length > 0 ? await park(tx, draft, differing, at) : await makeFinal(tx, draft, facts, at)
    })
  },
})

async function secondCount(tx: Tx, draft: DraftInvoice, facts: Terms): Promise<string[]> {
  const days = daysOfMonth(monthOf(draft.periodStart), facts.billFrom)
  const boundaries = [...days, addDays(days.at(-1)!, 1)].map((day) => startOfDay(day, facts.timezone))
  const [first, second] = [
    await draftedDays(tx, draft.accountId, draft.id),
    await recountDays(tx, draft.accountId, boundaries),
  ]
  return countsDiffer(first, second)
}

async function park(tx: Tx, draft: DraftInvoice, products: string[], at: Date): Promise<Outcome> {
  const reason = `recount_differs: products ${products.join(', ')}`
  await parkDraft(tx, draft.accountId, draft.id, reason)
  await audit(tx, [
    {
      accountId: draft.accountId,
      at,
      actor: ACTOR,
      action: 'invoice.parked',
      subject: draft.id,
      details: { reason },
    },
  ])
  return done(`parked, ${reason}`)
}

async function makeFinal(tx: Tx, draft: DraftInvoice, facts: Terms, at: Date): Promise<Outcome> {
  const { accountId, id: invoiceId } = draft
  const issuedOn = dayOf(at, facts.timezone)
  const collection = collectionFor({ ...facts, total: draft.total, currency: draft.currency })
  const sequence = await takeNumber(tx, facts.series)
  const number = invoiceNumber(facts.series, sequence)
  await finalize(tx, {
    invoiceId,
    accountId,
    number,
    series: facts.series,
    sequence,
    issuedOn,
    dueOn: dueOn(issuedOn, facts.netDays),
    billTo: { ...facts.company, account_name: facts.name },
    issuer: facts.issuer,
    poNumber: facts.poNumber,
    collection,
    at,
  })
  // A total that no card can be charged with is settled at once, and sent as it is; a total of zero is not even mailed.
  const settled = isTooSmall(draft.total, draft.currency)
  await openInvoice(
    tx,
    accountId,
    invoiceId,
    settled ? { status: 'paid', credited: draft.total, paidAt: at } : { status: 'open' },
  )
  if (!settled) await stage(tx, mirrorInvoice, { invoice: invoiceId }, { accountId })
  else if (draft.total > 0n) await stage(tx, renderInvoice, { invoice: invoiceId, kind: 'invoice' }, { accountId })
  await audit(tx, [
    {
      accountId,
      at,
      actor: ACTOR,
      action: 'invoice.finalized',
      subject: invoiceId,
      details: { number, total: String(draft.total), collection, ...(settled && { settled: 'below_minimum' }) },
    },
  ])
  return done(number)
}
