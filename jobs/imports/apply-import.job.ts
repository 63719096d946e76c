// Begins to apply an import whose rows are all there: products and list prices first, then its accounts in chunks.
// Staged when the API is told that nothing more comes. Running it twice is safe: prices are unique per product, account
// and day, targets per import and account, and a chunk is applied once. When it is dead the import is refused, with
// nothing of it done: mend the cause and send it again.
import { z } from 'zod'
import { addMissingProducts, setPrice } from '../accounts/products.store.ts'
import { audit } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import type { Ports, Tx } from '../kit/ports.ts'
import { stageAll } from '../kit/stage.ts'
import applyChunk from './apply-chunk.job.ts'
import { findListFailures } from './import-checks.ts'
import { pricesToSet } from './import-lives.ts'
import {
  addFailures,
  clearAbandoned,
  endImport,
  planTargets,
  runningImport,
  type ImportFailure,
} from './imports.store.ts'

/** An import that is not applied within a day of its beginning is refused, and its rows are cleared away. */
const ABANDONED_MS = 86_400_000

class ListRefused extends Error {
  readonly failures: readonly ImportFailure[]
  constructor(failures: readonly ImportFailure[]) {
    super('a list price cannot be set')
    this.failures = failures
  }
}

export default defineJob({
  name: 'imports.apply-import',
  payload: z.object({ import: z.uuid() }),
  key: ({ import: id }) => id,
  retry: retry.brief,
  timeoutMs: 300_000,
  async run({ import: id }, ports) {
    const at = await ports.clock.now()
    try {
      return await ports.db.acrossAccounts(async (tx) => {
        const running = await runningImport(tx, id)
        if (!running) return skipped('not being applied')
        if (running.planned) return skipped('its chunks are being applied already')
        await clearAbandoned(tx, new Date(at.getTime() - ABANDONED_MS), at)
        await setListPrices(tx, ports, id, running.actor, at)
        const chunks = await planTargets(tx, id)
        if (chunks.length === 0) await endImport(tx, id, 'done', at)
        await stageAll(
          tx,
          applyChunk,
          chunks.map((chunk) => ({ import: id, chunk })),
        )
        return done(`${chunks.length} chunks`)
      })
    } catch (error) {
      if (!(error instanceof ListRefused)) throw error
      return await ports.db.acrossAccounts(async (tx) => {
        await addFailures(tx, id, error.failures)
        await endImport(tx, id, 'refused', at)
        return done(`refused: ${error.failures.length} rows concern every account`)
      })
    }
  },
  async bury({ import: id }, { db, clock }) {
    const at = await clock.now()
    const message = 'nothing could be applied: the dead job imports.apply-import says why (GET /v1/admin/jobs)'
    await db.acrossAccounts(async (tx) => {
      const running = await runningImport(tx, id)
      if (!running || running.planned) return
      await addFailures(tx, id, [{ file: 'accounts.csv', line: 1, field: 'account', account: null, message }])
      await endImport(tx, id, 'refused', at)
    })
  },
})

/** List prices concern every account: one that cannot be set refuses the whole. */
async function setListPrices(tx: Tx, ports: Ports, id: string, actor: string, at: Date): Promise<void> {
  const failures = await findListFailures(tx, id)
  if (failures.length > 0) throw new ListRefused(failures)
  await addMissingProducts(tx, id, at)
  const refused: ImportFailure[] = []
  for (const price of await pricesToSet(tx, id, null)) {
    const priceId = ports.newId()
    const terms = { ...price, endsOn: null, billWhilePaused: false, at, id: priceId, jobId: ports.newId() }
    const verdict = await setPrice(tx, terms)
    if (verdict === 'created') {
      const details = { import: id, monthly: price.monthlyAmount, from: price.effectiveFrom }
      await audit(tx, [{ accountId: null, at, actor, action: 'price.created', subject: priceId, details }])
    } else {
      const message = `cannot be set: it lies in a month that is invoiced already (${verdict})`
      refused.push({ file: 'prices.csv', line: price.line, field: 'effective_from', account: null, message })
    }
  }
  if (refused.length > 0) throw new ListRefused(refused)
}
