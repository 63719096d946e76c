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
import type { Day } from './period.ts'

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
}

/** Days of one product over a run of days within which no price changes. */
export interface UsageSpan {
  readonly productId: string
  /** Both included. */
  readonly from: Day
  readonly to: Day
  /** License-days. */
  readonly days: bigint
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

/**
 * Prices usage: one line per product and price version, rounded once per line. Spans must not cross a price break.
 * Lines come in the order of the products' ids, then of days.
 */
export function rate(usage: readonly UsageSpan[], prices: readonly Price[]): Rated {
  const open = new Map<string, { price: Price; days: bigint; from: Day; to: Day }>()
  for (const span of [...usage].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    if (span.days === 0n) continue
    const price = priceInForce(prices, span.productId, span.from)
    if (!price) return { ok: false, reason: 'no_price', productId: span.productId, day: span.from }
    if (price.model !== 'per_day') {
      return { ok: false, reason: 'model_mismatch', productId: span.productId, day: span.from }
    }
    const known = open.get(price.id)
    if (known) {
      known.days += span.days
      if (span.to > known.to) known.to = span.to
    } else {
      open.set(price.id, { price, days: span.days, from: span.from, to: span.to })
    }
  }
  return { ok: true, lines: [...open.values()].map(perDayLine).sort(byProductThenDay) }
}

function perDayLine(group: { price: Price; days: bigint; from: Day; to: Day }): Line {
  const { price, days } = group
  const exact = multiply(dailyRate(price.monthlyAmount, price.currency), rational(days))
  return {
    productId: price.productId,
    priceId: price.id,
    quantity: days,
    unit: 'days',
    unitRate: dailyRateText(price.monthlyAmount, price.currency),
    amount: roundToMinorUnits(exact, price.currency),
    startsOn: group.from,
    endsOn: group.to,
  }
}

function byProductThenDay(a: Line, b: Line): number {
  if (a.productId !== b.productId) return a.productId < b.productId ? -1 : 1
  return a.startsOn < b.startsOn ? -1 : 1
}
