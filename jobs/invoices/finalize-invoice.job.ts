// Makes a draft final: counts its days a second time, gives it its number, freezes it, and stages the mirror at Stripe.
// Staged on the account's invoice day, and by the close of a month whose invoice day has passed. Running it twice is
// safe: under the row's lock a final invoice is left alone, and the database refuses to change one. A draft whose
// second count differs is parked and bills nothing. When it is dead the invoice stays a draft, visibly: mend the cause
// and redrive.
import { z } from 'zod'
import { audit } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped, type Outcome } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import {
  collectionFor,
  countsDiffer,
  daysDiffer,
  dueOn,
  invoiceNumber,
  isTooSmall,
  recountDiffers,
} from '../rules/invoice-plan.ts'
import { dayOf } from '../rules/period.ts'
import { priceBreaks, rate } from '../rules/rating.ts'
import renderInvoice from '../documents/render-invoice.job.ts'
import mirrorInvoice from '../payments/mirror-invoice.job.ts'
import { recountDays } from '../usage/recount.ts'
import { isClosed, openMonth, pricesUntil, usageSpans } from './close.store.ts'
import {
  accountOfInvoice,
  draftedLines,
  earlierDraftDue,
  finalize,
  lockInvoice,
  nextDraftDue,
  openInvoice,
  parkDraft,
  takeNumber,
  terms,
  type DraftInvoice,
  type DraftLine,
  type Terms,
} from './invoices.store.ts'

const ACTOR = 'job:invoices.finalize-invoice'

const finalizeInvoice = defineJob({
  name: 'invoices.finalize-invoice',
  payload: z.object({ invoice: z.uuid() }),
  key: ({ invoice }) => invoice,
  retry: retry.patient,
  timeoutMs: 60_000,
  async run({ invoice }, { db, clock }) {
    const accountId = await db.acrossAccounts((tx) => accountOfInvoice(tx, invoice))
    if (!accountId) return skipped('no such draft any more')
    const at = await clock.now()
    // Earlier months of the account that are due go first, so that numbers rise with the months: whichever job comes
    // first takes them along, and none has to wake another.
    for (;;) {
      const earlier = await db.withAccount(accountId, (tx) => earlierDraftDue(tx, accountId, invoice, at))
      const outcome = await db.withAccount(accountId, (tx) => finalizeOne(tx, accountId, earlier ?? invoice, at))
      if (earlier === null) return outcome
      if (outcome.kind === 'skipped' && outcome.reason !== ALREADY_FINAL) return skipped('an earlier month comes first')
    }
  },
})
export default finalizeInvoice

const ALREADY_FINAL = 'already final'

async function finalizeOne(tx: Tx, accountId: string, invoice: string, at: Date): Promise<Outcome> {
  const draft = await lockInvoice(tx, accountId, invoice)
  if (!draft) return skipped('no such draft any more')
  if (draft.finalized) return skipped(ALREADY_FINAL)
  if (draft.parkedReason) return skipped(`parked: ${draft.parkedReason}`)
  if (draft.finalizeAt > at) return skipped('still under review')
  if (!(await isClosed(tx, accountId, draft.periodStart))) return skipped('its month is being counted anew')
  const facts = await terms(tx, accountId)
  const check = await secondCount(tx, draft, facts)
  if (check.differing.length > 0) return await park(tx, draft, check.differing, at)
  return check.stale ? await drawAnew(tx, draft) : await makeFinal(tx, draft, facts, at)
}

interface Check {
  /** Products whose counts differ: usage days, the second count, and the drafted lines must be one. */
  readonly differing: readonly string[]
  /** Whether only the prices are others than when it was drafted: one was set at the moment of the close. */
  readonly stale: boolean
}

async function secondCount(tx: Tx, draft: DraftInvoice, facts: Terms): Promise<Check> {
  const { accountId, periodStart: first, periodEnd: last } = draft
  const prices = (await pricesUntil(tx, [accountId], last)).filter((price) => price.currency === draft.currency)
  const breaks = priceBreaks(prices, first, last)
  const counted = (await usageSpans(tx, [accountId], breaks, last)).get(accountId) ?? []
  const period = { zone: facts.timezone, first, last, breaks }
  const recounted = (await recountDays(tx, [accountId], period)).get(accountId) ?? []
  const differing = countsDiffer(counted, recounted, breaks)
  const rated = rate(counted, prices, { first, last })
  if (differing.length > 0 || !rated.ok) return { differing, stale: !rated.ok }
  const drafted = await draftedLines(tx, accountId, draft.id)
  const words = (lines: readonly DraftLine[]): string =>
    lines.map(({ priceId, quantity, amount }) => `${priceId} ${quantity} ${amount}`).join()
  return { differing: daysDiffer(drafted, rated.lines), stale: words(drafted) !== words(rated.lines) }
}

async function drawAnew(tx: Tx, draft: DraftInvoice): Promise<Outcome> {
  await openMonth(tx, draft.accountId, draft.periodStart)
  return done('prices have changed since it was drafted: its month is opened again, for the next tick to close')
}

async function park(tx: Tx, draft: DraftInvoice, products: readonly string[], at: Date): Promise<Outcome> {
  const reason = recountDiffers(products)
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
  const next = await nextDraftDue(tx, accountId, draft.periodStart, at)
  if (next !== null) await stage(tx, finalizeInvoice, { invoice: next })
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
