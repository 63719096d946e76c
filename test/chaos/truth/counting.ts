// I1, I2, I3 and I12: the days of each account, product and local day, and what its months come to, counted from the
// ledger by the naive implementation, against usage days, counted days, invoices and their lines.
import { dateAt, dayPlus, daysOfMonth, monthPlus } from '../../support/naive/calendar.ts'
import type { Day, History, Month, Price } from '../../support/naive/history.ts'
import { LAW } from '../../support/naive/law.ts'
import { differences, statementOf, words, type Statement } from '../../support/naive/statement.ts'
import type { LedgerAccount } from '../workload/ledger.ts'
import { clockOf, settledUntil, type Evidence, type Violation } from './evidence.ts'
import { ms, type Facts } from './facts.ts'
import type { Issued, Life, Replay } from './lives.ts'

const startOf = LAW.startOfDay
const endOfMonth = (month: Month, zone: string): number => startOf(`${monthPlus(month, 1)}-01`, zone)
const endOfDay = (day: Day, zone: string): number => startOf(dayPlus(day, 1), zone)

/** What the time of an account is made of, by its own opening and the clock. */
export interface Span {
  readonly billFrom: Day
  /** Months that have begun. */
  readonly months: readonly Month[]
  /** All that ended by then must be there; what ended later, up to the clock, may. */
  readonly settled: number
  readonly clock: number
}

export function spanOf({ ledger }: Pick<Evidence, 'ledger'>, { createdAt, zone }: LedgerAccount): Span {
  const clock = clockOf(ledger)
  const billFrom = dateAt(ms(createdAt), zone)
  const months: Month[] = []
  for (let month = billFrom.slice(0, 7); startOf(`${month}-01`, zone) <= clock; month = monthPlus(month, 1)) {
    months.push(month)
  }
  return { billFrom, months, settled: settledUntil(ledger) ?? -Infinity, clock }
}

/** What the ledger says of an account, as the naive implementation reads it. */
function historyOf({ ledger }: Evidence, { licenses }: Replay, account: LedgerAccount): History {
  const { billFrom, months, clock } = spanOf({ ledger }, account)
  const prices = ledger.products.flatMap(({ slug, currency, monthly, from }): Price[] =>
    monthly === null
      ? []
      : [{ product: slug, currency, own: false, monthly, from, endsOn: null, billWhilePaused: false }],
  )
  const mine = [...licenses.values()].filter((issued) => issued.account === account.id)
  return {
    zone: account.zone,
    months,
    now: clock,
    billFrom,
    currency: account.currency,
    products: ledger.products.map(({ slug }) => slug),
    prices,
    licenses: mine.map(({ product, issued, lives }) => ({ product, issued, revoked: lives[0]!.revoked })),
    holds: [],
  }
}

/** The same facts as the database tells them. What it tells twice is put together, and so differs. */
function told(facts: Facts, history: History, account: LedgerAccount): Statement {
  const slugs = new Map(facts.products.map(({ id, slug }) => [id, slug]))
  const priceOf = new Map(facts.prices.map((price) => [price.id, slugs.get(price.product_id)]))
  const statement: Statement = new Map()
  const tell = (key: string, value: string): void => {
    const before = statement.get(key)
    statement.set(key, before === undefined ? value : `${before} and ${value}`)
  }
  for (const row of facts.usage_days.filter(({ account_id }) => account_id === account.id)) {
    tell(words.usage(row.day, slugs.get(row.product_id) ?? '?'), words.days(row.days, row.paused_days))
  }
  for (const invoice of facts.invoices.filter(({ account_id }) => account_id === account.id)) {
    const month = invoice.period_start.slice(0, 7)
    tell(words.invoice(month), words.total(BigInt(invoice.total), invoice.parked_reason !== null))
    for (const line of facts.invoice_lines.filter(({ invoice_id }) => invoice_id === invoice.id)) {
      const product = slugs.get(line.product_id ?? '') ?? '?'
      const price = history.prices.findIndex((one) => one.product === priceOf.get(line.price_id ?? ''))
      const words_ = words.amount(line.quantity, line.unit_rate, BigInt(line.amount))
      tell(words.line(month, product, String(price)), line.unit === 'days' ? words_ : `${words_} (${line.unit})`)
    }
  }
  return statement
}

/** Only what must be there by now, and whatever is there before its time. */
function due(statement: Statement, { settled, clock }: Span, zone: string, expected: boolean): Statement {
  const endsAt = (key: string): number => {
    const [when] = key.split(' ') as [string]
    return when.length === 7 ? endOfMonth(when, zone) : endOfDay(when, zone)
  }
  const kept = [...statement].filter(([key]) => {
    if (key.endsWith(', recounted')) return false
    const end = endsAt(key)
    return end <= settled || (!expected && end > clock)
  })
  return new Map(kept)
}

