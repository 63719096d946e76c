// Counts one local day for a chunk of accounts of one zone: usage days per product, absolute. Staged by count-all-days
// once the day has ended. Running it twice is safe: counted_days and usage_days are keyed by account and day, and the
// same facts set the same values. An account with an action of that day still open is left for a later tick. When it is
// dead the month of these accounts stays open, visibly: mend the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import { daySpan, isDay } from '../rules/period.ts'
import { blockedByActions, countDay, uncounted } from './usage.store.ts'

export default defineJob({
  name: 'usage.count-day',
  payload: z.object({ day: z.string().refine(isDay), zone: z.string(), from: z.uuid(), through: z.uuid() }),
  key: ({ day, zone, from }) => `${day}.${zone}.${from}`,
  retry: retry.patient,
  timeoutMs: 300_000,
  async run({ day, zone, from, through }, { db, clock, log }) {
    const span = daySpan(day, zone)
    const at = await clock.now()
    if (at < span.endsAt) return skipped('the day has not ended')
    return await db.acrossAccounts(async (tx) => {
      const accounts = await uncounted(tx, { from, through }, day, zone)
      if (accounts.length === 0) return skipped('already counted')
      const rows = await countDay(tx, { accounts, day, startsAt: span.startsAt, endsAt: span.endsAt, at })
      const blocked = await blockedByActions(tx, accounts, day)
      if (blocked.length > 0) log.warn({ day, accounts: blocked.slice(0, 20) }, 'day blocked by an open action')
      return done(`${accounts.length - blocked.length} accounts, ${rows} rows, ${blocked.length} blocked`)
    })
  },
})
