// Finds the months that have ended and are not closed, and stages their closing per chunk of accounts. Every quarter of
// an hour, because months end at local midnights. Running it twice is safe: a staged or closed month is not staged
// again (staged_jobs_fact, closed_months' key). When it is dead no month closes: mend the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done } from '../kit/outcome.ts'
import { stageAll } from '../kit/stage.ts'
import { addMonths, dayOf, monthOf } from '../rules/period.ts'
import { zonesInUse } from '../usage/usage.store.ts'
import closeMonth from './close-month.job.ts'
import { monthsToClose } from './close.store.ts'

export default defineJob({
  name: 'invoices.close-all-months',
  payload: z.object({ at: z.iso.datetime() }),
  key: ({ at }) => at,
  retry: retry.patient,
  timeoutMs: 120_000,
  schedule: '*/15 * * * *',
  async run({ at }, { db }) {
    const staged = await db.acrossAccounts(async (tx) => {
      let count = 0
      for (const { timezone } of await zonesInUse(tx)) {
        const lastEnded = addMonths(monthOf(dayOf(new Date(at), timezone)), -1)
        const due = await monthsToClose(tx, timezone, lastEnded)
        await stageAll(
          tx,
          closeMonth,
          due.map(({ month, from, through }) => ({ month, zone: timezone, from, through })),
        )
        count += due.length
      }
      return count
    })
    return done(`staged ${staged}`)
  },
})
