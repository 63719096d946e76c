// Finds the drafts whose invoice day has begun and stages the finalization of each. Every quarter of an hour, because
// days begin at local midnights. Running it twice is safe: a staged or final invoice is not staged again. When it is
// dead invoices go out late: mend the cause and redrive.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { done } from '../kit/outcome.ts'
import { stageAll } from '../kit/stage.ts'
import finalizeInvoice from './finalize-invoice.job.ts'
import { draftsToFinalize } from './invoices.store.ts'

export default defineJob({
  name: 'invoices.finalize-all-invoices',
  payload: z.object({ at: z.iso.datetime() }),
  key: ({ at }) => at,
  retry: retry.patient,
  timeoutMs: 120_000,
  schedule: '*/15 * * * *',
  async run({ at }, { db }) {
    const staged = await db.acrossAccounts(async (tx) => {
      const drafts = await draftsToFinalize(tx, new Date(at))
      await stageAll(
        tx,
        finalizeInvoice,
        drafts.map((invoice) => ({ invoice })),
      )
      return drafts.length
    })
    return done(`staged ${staged}`)
  },
})
