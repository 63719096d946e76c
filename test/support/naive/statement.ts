// What an account's months come to, counted day by day and license by license. Plain, slow, and without a line of the
// product: it reads domain.md a second time.
import { activations, touches, type Interval } from './activations.ts'
import { dayPlus, daysOfMonth } from './calendar.ts'
import type { Day, History, License, Month, Price } from './history.ts'
import { LAW, type Law } from './law.ts'
import { amountOf, rateText } from './money.ts'

/** Facts about days, lines and invoices in words, by what they are about. Two of them are compared key by key. */
export type Statement = Map<string, string>

export const words = {
  usage: (day: Day, product: string): string => `${day} usage of ${product}`,
  recount: (day: Day, product: string): string => `${day} usage of ${product}, recounted`,
  days: (days: number, paused: number): string => `${days} days, ${paused} paused`,
  line: (month: Month, product: string, price: string): string => `${month} line of ${product} at price ${price}`,
  amount: (days: number, rate: string, amount: bigint): string => `${days} days at ${rate}: ${amount}`,
  invoice: (month: Month): string => `${month} invoice`,
  total: (total: bigint, parked: boolean): string => `total ${total}${parked ? ', parked' : ''}`,
}

interface Life {
  readonly license: License
  readonly activations: readonly Interval[]
}

/** The price in force: an own one, else one of the list; of one kind the one that took effect last, unless ended. */
function priceOn(history: History, product: string, day: Day, law: Law): Price | null {
  const hasEnded = ({ endsOn }: Price): boolean =>
    endsOn !== null && (law.endsOnIsExcluded ? endsOn <= day : endsOn < day)
  const begun = history.prices.filter(
    (price) =>
      price.product === product &&
      price.from <= day &&
      (price.currency === history.currency || !law.otherCurrenciesAreOthers),
  )
  const lastOf = (own: boolean): Price | null => {
    const kind = begun.filter((price) => price.own === own && (law.endedPriceStaysEnded || !hasEnded(price)))
    const last = kind.reduce<Price | null>((a, b) => (a === null || b.from > a.from ? b : a), null)
    return last !== null && !hasEnded(last) ? last : null
  }
  if (!law.listIsAskedWhenOwnHasEnded && begun.some(({ own }) => own)) return lastOf(true)
  return law.ownPriceBeatsList ? (lastOf(true) ?? lastOf(false)) : (lastOf(false) ?? lastOf(true))
}

/** Licenses of a product that were active at some time of a day, and those that were there but paused all day. */
function countDay(lives: readonly Life[], day: Day, zone: string, law: Law): { days: number; paused: number } {
  const start = law.startOfDay(day, zone)
  const end = law.startOfDay(dayPlus(day, 1), zone)
  let [days, paused] = [0, 0]
  for (const { license, activations } of lives) {
    const isThere = license.issued < end && (license.revoked === null || license.revoked >= start)
    if (activations.some((activation) => touches(activation, start, end, law))) days += 1
    else if (isThere) paused += 1
  }
  return { days, paused }
}

interface Line {
  readonly product: string
  readonly price: Price
  days: number
}

/** The lines of a month, and whether some day of it had no price. */
function rateMonth(history: History, month: Month, lives: ReadonlyMap<string, Life[]>, law: Law, told: Statement) {
  const lines = new Map<string, Line>()
  let unpriced = false
  for (const day of daysOfMonth(month)) {
    if (day < history.billFrom && law.nothingBeforeBillFrom) continue
    for (const product of history.products) {
      const { days, paused } = countDay(lives.get(product) ?? [], day, history.zone, law)
      if (days + paused === 0) continue
      told.set(words.usage(day, product), words.days(days, paused))
      told.set(words.recount(day, product), words.days(days, paused))
      const price = priceOn(history, product, day, law)
      const billsPauses = !law.pausedDaysCountOnlyIfPriceSaysSo || price?.billWhilePaused === true
      const billed = days + (billsPauses ? paused : 0)
      if (billed === 0) continue
      if (!price) {
        unpriced = true
        continue
      }
      const key = law.priceChangeSplitsLine ? `${product} ${history.prices.indexOf(price)}` : product
      const line = lines.get(key) ?? { product, price, days: 0 }
      line.days += billed
      lines.set(key, line)
    }
  }
  return { lines: [...lines.values()], unpriced }
}

/** The whole truth about a history. */
export function statementOf(history: History, law: Law = LAW): Statement {
  const told: Statement = new Map()
  const lives = new Map<string, Life[]>()
  for (const [n, license] of history.licenses.entries()) {
    const holds = history.holds.filter(({ members }) => members.includes(n))
    const life = { license, activations: activations(license, holds, law) }
    lives.set(license.product, [...(lives.get(license.product) ?? []), life])
  }
  for (const month of history.months) {
    const { lines, unpriced } = rateMonth(history, month, lives, law, told)
    if (unpriced && law.unpricedDaysPark) {
      told.set(words.invoice(month), words.total(0n, true))
      continue
    }
    if (lines.length === 0) continue
    let total = 0n
    for (const { product, price, days } of lines) {
      const amount = amountOf(price.monthly, days, history.currency, law)
      total += amount
      const key = words.line(month, product, String(history.prices.indexOf(price)))
      told.set(key, words.amount(days, rateText(price.monthly), amount))
    }
    told.set(words.invoice(month), words.total(total, false))
  }
  return told
}

/** Where two statements differ, in words. */
export function differences(expected: Statement, found: Statement): string[] {
  return [...new Set([...expected.keys(), ...found.keys()])]
    .filter((key) => expected.get(key) !== found.get(key))
    .sort()
    .map((key) => `${key}: naive ${expected.get(key) ?? 'nothing'} | found ${found.get(key) ?? 'nothing'}`)
}
