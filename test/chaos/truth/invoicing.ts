// I2, I3, I4, I7 and I10 on invoices: which are final and since when, their numbers, their sums and states, and that
// none has changed since an earlier look.
import { createHash } from 'node:crypto'
import { dateAt, dayPlus, monthPlus } from '../../support/naive/calendar.ts'
import { LAW } from '../../support/naive/law.ts'
import type { LedgerAccount } from '../workload/ledger.ts'
import { CARD } from '../workload/shapes.ts'
import { iso, type Evidence, type Violation } from './evidence.ts'
import { ms, type Facts, type InvoiceRow, type Queries } from './facts.ts'
import { spanOf } from './counting.ts'

/** Stripe takes no charge below fifty cents; these worlds bill in dollars. */
const STRIPE_MINIMUM = 50

/** What is to become of an invoice once it is final. */
export interface Fate {
  readonly invoice: InvoiceRow
  readonly account: LedgerAccount
  readonly collection: 'charge' | 'send'
  readonly status: 'open' | 'paid'
  /** Paid by a card, settled because it is too small, or left open. */
  readonly by: 'card' | 'too_small' | 'nobody'
  readonly paper: 'invoice' | 'paid_copy' | null
}

export function fateOf(invoice: InvoiceRow, account: LedgerAccount): Fate {
  const { total } = invoice
  const collection = account.autopayCap === null || total < account.autopayCap ? 'charge' : 'send'
  const of = { invoice, account, collection } as const
  if (total < STRIPE_MINIMUM) {
    return { ...of, status: 'paid', by: 'too_small', paper: total === 0 ? null : 'invoice' }
  }
  const pays = collection === 'charge' && account.cards.some((number) => number !== CARD.declines)
  return pays
    ? { ...of, status: 'paid', by: 'card', paper: 'paid_copy' }
    : { ...of, status: 'open', by: 'nobody', paper: 'invoice' }
}

/** Every final invoice of the ledger's accounts, with what is to become of it. */
export function fates({ ledger, facts }: Evidence): Fate[] {
  const accounts = new Map(ledger.accounts.map((account) => [account.id, account]))
  return facts.invoices
    .filter(({ finalized_at, account_id }) => finalized_at !== null && accounts.has(account_id))
    .map((invoice) => fateOf(invoice, accounts.get(invoice.account_id)!))
}

/** Final where its invoice day has begun, and not before; on the terms of its account. */
export function checkFinality({ ledger, facts }: Evidence): Violation[] {
  return facts.invoices.flatMap((invoice): Violation[] => {
    const account = ledger.accounts.find(({ id }) => id === invoice.account_id)
    if (!account) return [{ invariant: 'I2', what: `invoice ${invoice.id} of nobody's account ${invoice.account_id}` }]
    const wrong = (what: string): Violation => ({ invariant: 'I3', what: `invoice ${invoice.id} ${what}` })
    const { settled, clock } = spanOf({ ledger }, account)
    const month = invoice.period_start.slice(0, 7)
    const day = `${monthPlus(month, 1)}-${String(account.invoiceDay).padStart(2, '0')}`
    const from = LAW.startOfDay(day, account.zone)
    const last = dayPlus(`${monthPlus(month, 1)}-01`, -1)
    const words = [invoice.kind, invoice.period_start, invoice.period_end, invoice.currency].join(' ')
    const expected = ['usage', `${month}-01`, last, account.currency].join(' ')
    const of = words === expected ? [] : [wrong(`is ${words}, by the ledger ${expected}`)]
    if (invoice.finalized_at === null) return from <= settled ? [...of, wrong(`is not final since ${day}`)] : of
    const at = ms(invoice.finalized_at)
    const issued = dateAt(at, account.zone)
    const terms = [invoice.issued_on, invoice.due_on].join(' due ')
    const asked = [issued, dayPlus(issued, account.netDays)].join(' due ')
    return [
      ...of,
      ...(at < from || at > clock ? [wrong(`is final since ${iso(at)}, its invoice day is ${day}`)] : []),
      ...(terms === asked ? [] : [wrong(`was issued on ${terms}, by the ledger ${asked}`)]),
    ]
  })
}