const invariantOf = (difference: string): string => {
  if (!/^\S+ invoice/.test(difference)) return 'I1'
  return difference.includes('nothing') ? 'I2' : 'I3'
}

export function checkSums(evidence: Evidence, replay: Replay): Violation[] {
  return evidence.ledger.accounts.flatMap((account) => {
    const history = historyOf(evidence, replay, account)
    const span = spanOf(evidence, account)
    const expected = due(statementOf(history), span, account.zone, true)
    const found = due(told(evidence.facts, history, account), span, account.zone, false)
    return differences(expected, found).map((what) => ({
      invariant: invariantOf(what),
      what: `${account.externalId}: ${what}`,
    }))
  })
}

/** Counts beside the days: how many stood where at each day's end, and how many there were at once. */
export function checkCounts(
  { ledger, facts }: Evidence,
  { licenses }: Replay,
  matched: ReadonlyMap<string, { readonly issued: Issued; readonly life: Life }>,
): Violation[] {
  const slugs = new Map(facts.products.map(({ id, slug }) => [id, slug]))
  const zones = new Map(ledger.accounts.map(({ id, zone }) => [id, zone]))
  return facts.usage_days.flatMap((row): Violation[] => {
    const zone = zones.get(row.account_id)
    if (zone === undefined) return [{ invariant: 'I1', what: `usage of nobody's account ${row.account_id}` }]
    const [start, end] = [startOf(row.day, zone), endOfDay(row.day, zone)]
    const mine = [...licenses.values()].filter(
      ({ account, product }) => account === row.account_id && product === slugs.get(row.product_id),
    )
    const lives = mine.map((issued) => ({
      issued: issued.issued,
      ...(matched.get(issued.id)?.life ?? issued.lives[0]!),
    }))
    const atEnd = lives.filter(({ issued, revoked }) => issued < end && (revoked ?? Infinity) >= end)
    const assigned = atEnd.filter((life) => stands(life, end)).length
    const levels = [start, ...lives.map(({ issued }) => issued)]
      .filter((at) => at >= start && at < end)
      .map((at) => lives.filter(({ issued, revoked }) => issued <= at && at < (revoked ?? Infinity)).length)
    const expected = `peak ${Math.max(...levels)}, ${assigned} assigned, ${atEnd.length - assigned} unassigned`
    const found = `peak ${row.peak}, ${row.assigned} assigned, ${row.unassigned} unassigned`
    if (expected === found) return []
    const of = `${row.day} of ${slugs.get(row.product_id)}, account ${row.account_id}`
    const what = `${of}: ${found}, by the ledger ${expected}`
    return [{ invariant: 'I1', what }]
  })
}

/** Whether a license stood on a site when a day ended. */
function stands({ since, past }: Life, end: number): boolean {
  if (since !== null && since < end) return true
  return past.some(({ from, to }) => from < end && to >= end)
}

/** I12: each account's days from its first on, none missing, each as long as the zone says; months closed over all. */
export function checkDays({ ledger, facts }: Evidence): Violation[] {
  return ledger.accounts.flatMap((account) => {
    const { zone, id } = account
    const { billFrom, months, settled, clock } = spanOf({ ledger }, account)
    const violations: Violation[] = []
    const wrong = (what: string): void =>
      void violations.push({ invariant: 'I12', what: `${account.externalId} ${what}` })
    const row = facts.accounts.find((one) => one.id === id)
    if (row && row.bill_from !== billFrom) wrong(`is billed from ${row.bill_from}, opened on ${billFrom}`)
    const counted = new Map(facts.counted_days.filter((day) => day.account_id === id).map((day) => [day.day, day]))
    const days = months.flatMap(daysOfMonth).filter((day) => day >= billFrom)
    for (const day of days.filter((one) => endOfDay(one, zone) <= settled && !counted.has(one))) {
      wrong(`misses ${day}`)
    }
    for (const { day, starts_at, ends_at } of counted.values()) {
      if (day < billFrom || endOfDay(day, zone) > clock) wrong(`has counted ${day}, which is not to be counted`)
      const told = [ms(starts_at), ms(ends_at)].join(' to ')
      const expected = [startOf(day, zone), endOfDay(day, zone)].join(' to ')
      if (told !== expected) wrong(`counted ${day} from ${told}, by the zone ${expected}`)
    }
    const closed = facts.closed_months.filter((one) => one.account_id === id).map(({ month }) => month.slice(0, 7))
    for (const month of months.filter((one) => endOfMonth(one, zone) <= settled && !closed.includes(one))) {
      wrong(`has not closed ${month}`)
    }
    for (const month of closed) {
      if (!months.includes(month) || endOfMonth(month, zone) > clock) wrong(`closed ${month}, which has not ended`)
      const missing = daysOfMonth(month).filter((day) => day >= billFrom && !counted.has(day))
      if (missing.length > 0) wrong(`closed ${month} over ${missing.join(', ')}`)
    }
    return violations
  })
}
