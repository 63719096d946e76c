// Trying a dead job again: one audited command, for the API's operators and for the board.
import { audit } from '../../jobs/kit/audit.ts'
import type { Tx } from '../../jobs/kit/ports.ts'
import { redriveJob } from '../adapters/outbox.ts'

/**
 * Opens a dead job again, and says in the audit log who did. Only in an operator's transaction.
 * @param id its row in staged_jobs
 * @param actor as `key:<id>`
 */
export async function retryDeadJob(
  tx: Tx,
  id: string,
  actor: string,
  at: Date,
): Promise<'redriven' | 'not_dead' | 'unknown'> {
  const verdict = await redriveJob(tx, id)
  if (verdict === 'redriven') await audit(tx, [{ accountId: null, at, actor, action: 'job.retried', subject: id }])
  return verdict
}
