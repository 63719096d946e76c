// Applies what was asked for, as of the instant it was accepted. Staged with every action the API accepts. The
// account's earlier open actions are applied first, in order of acceptance, each in its own transaction, so that an
// assignment never overtakes the revocation before it. Running it twice is safe: an action ends once
// (actions.ended_at, checked under the account's lock). When it is dead the action says failed, and the operator sees
// the job with its error.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped } from '../kit/outcome.ts'
import type { Ports, Tx } from '../kit/ports.ts'
import { gate } from '../rules/gate.ts'
import { dayOf } from '../rules/period.ts'
import { refuse, type Applied } from './action.ts'
import {
  endAction,
  failAction,
  findAction,
  lockAccount,
  moneyFacts,
  oldestOpenAction,
  type OpenAction,
} from './actions.store.ts'
import { actionKinds } from './actions/index.ts'

export default defineJob({
  name: 'licenses.apply-action',
  payload: z.object({ action: z.uuid() }),
  key: ({ action }) => action,
  retry: retry.brief,
  timeoutMs: 60_000,
  async run({ action }, ports) {
    const found = await ports.db.acrossAccounts((tx) => findAction(tx, action))
    if (!found) return dead('no such action')
    let applied = 0
    while (await ports.db.withAccount(found.accountId, (tx) => applyOldest(tx, ports, found))) applied += 1
    return applied === 0 ? skipped('already ended') : done(`${applied} applied`)
  },
  async bury({ action }, { db, clock }) {
    const at = await clock.now()
    await db.acrossAccounts((tx) => failAction(tx, action, at))
  },
})

/** Applies the oldest open action up to ours; false when none is left. */
async function applyOldest(tx: Tx, ports: Ports, ours: { accountId: string; seq: bigint }): Promise<boolean> {
  const account = await lockAccount(tx, ours.accountId)
  const action = await oldestOpenAction(tx, ours.accountId, ours.seq)
  if (!action) return false
  const applied = await applyAction(tx, ports, account, action)
  await endAction(tx, action.id, applied, await ports.clock.now())
  return true
}

async function applyAction(
  tx: Tx,
  ports: Ports,
  account: Awaited<ReturnType<typeof lockAccount>>,
  action: OpenAction,
): Promise<Applied> {
  const kind = actionKinds.get(action.kind)
  const input = kind?.input.safeParse(action.input)
  if (!kind || !input?.success) return refuse('invalid_request', 'The request is not understood.')
  const today = dayOf(action.acceptedAt, account.timezone)
  const facts = await moneyFacts(tx, account.id, action.actor, today)
  const verdict = gate(kind.gate, { ...facts, cardRequired: account.cardRequired, closed: account.closed })
  if (!verdict.allowed) return refuse(verdict.code, GATE_SENTENCES[verdict.code])
  const { id: actionId, actor, acceptedAt: at } = action
  return await kind.apply({ tx, ports, account, actionId, actor, at, today }, input.data)
}

const GATE_SENTENCES = {
  forbidden: 'This key may not do that.',
  account_closed: 'The account is closed.',
  payment_method_required: 'Add a payment method first: there is no valid card on file.',
  invoice_past_due: 'An invoice is past due. Pay it first.',
} as const
