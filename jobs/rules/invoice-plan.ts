// Decisions about a draft that is about to become final. Pure.
import type { Currency } from './money.ts'
import { addDays, type Day } from './period.ts'

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

export const dueOn = (issuedOn: Day, netDays: number): Day => addDays(issuedOn, netDays)

/** PD-000042: digits are padded for sorting, and grow when they must. */
export const invoiceNumber = (series: string, sequence: bigint): string =>
  `${series}-${sequence.toString().padStart(6, '0')}`

/**
 * Whether the second count of a month agrees with the usage days it was drafted from, product by product.
 * @returns the products that differ
 */
export function countsDiffer(first: ReadonlyMap<string, bigint>, second: ReadonlyMap<string, bigint>): string[] {
  const products = new Set([...first.keys(), ...second.keys()])
  return [...products].filter((id) => (first.get(id) ?? 0n) !== (second.get(id) ?? 0n)).sort()
}
