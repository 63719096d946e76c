// What an account may do, as one pure function shared by the API, the portal and the jobs (domain.md, Gates).

/** `operator` and `observer` are the vendor's own: one may everything, the other only look. */
export type Role = 'operator' | 'observer' | 'owner' | 'billing' | 'licenses' | 'viewer'

export type GatedAction =
  | 'issue'
  | 'assign'
  | 'unassign'
  | 'revoke'
  | 'pay'
  | 'edit_cards'
  | 'edit_company'
  | 'edit_account'
  | 'edit_keys'
  | 'read'

export interface GateFacts {
  readonly roles: readonly Role[]
  readonly cardRequired: boolean
  /** A card that has not expired is on file. */
  readonly hasValidCard: boolean
  readonly pastDue: boolean
  readonly closed: boolean
}

export type Refusal = 'forbidden' | 'account_closed' | 'payment_method_required' | 'invoice_past_due'
export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly code: Refusal }

/** Which roles an action belongs to. An operator may do everything an owner may, an observer what a viewer may. */
const MAY: Record<GatedAction, readonly Role[]> = {
  issue: ['operator', 'owner', 'licenses'],
  assign: ['operator', 'owner', 'licenses'],
  unassign: ['operator', 'owner', 'licenses'],
  revoke: ['operator', 'owner', 'licenses'],
  pay: ['operator', 'owner', 'billing'],
  edit_cards: ['operator', 'owner', 'billing'],
  edit_company: ['operator', 'owner', 'billing'],
  edit_account: ['operator', 'owner', 'billing'],
  edit_keys: ['operator', 'owner'],
  read: ['operator', 'observer', 'owner', 'billing', 'licenses', 'viewer'],
}

const NEEDS_OPEN_ACCOUNT: ReadonlySet<GatedAction> = new Set(['issue', 'assign'])
const NEEDS_CARD: ReadonlySet<GatedAction> = new Set(['issue'])
const NEEDS_NOTHING_OVERDUE: ReadonlySet<GatedAction> = new Set(['issue', 'assign'])

/** Whether a role may do an action at all, whatever the state of the account. */
export const mayDo = (action: GatedAction, roles: readonly Role[]): boolean =>
  roles.some((role) => MAY[action].includes(role))

/** Whether an account may do an action now. Order of the codes: who asks, then the account, then its money. */
export function gate(action: GatedAction, facts: GateFacts): Verdict {
  const refuse = (code: Refusal): Verdict => ({ allowed: false, code })
  if (!mayDo(action, facts.roles)) return refuse('forbidden')
  if (facts.closed && NEEDS_OPEN_ACCOUNT.has(action)) return refuse('account_closed')
  if (facts.cardRequired && !facts.hasValidCard && NEEDS_CARD.has(action)) return refuse('payment_method_required')
  if (facts.pastDue && NEEDS_NOTHING_OVERDUE.has(action)) return refuse('invoice_past_due')
  return { allowed: true }
}
