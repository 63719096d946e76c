import { describe, expect, it } from 'vitest'
import { gate, mayDo, type GatedAction, type GateFacts, type Role } from '../../../jobs/rules/gate.ts'

const ACTIONS: readonly GatedAction[] = [
  'issue',
  'assign',
  'unassign',
  'revoke',
  'pay',
  'edit_cards',
  'edit_company',
  'edit_account',
  'read',
]

/** An account in good standing, asked by its owner. */
const facts = (changes: Partial<GateFacts> = {}): GateFacts => ({
  roles: ['owner'],
  cardRequired: true,
  hasValidCard: true,
  pastDue: false,
  closed: false,
  ...changes,
})

/** The code with which an action is refused; `ok` when it is allowed. */
function verdict(action: GatedAction, changes: Partial<GateFacts>): string {
  const given = gate(action, facts(changes))
  return given.allowed ? 'ok' : given.code
}

describe('a role', () => {
  const TABLE: Record<Role, readonly GatedAction[]> = {
    operator: ACTIONS,
    observer: ['read'],
    owner: ACTIONS,
    billing: ['pay', 'edit_cards', 'edit_company', 'edit_account', 'read'],
    licenses: ['issue', 'assign', 'unassign', 'revoke', 'read'],
    viewer: ['read'],
  }

  it.each(Object.keys(TABLE) as Role[])('%s may do what is its own, and nothing else', (role) => {
    for (const action of ACTIONS) {
      const own = TABLE[role].includes(action)
      expect(mayDo(action, [role]), action).toBe(own)
      expect(verdict(action, { roles: [role] }), action).toBe(own ? 'ok' : 'forbidden')
    }
  })

  it('adds to another', () => {
    expect(verdict('issue', { roles: ['viewer', 'licenses'] })).toBe('ok')
    expect(verdict('pay', { roles: ['viewer', 'licenses'] })).toBe('forbidden')
  })

  it('must be had: without one even reading is forbidden', () => {
    for (const action of ACTIONS) expect(verdict(action, { roles: [] }), action).toBe('forbidden')
  })
})

describe('the account’s facts', () => {
  const GATES: readonly [string, Partial<GateFacts>, Partial<Record<GatedAction, string>>][] = [
    ['in good standing', {}, {}],
    ['without a valid card', { hasValidCard: false }, { issue: 'payment_method_required' }],
    ['without a card, where none is required', { hasValidCard: false, cardRequired: false }, {}],
    ['with an invoice past due', { pastDue: true }, { issue: 'invoice_past_due', assign: 'invoice_past_due' }],
    ['closed', { closed: true }, { issue: 'account_closed', assign: 'account_closed' }],
    [
      'without a card and past due',
      { hasValidCard: false, pastDue: true },
      { issue: 'payment_method_required', assign: 'invoice_past_due' },
    ],
    [
      'closed, without a card and past due',
      { closed: true, hasValidCard: false, pastDue: true },
      { issue: 'account_closed', assign: 'account_closed' },
    ],
  ]

  it.each(GATES)('%s: refuse what they must and nothing else', (_, changes, refused) => {
    for (const action of ACTIONS) expect(verdict(action, changes), action).toBe(refused[action] ?? 'ok')
  })

  it('hold for an operator as for the owner', () => {
    expect(verdict('issue', { roles: ['operator'], pastDue: true })).toBe('invoice_past_due')
  })

  it('are not told to who may not ask', () => {
    const all = { roles: ['viewer' as const], closed: true, hasValidCard: false, pastDue: true }
    expect(verdict('issue', all)).toBe('forbidden')
    expect(verdict('assign', all)).toBe('forbidden')
  })

  it('never refuse revoking, unassigning, paying, adding a card and reading', () => {
    for (const action of ['revoke', 'unassign', 'pay', 'edit_cards', 'read'] as const) {
      for (const bits of Array.from({ length: 16 }, (_, index) => index)) {
        const has = (bit: number): boolean => (bits & bit) !== 0
        const changes = { cardRequired: has(1), hasValidCard: has(2), pastDue: has(4), closed: has(8) }
        expect(verdict(action, changes), JSON.stringify([action, changes])).toBe('ok')
      }
    }
  })
})
