// Actions that are accepted at the same moment are recorded by one statement, which commits once: each is recorded and
// staged by accept_action(), in the order in which its account's came.
import type { Services } from './context.ts'
import { gather } from './gather.ts'

/** As accept_action() takes it. */
export interface NewAction {
  readonly account: string
  readonly id: string
  readonly kind: string
  readonly input: object
  readonly actor: string
  readonly at: Date
  readonly job: string
  readonly key: string | null
  /** In hexadecimal digits. */
  readonly hash: string
}

export interface Recorded {
  readonly verdict: 'accepted' | 'replayed' | 'key_reused' | 'in_progress' | 'too_early'
  /** The action that is there: this one, or an earlier one with its key. */
  readonly known: string | null
}

/** At first nobody waits for an account whose days are being counted; then only the account's own do. */
const LOCK_TOGETHER = '20ms'
/** An account that is held for longer, by an import say, must not hold connections that others need. */
const LOCK_ALONE = '5s'

const recorders = new WeakMap<Services['db'], (action: NewAction) => Promise<Recorded>>()

/**
 * Asked again after a failure it is safe: what was recorded all the same is found by its idempotency key, and without
 * one refused by its id, so that it is never recorded twice.
 */
export function recordGathered(db: Services['db'], action: NewAction): Promise<Recorded> {
  const record =
    recorders.get(db) ?? gather((actions: readonly NewAction[], patient) => recordAll(db, actions, patient))
  recorders.set(db, record)
  return record(action)
}

/** Named, so that each connection plans it once. */
const RECORD = {
  name: 'record-actions',
  text: `
    SELECT r.n, a.verdict, a.action_id AS known
    FROM (SELECT set_config('lock_timeout', $1, true)) AS s (bound),
      jsonb_to_recordset(CASE WHEN s.bound IS NOT NULL THEN $2::jsonb END) AS r (
        n int, account uuid, id uuid, kind text, input jsonb, actor text, at timestamptz, job uuid, key text,
        hash text),
      accept_action(r.account, r.id, r.kind, r.input, r.actor, r.at, r.job, r.key, decode(r.hash, 'hex')) AS a`,
}

async function recordAll(
  { pool }: Services['db'],
  actions: readonly NewAction[],
  patient: boolean,
): Promise<Recorded[]> {
  const bound = patient ? LOCK_ALONE : LOCK_TOGETHER
  const list = JSON.stringify(inLockOrder(actions))
  const { rows } = await pool.query<Recorded & { n: number }>({ ...RECORD, values: [bound, list] })
  const byNumber = new Map(rows.map((row) => [row.n, row]))
  return actions.map((_, n) => byNumber.get(n)!)
}

/** By account, as the count of days locks them, so that the two never wait for one another. The sort is stable. */
function inLockOrder(actions: readonly NewAction[]): (NewAction & { n: number })[] {
  const numbered = actions.map((action, n) => ({ ...action, n }))
  return numbered.sort((a, b) => (a.account < b.account ? -1 : a.account > b.account ? 1 : 0))
}
