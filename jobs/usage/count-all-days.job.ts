// Finds every local day that has ended and was not counted, and stages its count by month and chunk of accounts. Every
// quarter of an hour, because local midnights fall on quarters. Running it twice is safe: a day that is staged or
// counted is not staged again (staged_jobs_fact, counted_days' key). When it is dead nothing is counted: mend the cause
// and redrive; the next run finds whatever was missed, however long ago.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done } from '../kit/outcome.ts'
import { stageAll } from '../kit/stage.ts'
import { lastEndedDay } from '../rules/period.ts'
import countDay from './count-day.job.ts'
import { missingDays, zonesInUse } from './usage.store.ts'

export default defineJob({
  name: 'usage.count-all-days',
  payload: z.object({ at: z.iso.datetime() }),
  key: ({ at }) => at,
  retry: retry.patient,
  timeoutMs: 120_000,
  schedule: '*/15 * * * *',
  async run({ at }, { db }) {
    const staged = await db.acrossAccounts(async (tx) => {
      let count = 0
      for (const { timezone, firstDay } of await zonesInUse(tx)) {
        const last = lastEndedDay(new Date(at), timezone)
        if (last < firstDay) continue
        const missing = await missingDays(tx, timezone, last)
        await stageAll(
          tx,
          countDay,
          missing.map(({ days, from, through }) => ({ days: [...days], zone: timezone, from, through })),
        )
        count += missing.length
      }
      return count
    })
    return done(`staged ${staged}`)
  },
})
