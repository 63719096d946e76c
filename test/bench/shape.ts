// What the bench measures with: how much of it, and when.
import { daySpan, type Day } from '../../jobs/rules/period.ts'

/** So many licenses, in so many accounts. */
export interface Shape {
  readonly name: string
  readonly licenses: number
  readonly accounts: number
}

export interface Shapes {
  readonly full: Shape
  /** A tenth of it, of the same kind. */
  readonly tenth: Shape
  /** As many accounts as `tenth`, with a tenth of its licenses. */
  readonly sparse: Shape
  readonly few: Shape
  /** All licenses of `full` in one account. */
  readonly lone: Shape
  /** Events of an import, the accounts they are in, and how many of one account's alone make the second one. */
  readonly events: number
  readonly importedAccounts: number
  readonly loneEvents: number
}

/** @param divisor 1, or more to see in little that it works */
export function shapesOf(divisor: number): Shapes {
  const size = (name: string, licenses: number, accounts: number): Shape => ({
    name,
    licenses: Math.ceil(licenses / divisor),
    accounts: Math.ceil(accounts / divisor),
  })
  return {
    full: size('full', 1_000_000, 10_000),
    tenth: size('tenth', 100_000, 1_000),
    sparse: size('sparse', 10_000, 1_000),
    few: size('few', 1_000, 10),
    lone: size('lone', 1_000_000, 1),
    events: Math.ceil(1_000_000 / divisor),
    importedAccounts: Math.ceil(10_000 / divisor),
    loneEvents: Math.ceil(200_000 / divisor),
  }
}

/** Half, a quarter, three twentieths and a tenth of the accounts; in October two of them change their clocks. */
export const ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Sydney'] as const

export const MONTH = '2026-10'
export const FIRST: Day = '2026-10-01'
export const LAST: Day = '2026-10-31'
/** The day that is counted over and over; those before it are counted. */
export const COUNTED: Day = '2026-10-16'
/** It has ended in every zone, the day after it in none. */
export const AFTER_COUNTED = '2026-10-17T06:00:00Z'
export const AFTER_MONTH = '2026-11-01T06:00:00Z'

/** The instants of a day in each zone, as a statement takes them: zones, starts, ends. */
export function spansOf(day: Day): [zones: string[], starts: string[], ends: string[]] {
  const spans = ZONES.map((zone) => daySpan(day, zone))
  return [[...ZONES], spans.map((one) => one.startsAt.toISOString()), spans.map((one) => one.endsAt.toISOString())]
}
