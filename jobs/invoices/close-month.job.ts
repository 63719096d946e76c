// Closes one month for a chunk of accounts of one zone: rates its usage days, counts them a second time, and drafts an
// invoice for each account that used anything; draws it anew where the month was opened again. Running it twice is
// safe: closed_months is keyed by account and month, invoice_claims holds the one live invoice. An account with a day
// missing is left open, and said so, until the day is counted. When it is dead these accounts stay unbilled, visibly:
// mend the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { audit } from '../kit/audit.ts'
import { stage, stageAll } from '../kit/stage.ts'
import { countsDiffer, recountDiffers } from '../rules/invoice-plan.ts'
import { addDays, addMonths, finalizeAt, firstDay, lastDay, startOfDay, type Day, type Month } from '../rules/period.ts'
import { priceBreaks, rate, type Price, type UsageSpan } from '../rules/rating.ts'
import { recountDays } from '../usage/recount.ts'
import {
  accountsToClose,
  insertClosedMonths,
  openedDrafts,
  pricesUntil,
  productNames,
  saveDrafts,
  usageSpans,
  type ClosingAccount,
} from './close.store.ts'
import finalizeInvoice from './finalize-invoice.job.ts'
import type { Draft } from './invoices.store.ts'

const closeMonth = defineJob({
  name: 'invoices.close-month',
  payload: z.object({ month: z.string().regex(/^\d{4}-\d{2}$/), zone: z.string(), from: z.uuid(), through: z.uuid() }),
  key: ({ month, zone, from }) => `${month}.${zone}.${from}`,
  retry: retry.patient,
  timeoutMs: 300_000,
  async run({ month, zone, from, through }, { db, clock, newId, log }) {
    const at = await clock.now()
    const [first, last] = [firstDay(month), lastDay(month)]
    if (at < startOfDay(addDays(last, 1), zone)) return skipped('the month has not ended')
    return await db.acrossAccounts(async (tx) => {
      const found = await accountsToClose(tx, { from, through }, zone, first, last)
      const ready = found.filter((account) => account.counted === account.expected)
      const blocked = found.filter((account) => account.counted !== account.expected).map(({ id }) => id)
      if (blocked.length > 0) log.warn({ month, accounts: blocked.slice(0, 20) }, 'month blocked by a missing day')
      if (found.length === 0) await stageNext(tx, month, zone, from, through, at)
      if (ready.length === 0) return skipped(`${blocked.length} blocked, none ready`)
      const ids = ready.map(({ id }) => id)
      const earlier = await openedDrafts(tx, ids, first)
      const drafts = await draftAll(tx, ready, month, zone, (account) => earlier.get(account) ?? newId())
      await saveDrafts(tx, drafts, earlier, first, last, at)
      await insertClosedMonths(tx, ids, first, at)
      await audit(
        tx,
        drafts.map((draft) => ({
          accountId: draft.accountId,
          at,
          actor: 'job:invoices.close-month',
          action: earlier.has(draft.accountId) ? 'invoice.redrafted' : 'invoice.drafted',
          subject: draft.id,
          details: { month, total: String(draft.total), parked: draft.parkedReason },
        })),
      )
      await stageFinalizations(tx, drafts, at)
      await stageNext(tx, month, zone, from, through, at)
      return done(`${ready.length} closed, ${drafts.length} drafted, ${blocked.length} blocked`)
    })
  },
})
export default closeMonth

/** Where the invoice day has passed already there is no review to wait for. */
async function stageFinalizations(tx: Tx, drafts: readonly Draft[], at: Date): Promise<void> {
  const due = drafts.filter((draft) => draft.parkedReason === null && draft.finalizeAt <= at)
  await stageAll(
    tx,
    finalizeInvoice,
    due.map(({ id }) => ({ invoice: id })),
  )
}

/**
 * A month behind is followed at once by the next, so that months missed are closed in order without waiting for
 * ticks; so is one that was closed already, which may lie between two that were opened again.
 */
async function stageNext(tx: Tx, month: Month, zone: string, from: string, through: string, at: Date): Promise<void> {
  const next = addMonths(month, 1)
  if (at >= startOfDay(addDays(lastDay(next), 1), zone)) {
    await stage(tx, closeMonth, { month: next, zone, from, through })
  }
}

async function draftAll(
  tx: Tx,
  accounts: readonly ClosingAccount[],
  month: Month,
  zone: string,
  idFor: (accountId: string) => string,
): Promise<Draft[]> {
  const ids = accounts.map(({ id }) => id)
  const [first, last] = [firstDay(month), lastDay(month)]
  const prices = await pricesUntil(tx, ids, last)
  const breaks = priceBreaks(prices, first, last)
  const counted = await usageSpans(tx, ids, breaks, last)
  const recounted = await recountDays(tx, ids, { zone, first, last, breaks })
  const names = await productNames(tx)
  const priceList = pricesByAccount(prices)
  const finalizedAt = new Map<number, Date>()
  for (const { invoiceDay } of accounts) {
    if (!finalizedAt.has(invoiceDay)) finalizedAt.set(invoiceDay, finalizeAt(month, invoiceDay, zone))
  }
  return accounts.flatMap((account) => {
    const usage = counted.get(account.id) ?? []
    const differing = countsDiffer(usage, recounted.get(account.id) ?? [], breaks)
    const draft = draftOf(account, usage, priceList(account), names, differing, last)
    if (!draft) return []
    return [{ ...draft, id: idFor(account.id), finalizeAt: finalizedAt.get(account.invoiceDay)! }]
  })
}

/** What each account's prices are: the list of its currency, and its own. */
function pricesByAccount(prices: readonly Price[]): (account: ClosingAccount) => readonly Price[] {
  const lists = Map.groupBy(
    prices.filter((price) => price.accountId === null),
    (price) => price.currency,
  )
  const own = Map.groupBy(prices, (price) => price.accountId)
  return ({ id, currency }) => [
    ...(lists.get(currency) ?? []),
    ...(own.get(id) ?? []).filter((price) => price.currency === currency),
  ]
}

/**
 * A draft without what the job adds; null when nothing of the account is billed. Usage that no price covers, or that a
 * second count does not confirm, is parked with its reason, never skipped.
 */
function draftOf(
  account: ClosingAccount,
  usage: readonly UsageSpan[],
  prices: readonly Price[],
  names: ReadonlyMap<string, string>,
  differing: readonly string[],
  last: Day,
): Omit<Draft, 'id' | 'finalizeAt'> | null {
  const base = { accountId: account.id, currency: account.currency }
  const nameOf = (productId: string): string => names.get(productId) ?? productId
  const parked = (reason: string) => ({ ...base, total: 0n, lines: [], parkedReason: reason })
  const rated = rate(usage, prices, { first: addDays(last, 1 - account.expected), last })
  if (!rated.ok) return parked(`${rated.reason}: ${nameOf(rated.productId)} on ${rated.day}`)
  if (differing.length > 0) return parked(recountDiffers(differing))
  if (rated.lines.length === 0) return null
  const lines = rated.lines.map((line) => ({ ...line, description: nameOf(line.productId) }))
  return { ...base, lines, parkedReason: null, total: lines.reduce((sum, line) => sum + line.amount, 0n) }
}