/** I2: one live invoice per account, kind and month, and its claim. */
export function checkSingle({ facts }: Evidence): Violation[] {
  const live = facts.invoices.filter(
    ({ id }) => facts.invoice_states.find((state) => state.invoice_id === id)?.status !== 'void',
  )
  const groups = Map.groupBy(live, (one) => [one.account_id, one.kind, one.period_start].join(' '))
  const claims = facts.invoice_claims.map(({ invoice_id }) => invoice_id).sort()
  const ids = live.map(({ id }) => id).sort()
  return [
    ...[...groups]
      .filter(([, invoices]) => invoices.length > 1)
      .map(([key, invoices]) => ({ invariant: 'I2', what: `${invoices.length} live invoices of ${key}` })),
    ...(claims.join() === ids.join() ? [] : [{ invariant: 'I2', what: 'claims and live invoices are not one to one' }]),
  ]
}

/** I3: sums, and a state that follows from the payments. */
export function checkBalances(evidence: Evidence): Violation[] {
  const { facts } = evidence
  const expected = new Map(fates(evidence).map((fate) => [fate.invoice.id, fate]))
  return facts.invoices.flatMap((invoice): Violation[] => {
    const wrong = (what: string): Violation => ({
      invariant: 'I3',
      what: `invoice ${invoice.number ?? invoice.id} ${what}`,
    })
    const lines = facts.invoice_lines.filter(({ invoice_id }) => invoice_id === invoice.id)
    const sum = lines.reduce((total, { amount }) => total + amount, 0)
    const sums = sum + invoice.tax === invoice.total && sum === invoice.subtotal && invoice.tax === 0
    const added = sums ? [] : [wrong(`says ${invoice.total}, its lines ${sum}, its tax ${invoice.tax}`)]
    const state = facts.invoice_states.find(({ invoice_id }) => invoice_id === invoice.id)
    const fate = expected.get(invoice.id)
    if (!fate) return state ? [...added, wrong('is a draft with a state')] : added
    if (!state) return [...added, wrong('has no state')]
    const money = facts.payments
      .filter(({ invoice_id, status }) => invoice_id === invoice.id && status === 'succeeded')
      .reduce((total, { amount }) => total + amount, 0)
    const credited = fate.by === 'too_small' ? invoice.total : 0
    const told = [invoice.collection, state.status, state.paid, state.credited, state.unsent].join(' ')
    const asked = [fate.collection, fate.status, fate.by === 'card' ? invoice.total : 0, credited, null].join(' ')
    return [
      ...added,
      ...(told === asked ? [] : [wrong(`is "${told}", by its account's terms "${asked}"`)]),
      ...(money === state.paid ? [] : [wrong(`is paid ${state.paid}, its payments sum to ${money}`)]),
      ...(invoice.total - state.paid - state.credited < 0 ? [wrong('has a balance below zero')] : []),
      ...((state.paid_at === null) === (state.status !== 'paid') ? [] : [wrong('is paid without an instant')]),
    ]
  })
}

/** I4: numbers from 1 on without gap or repeat, rising with finalization, and the series ready for the next. */
export function checkNumbers({ facts }: Evidence): Violation[] {
  const final = facts.invoices.filter(({ finalized_at }) => finalized_at !== null)
  const violations: Violation[] = []
  const wrong = (what: string): void => void violations.push({ invariant: 'I4', what })
  for (const [series, invoices] of Map.groupBy(final, (invoice) => invoice.series)) {
    const sorted = invoices.toSorted((a, b) => a.sequence! - b.sequence!)
    for (const [n, { sequence, number, finalized_at }] of sorted.entries()) {
      if (sequence !== n + 1) wrong(`${series}: place ${n + 1} has the number ${sequence}`)
      const expected = `${series}-${String(sequence).padStart(6, '0')}`
      if (number !== expected) wrong(`${number} is written so, not ${expected}`)
      const before = sorted[n - 1]
      if (before && ms(before.finalized_at!) > ms(finalized_at!)) wrong(`${before.number} is final after ${number}`)
    }
    const next = facts.number_series.find((one) => one.series === series)?.next
    if (next !== invoices.length + 1) wrong(`${series}: the next number is ${next}, after ${invoices.length} invoices`)
  }
  return violations
}

