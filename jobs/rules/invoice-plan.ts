// Decisions about a draft that is about to become final. Pure.
import type { Currency } from './money.ts'
import { addDays, type Day } from './period.ts'
import type { UsageSpan } from './rating.ts'

/** Stripe takes no charge below these, in minor units; currencies left out are not limited here. */
const STRIPE_MINIMUM: Record<Currency, bigint> = {
  usd: 50n,
  eur: 50n,
  gbp: 30n,
  aud: 50n,
  cad: 50n,
  chf: 50n,
  nzd: 50n,
  sgd: 50n,
  brl: 50n,
  jpy: 50n,
  dkk: 250n,
  nok: 300n,
  sek: 300n,
  hkd: 400n,
  mxn: 1000n,
  pln: 200n,
  czk: 1500n,
  huf: 17500n,
  inr: 50n,
}

export type Collection = 'charge' | 'send'

export interface CollectionFacts {
  readonly total: bigint
  readonly currency: Currency
  readonly autopay: boolean
  /** Minor units; null: no cap; 0: always send. */
  readonly autopayCap: bigint | null
}

/** Below the cap the card is charged; at or above it the invoice is sent (domain.md, 5). */
export function collectionFor(facts: CollectionFacts): Collection {
  const belowCap = facts.autopayCap === null || facts.total < facts.autopayCap
  return facts.autopay && belowCap ? 'charge' : 'send'
}

/** Whether a total is too small for any card: it is settled at finalization, neither mirrored nor charged. */
export const isTooSmall = (total: bigint, currency: Currency): boolean => total < minimumCharge(currency)

/** The smallest total, in minor units, that is worth mirroring: below it nothing can be charged. Never below 1. */
export const minimumCharge = (currency: Currency): bigint => STRIPE_MINIMUM[currency] ?? 1n

/** Without an autopay cap of its own an account gets its currency's, in minor units; others have none (api.md). */
const DEFAULT_CAP: Record<Currency, bigint> = { usd: 400_000n }
export const defaultAutopayCap = (currency: Currency): bigint | null => DEFAULT_CAP[currency] ?? null

export const dueOn = (issuedOn: Day, netDays: number): Day => addDays(issuedOn, netDays)

/** PD-000042: digits are padded for sorting, and grow when they must. */
export const invoiceNumber = (series: string, sequence: bigint): string =>
  `${series}-${sequence.toString().padStart(6, '0')}`

/**
 * Whether the second count of a month agrees with the usage days it is drafted from: days and paused days of each
 * product between price breaks.
 * @param breaks the days on which some price begins or ends, the period's first day in front, in order
 * @returns the products that differ
 */
export function countsDiffer(
  first: readonly UsageSpan[],
  second: readonly UsageSpan[],
  breaks: readonly Day[],
): string[] {
  const balance = new Map<string, { productId: string; days: bigint; pausedDays: bigint }>()
  const add = (span: UsageSpan, sign: bigint): void => {
    const key = `${span.productId} ${breaks.findLast((day) => day <= span.from) ?? ''}`
    const sum = balance.get(key) ?? { productId: span.productId, days: 0n, pausedDays: 0n }
    sum.days += sign * span.days
    sum.pausedDays += sign * span.pausedDays
    balance.set(key, sum)
  }
  for (const span of first) add(span, 1n)
  for (const span of second) add(span, -1n)
  const differing = [...balance.values()].filter((sum) => sum.days !== 0n || sum.pausedDays !== 0n)
  return [...new Set(differing.map((sum) => sum.productId))].sort()
}

interface CountedLine {
  readonly productId: string | null
  readonly quantity: bigint
}

/** The products whose days are not the same in two sets of lines, however these split them by price. */
export function daysDiffer(drafted: readonly CountedLine[], rated: readonly CountedLine[]): string[] {
  const balance = new Map<string, bigint>()
  const add = ({ productId, quantity }: CountedLine, sign: bigint): void => {
    if (productId !== null) balance.set(productId, (balance.get(productId) ?? 0n) + sign * quantity)
  }
  for (const line of drafted) add(line, 1n)
  for (const line of rated) add(line, -1n)
  return [...balance].flatMap(([productId, rest]) => (rest === 0n ? [] : [productId])).sort()
}

/** Why a draft is parked whose two counts differ. */
export const recountDiffers = (products: readonly string[]): string =>
  `recount_differs: products ${products.join(', ')}`
