// Writes actions: their end. They are born in the database's accept_action().
import type { Tx } from '../kit/ports.ts'
import type { Role } from '../rules/gate.ts'
import type { Day } from '../rules/period.ts'
import type { Applied } from './action.ts'

export interface OpenAction {
  readonly id: string
  readonly kind: string
  readonly input: unknown
  readonly actor: string
  readonly acceptedAt: Date
}

export async function findAction(tx: Tx, id: string): Promise<{ accountId: string; ended: boolean } | null> {
  const rows = await tx.$queryRaw<{ accountId: string; ended: boolean }[]>`
    SELECT account_id AS "accountId", ended_at IS NOT NULL AS ended FROM actions WHERE id = ${id}::uuid`
  return rows[0] ?? null
}

export interface LockedAccount {
  readonly id: string
  readonly currency: string
  readonly timezone: string
  readonly cardRequired: boolean
  readonly closed: boolean
}

/**
 * Locks the account against other actions and against the count of its days, and reads what actions need of it.
 * @returns null when another transaction holds it: nobody waits, so that one account's crowd does not take every worker
 */
export async function lockAccount(tx: Tx, accountId: string): Promise<LockedAccount | null> {
  const rows = await tx.$queryRaw<LockedAccount[]>`
    SELECT id, currency, timezone, card_required AS "cardRequired", closed_at IS NOT NULL AS closed
    FROM accounts WHERE id = ${accountId}::uuid FOR NO KEY UPDATE SKIP LOCKED`
  return rows[0] ?? null
}

/** The oldest action of an account that has not ended. */
export async function oldestOpenAction(tx: Tx, accountId: string): Promise<OpenAction | null> {
  const rows = await tx.$queryRaw<OpenAction[]>`
    SELECT id, kind, input, actor, accepted_at AS "acceptedAt" FROM actions
    WHERE account_id = ${accountId}::uuid AND ended_at IS NULL
    ORDER BY seq LIMIT 1`
  return rows[0] ?? null
}

export interface MoneyFacts {
  readonly roles: Role[]
  readonly hasValidCard: boolean
  readonly pastDue: boolean
}

/** Who asked, and how the account stands with its money on a local day. A removed key keeps the roles it asked with. */
export async function moneyFacts(tx: Tx, accountId: string, actor: string, today: Day): Promise<MoneyFacts> {
  const keyId = actor.startsWith('key:') ? actor.slice(4) : null
  const rows = await tx.$queryRaw<{ roles: Role[] | null; hasValidCard: boolean; pastDue: boolean }[]>`
    SELECT (SELECT scopes FROM api_keys WHERE id = ${keyId}::uuid) AS roles,
           EXISTS (SELECT 1 FROM payment_methods WHERE account_id = ${accountId}::uuid AND removed_at IS NULL
                     AND (exp_year, exp_month) >=
                       (extract(year FROM ${today}::date), extract(month FROM ${today}::date))
                  ) AS "hasValidCard",
           EXISTS (SELECT 1 FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id
                   WHERE i.account_id = ${accountId}::uuid AND s.status IN ('open', 'uncollectible')
                     AND i.due_on < ${today}::date AND i.total > s.paid + s.credited) AS "pastDue"`
  const facts = rows[0]!
  return { roles: facts.roles ?? [], hasValidCard: facts.hasValidCard, pastDue: facts.pastDue }
}

/** Ends an action, once, and tells whoever waits for it when the transaction commits. */
export async function endAction(tx: Tx, id: string, applied: Applied, at: Date): Promise<void> {
  const done = 'done' in applied
  const ended = await tx.$executeRaw`
    UPDATE actions SET status = ${done ? 'done' : 'refused'}, ended_at = ${at}::timestamptz,
      result = ${done ? JSON.stringify(applied.done) : null}::jsonb,
      error = ${done ? null : JSON.stringify(applied.refused)}::jsonb
    WHERE id = ${id}::uuid AND ended_at IS NULL`
  // Marked failed meanwhile, by a job that died: then what it did is undone with this transaction.
  if (ended !== 1) throw new Error(`action ${id} has ended already`)
  await announce(tx, id)
}

/** Marks an action failed when its job died: visible, and out of the way of the actions behind it. */
export async function failAction(tx: Tx, id: string, at: Date): Promise<void> {
  const error = JSON.stringify({
    code: 'internal_error',
    message: 'It could not be carried out; an operator has been told.',
  })
  await tx.$executeRaw`
    UPDATE actions SET status = 'failed', ended_at = ${at}::timestamptz, error = ${error}::jsonb
    WHERE id = ${id}::uuid AND ended_at IS NULL`
  await announce(tx, id)
}

async function announce(tx: Tx, id: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_notify('perdiem_actions', ${id})`
}
