// From usage to money: rate(usage, prices) gives lines. Pure and exact. The estimate, the draft, the final invoice and
// the recomputation for audit all call it, so that they cannot disagree (domain.md, Rating).
import {
  multiply,
  parseMajorUnits,
  rational,
  roundToMinorUnits,
  toDecimal,
  minorUnitDigits,
  type Currency,
  type Rational,
} from './money.ts'
import { addDays, type Day } from './period.ts'

export interface Price {
  readonly id: string
  readonly productId: string
  /** Null: the list price. */
  readonly accountId: string | null
  readonly currency: Currency
  readonly model: 'per_day' | 'high_water_mark' | 'term'
  /** Major units a month, as a decimal string. */
  readonly monthlyAmount: string
  readonly effectiveFrom: Day
  /** First day it no longer holds. */
  readonly endsOn: Day | null
  /** Whether full days paused are billed like any other. */
  readonly billWhilePaused: boolean
}

/** Days of one product over a run of days within which no price changes. */
export interface UsageSpan {
  readonly productId: string
  /** A day of the run: the first that was used, or one before it. */
  readonly from: Day
  /** License-days: of licenses active at some time of the day. */
  readonly days: bigint
  /** License-days paused from the day's beginning to its end. */
  readonly pausedDays: bigint
}

export interface Line {
  readonly productId: string
  readonly priceId: string
  /** Days. */
  readonly quantity: bigint
  readonly unit: 'days'
  /** The daily rate in major units to six places, for people; never computed with. */
  readonly unitRate: string
  /** Minor units, rounded once. */
  readonly amount: bigint
  readonly startsOn: Day
  readonly endsOn: Day
}

export type Rated =
  | { readonly ok: true; readonly lines: readonly Line[] }
  /** Usage that no price covers: nothing is billed, a person looks (reliability.md, 4). */
  | {
      readonly ok: false
      readonly reason: 'no_price' | 'model_mismatch'
      readonly productId: string
      readonly day: Day
    }

/** Every year has 365 days for the daily rate: monthly price × 12 / 365 (domain.md, per_day). */
const DAYS_PER_YEAR = 365n

/** The exact daily rate in minor units. */
export function dailyRate(monthlyAmount: string, currency: Currency): Rational {
  return multiply(parseMajorUnits(monthlyAmount, currency), rational(12n, DAYS_PER_YEAR))
}

/** The daily rate in major units, six places. */
export function dailyRateText(monthlyAmount: string, currency: Currency): string {
  const minor = dailyRate(monthlyAmount, currency)
  return toDecimal(multiply(minor, rational(1n, 10n ** BigInt(minorUnitDigits(currency)))), 6)
}

/**
 * The price of a product on a day. An own price beats the list whatever their dates, until its `endsOn`; among prices
 * of one kind the one that took effect last holds.
 */
export function priceInForce(prices: readonly Price[], productId: string, day: Day): Price | null {
  const newest = (own: boolean): Price | null => {
    let best: Price | null = null
    for (const price of prices) {
      if (price.productId !== productId || (price.accountId !== null) !== own) continue
      if (price.effectiveFrom > day) continue
      if (best === null || price.effectiveFrom > best.effectiveFrom) best = price
    }
    return best !== null && (best.endsOn === null || day < best.endsOn) ? best : null
  }
  return newest(true) ?? newest(false)
}

/**
 * The days within a period on which some price begins or ends, with the period's first day in front: usage summed
 * between these is all that `rate` needs.
 */
export function priceBreaks(prices: readonly Price[], from: Day, to: Day): Day[] {
  const breaks = new Set([from])
  for (const price of prices) {
    for (const day of [price.effectiveFrom, price.endsOn]) {
      if (day !== null && day > from && day <= to) breaks.add(day)
    }
  }
  return [...breaks].sort()
}

export interface ProductDays {
  readonly productId: string
  /** Both included. */
  readonly from: Day
  readonly to: Day
}

/** The days of a period on which days paused whole are billed like any other, product by product. */
export function billedPauses(prices: readonly Price[], from: Day, to: Day): ProductDays[] {
  const products = new Set(prices.filter((price) => price.billWhilePaused).map((price) => price.productId))
  const breaks = priceBreaks(prices, from, to)
  return [...products].flatMap((productId) =>
    breaks.flatMap((first, nth): ProductDays[] => {
      if (!priceInForce(prices, productId, first)?.billWhilePaused) return []
      const next = breaks[nth + 1]
      return [{ productId, from: first, to: next === undefined ? to : addDays(next, -1) }]
    }),
  )
}

export interface RatedPeriod {
  /** Both included; from the account's first billed day on. */
  readonly first: Day
  readonly last: Day
}

/**
 * Prices usage: one line per product and price version, rounded once per line. Spans must not cross a price break. A
 * line's dates are the days of the period on which its price is in force. Lines come in the order of the products' ids,
 * then of days.
 */
export function rate(usage: readonly UsageSpan[], prices: readonly Price[], period: RatedPeriod): Rated {
  const open = new Map<string, { price: Price; days: bigint }>()
  for (const span of [...usage].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    const { productId, from: day } = span
    const price = priceInForce(prices, productId, day)
    // Days that were paused whole need no price, as long as none bills them.
    const days = span.days + (price?.billWhilePaused ? span.pausedDays : 0n)
    if (days === 0n) continue
    if (!price) return { ok: false, reason: 'no_price', productId, day }
    if (price.model !== 'per_day') return { ok: false, reason: 'model_mismatch', productId, day }
    open.set(price.id, { price, days: days + (open.get(price.id)?.days ?? 0n) })
  }
  const lines = [...open.values()].map(({ price, days }) => perDayLine(price, days, inForce(price, prices, period)))
  return { ok: true, lines: lines.sort(byProductThenDay) }
}

/** From the first to the last day of a period on which a price is the one in force. */
function inForce(price: Price, prices: readonly Price[], { first, last }: RatedPeriod): RatedPeriod {
  const breaks = priceBreaks(
    prices.filter(({ productId }) => productId === price.productId),
    first,
    last,
  )
  const held = breaks.flatMap((day, nth) => (priceInForce(prices, price.productId, day)?.id === price.id ? [nth] : []))
  const next = breaks[held.at(-1)! + 1]
  return { first: breaks[held[0]!]!, last: next === undefined ? last : addDays(next, -1) }
}

function perDayLine(price: Price, days: bigint, dates: RatedPeriod): Line {
  const exact = multiply(dailyRate(price.monthlyAmount, price.currency), rational(days))
  return {
    productId: price.productId,
    priceId: price.id,
    quantity: days,
    unit: 'days',
    unitRate: dailyRateText(price.monthlyAmount, price.currency),
    amount: roundToMinorUnits(exact, price.currency),
    startsOn: dates.first,
    endsOn: dates.last,
  }
}

function byProductThenDay(a: Line, b: Line): number {
  if (a.productId !== b.productId) return a.productId < b.productId ? -1 : 1
  return a.startsOn < b.startsOn ? -1 : 1
}
