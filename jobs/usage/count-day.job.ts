// Counts local days of one month, one after the other, for a chunk of accounts of one zone: usage days per product,
// absolute. Staged by count-all-days once a day has ended; usually it is one day. Running it twice is safe:
// counted_days and usage_days are keyed by account and day, and the same facts set the same values. An account with an
// action of that day still open is left for a later tick. The last missing day of an ended month stages its close, so
// that what was missed is caught up with at once. When it is dead the month of these accounts stays open, visibly: mend
// the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import type { Tx } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import closeMonth from '../invoices/close-month.job.ts'
import { addDays, daySpan, firstDay, isDay, lastDay, monthOf, startOfDay, type Month } from '../rules/period.ts'
import { blockedByActions, completesMonth, countDay, uncounted, type AccountRange } from './usage.store.ts'

/** A month's days, and one more: a payload of one month is never longer. */
const DAYS_MAX = 32

export default defineJob({
  name: 'usage.count-day',
  payload: z.object({
    days: z.array(z.string().refine(isDay)).min(1).max(DAYS_MAX),
    zone: z.string(),
    from: z.uuid(),
    through: z.uuid(),
  }),
  key: ({ days, zone, from }) => `${days[0]}.${zone}.${from}`,
  retry: retry.patient,
  timeoutMs: 900_000,
  async run({ days, zone, from, through }, { db, clock, log }, signal) {
    const at = await clock.now()
    const total = { accounts: 0, rows: 0, blocked: 0 }
    for (const day of days) {
      signal.throwIfAborted()
      const span = daySpan(day, zone)
      if (at < span.endsAt) return skipped('the day has not ended')
      await db.acrossAccounts(async (tx) => {
        const accounts = await uncounted(tx, { from, through }, day, zone)
        if (accounts.length === 0) return
        total.rows += await countDay(tx, { accounts, day, startsAt: span.startsAt, endsAt: span.endsAt, at })
        const blocked = await blockedByActions(tx, accounts, day)
        if (blocked.length > 0) log.warn({ day, accounts: blocked.slice(0, 20) }, 'day blocked by an open action')
        total.accounts += accounts.length - blocked.length
        total.blocked += blocked.length
      })
    }
    const month = monthOf(days[0]!)
    await db.acrossAccounts((tx) => closeWhenComplete(tx, month, zone, { from, through }, at))
    if (total.accounts + total.blocked === 0) return skipped('already counted')
    return done(`${total.accounts} accounts and days, ${total.rows} rows, ${total.blocked} blocked`)
  },
})

/**
 * The last day of a month, or one that was missing long after, may be all that its close waited for. Asked after the
 * counts are committed: of two jobs that count the last two days at once, one sees both.
 */
async function closeWhenComplete(tx: Tx, month: Month, zone: string, range: AccountRange, at: Date): Promise<void> {
  const [first, last] = [firstDay(month), lastDay(month)]
  if (at < startOfDay(addDays(last, 1), zone)) return
  if (await completesMonth(tx, range, zone, first, last)) await stage(tx, closeMonth, { month, zone, ...range })
}
