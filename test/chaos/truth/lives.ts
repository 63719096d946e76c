// What became of each license, from the ledger alone. Requests of one burst were under way together, so that a license
// has several possible lives: those of every order of its burst that explains how the requests ended.
import type { Ledger, LedgerRequest } from '../workload/ledger.ts'
import { dateAt } from '../../support/naive/calendar.ts'
import { ms, msOrNull, type Facts } from './facts.ts'
import type { Violation } from './evidence.ts'

export interface Stay {
  readonly site: string
  readonly from: number
  readonly to: number
}

/** One possible life, up to now. */
export interface Life {
  readonly revoked: number | null
  /** Its address. */
  readonly site: string | null
  readonly since: number | null
  /** In the order they were left. */
  readonly past: readonly Stay[]
  /** What its log must tell, sorted. */
  readonly told: readonly string[]
}

export interface Issued {
  readonly id: string
  readonly account: string
  readonly product: string
  readonly action: string
  readonly index: number
  readonly issued: number
  /** Never empty. */
  readonly lives: readonly Life[]
}

export interface Replay {
  readonly licenses: ReadonlyMap<string, Issued>
  readonly violations: readonly Violation[]
}

/** Whether a request got as far as being an action. */
export const accepted = ({ actions }: LedgerRequest): boolean => actions.length > 0

/** What money says to a request; the cards of these accounts are valid for years. */
function gateOf(ledger: Ledger, facts: Facts, request: LedgerRequest): string | null {
  if (request.what !== 'issue' && request.what !== 'assign') return null
  const account = ledger.accounts.find(({ id }) => id === request.account)!
  if (request.what === 'issue' && account.cardRequired && account.cards.length === 0) return 'payment_method_required'
  const at = ms(request.at)
  const today = dateAt(at, account.zone)
  const overdue = facts.invoices.some((invoice) => {
    if (invoice.account_id !== account.id || invoice.due_on === null || invoice.due_on >= today) return false
    const paidAt = msOrNull(facts.invoice_states.find((state) => state.invoice_id === invoice.id)?.paid_at ?? null)
    return paidAt === null || paidAt > at
  })
  return overdue ? 'invoice_past_due' : null
}

interface After {
  readonly life: Life
  /** Null: done. */
  readonly code: string | null
}

const refused = (life: Life, code: string): After => ({ life, code })

function leave(life: Life, at: number): Readonly<Pick<Life, 'site' | 'since' | 'past'>> {
  const past = life.site === null ? life.past : [...life.past, { site: life.site, from: life.since!, to: at }]
  return { site: null, since: null, past }
}

/** One request on one license, by the rules of domain.md. */
function take(life: Life, request: LedgerRequest, gate: string | null): After {
  const at = ms(request.at)
  const tell = (word: string): readonly string[] => [...life.told, word].sort()
  if (gate !== null) return refused(life, gate)
  if (life.revoked !== null) return refused(life, 'license_revoked')
  if (request.what === 'revoke') {
    return { life: { ...life, ...leave(life, at), revoked: at, told: tell('license.revoked') }, code: null }
  }
  if (request.what === 'unassign') {
    if (life.site === null) return refused(life, 'license_not_assigned')
    return { life: { ...life, ...leave(life, at), told: tell('license.unassigned') }, code: null }
  }
  const { url } = request.site!
  if (life.site === url) return { life, code: null }
  if (life.site !== null && !request.transfer) return refused(life, 'license_assigned')
  const word = life.site === null ? 'license.assigned' : 'license.transferred'
  return { life: { ...life, ...leave(life, at), site: url, since: at, told: tell(word) }, code: null }
}

/** Every life that some order of the requests leads to, where each ended as it did. */
function ordersOf(life: Life, requests: readonly LedgerRequest[], gate: (of: LedgerRequest) => string | null): Life[] {
  const found = new Map<string, Life>()
  const seen = new Set<string>()
  const walk = (from: Life, left: readonly LedgerRequest[]): void => {
    const place = JSON.stringify([from, left.map(({ key }) => key)])
    if (seen.has(place)) return
    seen.add(place)
    if (left.length === 0) found.set(JSON.stringify(from), from)
    for (const request of left) {
      const { life: to, code } = take(from, request, gate(request))
      const fits = request.end !== null && (request.end.status === 'done' ? null : request.end.code) === code
      const others = left.filter((other) => other !== request)
      if (fits) walk(to, others)
    }
  }
  walk(life, requests)
  return [...found.values()]
}

function issue(ledger: Ledger, request: LedgerRequest, gate: string | null): Issued[] | Violation {
  const name = `issue ${request.key}`
  const priced = ledger.products.find(({ slug }) => slug === request.product)?.monthly != null
  const expected = gate ?? (priced ? null : 'no_price')
  const { end } = request
  const found = end === null ? 'no end' : end.status === 'done' ? null : (end.code ?? end.status)
  if (found !== expected) {
    return { invariant: 'I6', what: `${name} ended with ${found ?? 'done'}, by the rules ${expected ?? 'done'}` }
  }
  if (found !== null) return []
  if (end!.licenses.length !== request.quantity) {
    return { invariant: 'I6', what: `${name} of ${request.quantity} issued ${end!.licenses.length}` }
  }
  const at = ms(request.at)
  const site = request.site?.url ?? null
  const life: Life = { revoked: null, site, since: site === null ? null : at, past: [], told: ['license.issued'] }
  return end!.licenses.map((id, n) => ({
    id,
    account: request.account,
    product: request.product!,
    action: request.actions[0]!,
    index: n + 1,
    issued: at,
    lives: [life],
  }))
}

/** Lives the ledger through, burst by burst. */
export function replay(ledger: Ledger, facts: Facts): Replay {
  const licenses = new Map<string, Issued>()
  const violations: Violation[] = []
  const gate = (request: LedgerRequest): string | null => gateOf(ledger, facts, request)
  const bursts = Map.groupBy(ledger.requests.filter(accepted), ({ burst }) => burst)
  for (const [, requests] of [...bursts].sort(([a], [b]) => a - b)) {
    for (const request of requests.filter(({ what }) => what === 'issue')) {
      const issued = issue(ledger, request, gate(request))
      if (!Array.isArray(issued)) violations.push(issued)
      else for (const one of issued) licenses.set(one.id, one)
    }
    const changes = Map.groupBy(
      requests.filter(({ what }) => what !== 'issue'),
      ({ license }) => license!,
    )
    for (const [id, asked] of changes) {
      const before = licenses.get(id)
      const lives = (before?.lives ?? []).flatMap((life) => ordersOf(life, asked, gate))
      if (before && lives.length > 0) {
        licenses.set(id, { ...before, lives: [...new Map(lives.map((life) => [JSON.stringify(life), life])).values()] })
        continue
      }
      const ends = asked.map(({ key, what, end }) => `${key} ${what} ${end ? (end.code ?? end.status) : 'no end'}`)
      violations.push({ invariant: 'I6', what: `license ${id}: no order explains ${ends.join(', ')}` })
    }
  }
  return { licenses, violations }
}
