// Closes one month for a chunk of accounts of one zone: rates its usage days and drafts an invoice for each account
// that used anything. Running it twice is safe: closed_months is keyed by account and month, invoice_claims holds the
// one live invoice. An account with a day missing is left open, and said so, until the day is counted. When it is
// dead these accounts stay unbilled, visibly: mend the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { audit } from '../kit/audit.ts'
import { stage } from '../kit/stage.ts'
import { addDays, addMonths, finalizeAt, firstDay, lastDay, startOfDay, type Month } from '../rules/period.ts'
import { priceBreaks, rate, type Price, type UsageSpan } from '../rules/rating.ts'
import {
  accountsToClose,
  insertClosedMonths,
  insertDrafts,
  pricesUntil,
  productNames,
  usageSpans,
  type ClosingAccount,
} from './close.store.ts'
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
      if (ready.length === 0) return skipped(`${blocked.length} blocked, none ready`)
      const drafts = await draftAll(tx, ready, month, zone, newId)
      await insertDrafts(tx, drafts, first, last, at)
      await insertClosedMonths(
        tx,
        ready.map(({ id }) => id),
        first,
        at,
      )
      await audit(
        tx,
        drafts.map((draft) => ({
          accountId: draft.accountId,
          at,
          actor: 'job:invoices.close-month',
          action: 'invoice.drafted',
          subject: draft.id,
          details: { month, total: String(draft.total), parked: draft.parkedReason },
        })),
      )
      await stageNext(tx, month, zone, from, through, at)
      return done(`${ready.length} closed, ${drafts.length} drafted, ${blocked.length} blocked`)
    })
  },
})
export default closeMonth

/**
 * A month behind is followed at once by the next, so that months missed are closed in order without waiting for
 * ticks.
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
  newId: () => string,
): Promise<Draft[]> {
  const ids = accounts.map(({ id }) => id)
  const last = lastDay(month)
  const prices = await pricesUntil(tx, ids, last)
  const spans = await usageSpans(tx, ids, priceBreaks(prices, firstDay(month), last), last)
  const names = await productNames(tx)
  return accounts.flatMap((account) => {
    const usage = spans.get(account.id) ?? []
    const draft = draftOf(account, usage, prices, names)
    if (!draft) return []
    return [{ ...draft, id: newId(), finalizeAt: finalizeAt(month, account.invoiceDay, zone) }]
  })
}

/** A draft without what the job adds; null when the account used nothing. Unpriced usage is parked, never skipped. */
function draftOf(
  account: ClosingAccount,
  usage: readonly UsageSpan[],
  prices: readonly Price[],
  names: ReadonlyMap<string, string>,
): Omit<Draft, 'id' | 'finalizeAt'> | null {
  if (usage.length === 0) return null
  const mine = prices.filter(
    (price) => price.currency === account.currency && (price.accountId === null || price.accountId === account.id),
  )
  const rated = rate(usage, mine)
  const base = { accountId: account.id, currency: account.currency }
  if (!rated.ok) {
    const name = names.get(rated.productId) ?? rated.productId
    return { ...base, total: 0n, lines: [], parkedReason: `${rated.reason}: ${name} on ${rated.day}` }
  }
  const lines = rated.lines.map((line) => ({ ...line, description: names.get(line.productId) ?? line.productId }))
  return { ...base, lines, parkedReason: null, total: lines.reduce((sum, line) => sum + line.amount, 0n) }
}
