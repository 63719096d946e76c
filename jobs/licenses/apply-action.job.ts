// Applies what was asked for, as of the instant it was accepted. Staged with every action the API accepts. The
// account's open actions are applied in order of acceptance, each in its own transaction, so that an
// assignment never overtakes the revocation before it. Running it twice is safe: an action ends once
// (actions.ended_at, checked under the account's lock). When it is dead the action says failed, and the operator sees
// the job with its error.
import { z } from 'zod'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, later, skipped } from '../kit/outcome.ts'
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
  type LockedAccount,
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
    const lookUp = () => ports.db.acrossAccounts((tx) => findAction(tx, action))
    const found = await lookUp()
    if (!found) return dead('no such action')
    if (found.ended) return skipped('already ended')
    for (let applied = 0; applied < ACTIONS_PER_JOB; applied += 1) {
      const turn = await ports.db.withAccount(found.accountId, (tx) => applyOldest(tx, ports, found.accountId))
      if (turn === 'none') return done(`${applied} applied`)
      if (turn === 'busy') break
    }
    // Whoever holds the account takes our action along; this job comes back to see that it was done.
    const ended = (await lookUp())?.ended ?? false
    return ended ? done() : later(await ports.clock.now(), 'the account is busy')
  },
  async bury({ action }, { db, clock }) {
    const at = await clock.now()
    await db.acrossAccounts((tx) => failAction(tx, action, at))
  },
})

/** A turn at one account is short, so that the queue's next jobs, of other accounts, get theirs. */
const ACTIONS_PER_JOB = 50

/** Applies the oldest open action of the account. */
async function applyOldest(tx: Tx, ports: Ports, accountId: string): Promise<'applied' | 'none' | 'busy'> {
  const account = await lockAccount(tx, accountId)
  if (!account) return 'busy'
  const action = await oldestOpenAction(tx, accountId)
  if (!action) return 'none'
  const applied = await applyAction(tx, ports, account, action)
  await endAction(tx, action.id, applied, await ports.clock.now())
  return 'applied'
}

async function applyAction(tx: Tx, ports: Ports, account: LockedAccount, action: OpenAction): Promise<Applied> {
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
