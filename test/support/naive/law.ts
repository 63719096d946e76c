// The rules of domain.md, one name each, so that a test can break one and see that it is noticed.
import { lastStartOf, remembered, startBy24Hours, startOf } from './calendar.ts'
import type { Day, Instant } from './history.ts'

export interface Law {
  readonly startOfDay: (day: Day, zone: string) => Instant
  /** The day an activation closes in is one of its days… */
  readonly closingDayCounts: boolean
  /** …even when it closes at 00:00:00. */
  readonly closingAtMidnightCounts: boolean
  readonly touchingHoldsJoin: boolean
  readonly holdFromIssueLeavesItsDay: boolean
  readonly holdFromBeforeIssueLeavesNothing: boolean
  readonly holdUntilRevocationOpens: boolean
  readonly revokingWhilePausedAddsNothing: boolean
  readonly pausedDaysCountOnlyIfPriceSaysSo: boolean
  readonly ownPriceBeatsList: boolean
  readonly endedPriceStaysEnded: boolean
  readonly listIsAskedWhenOwnHasEnded: boolean
  readonly endsOnIsExcluded: boolean
  readonly otherCurrenciesAreOthers: boolean
  readonly unpricedDaysPark: boolean
  readonly priceChangeSplitsLine: boolean
  readonly roundsOncePerLine: boolean
  readonly roundsHalfUp: boolean
  readonly threeDecimalsRoundToTens: boolean
  readonly someCurrenciesHaveNoDecimals: boolean
  readonly yearHas365Days: boolean
  readonly nothingBeforeBillFrom: boolean
}

export const LAW: Law = {
  startOfDay: remembered(startOf),
  closingDayCounts: true,
  closingAtMidnightCounts: true,
  touchingHoldsJoin: true,
  holdFromIssueLeavesItsDay: true,
  holdFromBeforeIssueLeavesNothing: true,
  holdUntilRevocationOpens: true,
  revokingWhilePausedAddsNothing: true,
  pausedDaysCountOnlyIfPriceSaysSo: true,
  ownPriceBeatsList: true,
  endedPriceStaysEnded: true,
  listIsAskedWhenOwnHasEnded: true,
  endsOnIsExcluded: true,
  otherCurrenciesAreOthers: true,
  unpricedDaysPark: true,
  priceChangeSplitsLine: true,
  roundsOncePerLine: true,
  roundsHalfUp: true,
  threeDecimalsRoundToTens: true,
  someCurrenciesHaveNoDecimals: true,
  yearHas365Days: true,
  nothingBeforeBillFrom: true,
}

/** The law with one rule broken, for every way of breaking one. Each must show up as a difference. */
export const BROKEN_LAWS: ReadonlyMap<string, Law> = new Map<string, Law>([
  ...Object.entries(LAW)
    .filter(([, value]) => value === true)
    .map(([name]): [string, Law] => [`not ${name}`, { ...LAW, [name]: false }]),
  ['days are UTC days', { ...LAW, startOfDay: (day) => LAW.startOfDay(day, 'UTC') }],
  ['days have 24 hours', { ...LAW, startOfDay: remembered(startBy24Hours) }],
  ['a date that returns goes on', { ...LAW, startOfDay: remembered(lastStartOf) }],
])