/** What each final invoice was, by its id: itself and its lines, hashed. */
export type Snapshot = Readonly<Record<string, string>>

export async function takeSnapshot(db: Queries): Promise<Snapshot> {
  const { rows } = await db.query(`
    SELECT i.id::text AS id, to_jsonb(i)::text AS invoice,
           (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.position)::text FROM invoice_lines l
            WHERE l.invoice_id = i.id) AS lines
    FROM invoices i WHERE i.finalized_at IS NOT NULL`)
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex')
  return Object.fromEntries(rows.map(({ id, invoice, lines }) => [id, hash(`${invoice}\n${lines}`)]))
}

/** I7: what was final then is now what it was. */
export function checkUnchanged(earlier: Snapshot, now: Snapshot): Violation[] {
  return Object.entries(earlier)
    .filter(([id, hash]) => now[id] !== hash)
    .map(([id]) => ({ invariant: 'I7', what: `invoice ${id} was final, and ${now[id] ? 'has changed' : 'is gone'}` }))
}

/** What is told of each license, where its rows are a possible life. */
type Told = ReadonlyMap<string, { readonly life: { readonly told: readonly string[] } }>

/** What happens to licenses, invoices and accounts, and must be told. Drafts may be drawn more than once. */
const TOLD = /^(license\.|invoice\.(finalized|paid|mailed|parked)|account\.created)/

/** I10: each change once in the log, at its instant, by somebody. */
export function checkLog(evidence: Evidence, told: Told): Violation[] {
  const { facts } = evidence
  const log = Map.groupBy(facts.audit_entries, ({ subject }) => subject)
  const expected = expectedLog(evidence, told)
  const words = (actions: readonly string[]): string => actions.toSorted().join(', ') || 'nothing'
  // Where the rows of a license are no possible life, that is said already; its log is held against nothing.
  const odd = new Set(facts.licenses.map(({ id }) => id).filter((id) => !told.has(id)))
  const subjects = [...new Set([...expected.keys(), ...log.keys()])].filter((subject) => !odd.has(subject))
  const violations = subjects.flatMap((subject): Violation[] => {
    const actions = (log.get(subject) ?? []).map(({ action }) => action)
    const found = words(actions.filter((action) => TOLD.test(action)))
    const happened = words(expected.get(subject) ?? [])
    if (found === happened) return []
    return [{ invariant: 'I10', what: `the log tells of ${subject}: ${found}; happened: ${happened}` }]
  })
  return [...violations, ...checkInstants(facts)]
}

function expectedLog(evidence: Evidence, told: Told): Map<string, readonly string[]> {
  const expected = new Map<string, readonly string[]>()
  for (const { id } of evidence.ledger.accounts) expected.set(id, ['account.created'])
  for (const [id, { life }] of told) expected.set(id, life.told)
  for (const { invoice, by, paper } of fates(evidence)) {
    const paid = by === 'card' ? ['invoice.paid'] : []
    expected.set(invoice.id, ['invoice.finalized', ...paid, ...(paper === null ? [] : ['invoice.mailed'])])
  }
  return expected
}

/** When it happened is what the log says, who did it is said, and it is told to whom it belongs. */
function checkInstants(facts: Facts): Violation[] {
  const licenses = new Map(facts.licenses.map((row) => [row.id, row]))
  const invoices = new Map(facts.invoices.map((row) => [row.id, row]))
  return facts.audit_entries.flatMap(({ subject, action, at, actor, account_id }): Violation[] => {
    const license = licenses.get(subject)
    const invoice = invoices.get(subject)
    const instants: Record<string, string | null | undefined> = {
      'license.issued': license?.issued_at,
      'license.revoked': license?.revoked_at,
      'invoice.finalized': invoice?.finalized_at,
    }
    const happened = instants[action]
    const wrong = (what: string): Violation[] => [{ invariant: 'I10', what: `${action} of ${subject} ${what}` }]
    if (happened && ms(happened) !== ms(at)) return wrong(`is told at ${at}, and happened at ${happened}`)
    if (actor === '') return wrong('is told of nobody')
    const owner = license?.account_id ?? invoice?.account_id ?? account_id
    return owner === account_id ? [] : wrong(`is told to account ${account_id}, it is ${owner}'s`)
  })
}
