// Days and months in an account's own time zone. The only source of zone rules: SQL is handed the instants computed
// here (domain.md, Time). Periods are half-open: a day runs from its start to the start of the next.
import { Temporal } from 'temporal-polyfill'

/** A calendar day, `YYYY-MM-DD`. Sorts as text. */
export type Day = string
/** A calendar month, `YYYY-MM`. */
export type Month = string

export interface DaySpan {
  readonly day: Day
  readonly startsAt: Date
  readonly endsAt: Date
}

const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+\-]*(\/[A-Za-z0-9_+\-]+)*$/

/** Whether a name is an IANA time zone this system knows. */
export function isTimeZone(zone: string): boolean {
  if (!ZONE_NAME.test(zone)) return false
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone)
    return true
  } catch {
    return false
  }
}

/** Whether a text is a real calendar day. */
export function isDay(text: string): boolean {
  // There is no year 0, and PostgreSQL takes none.
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || text < '0001') return false
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' }).toString() === text
  } catch {
    return false
  }
}

/** The instant a local day begins: midnight, or, where that does not exist, the first instant that bears its date. */
export function startOfDay(day: Day, zone: string): Date {
  return new Date(Temporal.PlainDate.from(day).toZonedDateTime(zone).epochMilliseconds)
}

/** The instants between which a local day lies. */
export function daySpan(day: Day, zone: string): DaySpan {
  return { day, startsAt: startOfDay(day, zone), endsAt: startOfDay(addDays(day, 1), zone) }
}

/** The local day an instant falls on. */
export function dayOf(instant: Date, zone: string): Day {
  const day = Temporal.Instant.fromEpochMilliseconds(instant.getTime())
    .toZonedDateTimeISO(zone)
    .toPlainDate()
    .toString()
  // Where clocks go back over midnight a date returns after the next has begun; every instant belongs to one day only.
  const next = addDays(day, 1)
  return instant >= startOfDay(next, zone) ? next : day
}

/** The last local day that has ended at an instant. A day that ends in that very instant has ended. */
export const lastEndedDay = (instant: Date, zone: string): Day => addDays(dayOf(instant, zone), -1)

export function addDays(day: Day, days: number): Day {
  return Temporal.PlainDate.from(day).add({ days }).toString()
}

/** How many days lie from one day to another, both included; 0 or less when `to` comes first. */
export function daysBetween(from: Day, to: Day): number {
  return Temporal.PlainDate.from(from).until(Temporal.PlainDate.from(to), { largestUnit: 'days' }).days + 1
}

export const monthOf = (day: Day): Month => day.slice(0, 7)
export const firstDay = (month: Month): Day => `${month}-01`
export const lastDay = (month: Month): Day => addDays(firstDay(addMonths(month, 1)), -1)

export function addMonths(month: Month, months: number): Month {
  return Temporal.PlainYearMonth.from(month).add({ months }).toString()
}

/** Every day from one to another, both included. */
export function daysFrom(first: Day, last: Day): Day[] {
  const days: Day[] = []
  for (let day = first; day <= last; day = addDays(day, 1)) days.push(day)
  return days
}

/** Every day of a month, from `from` on when the account began within it. */
export function daysOfMonth(month: Month, from: Day = firstDay(month)): Day[] {
  return daysFrom(from > firstDay(month) ? from : firstDay(month), lastDay(month))
}

/**
 * When the draft of a month is finalized: the start of the account's invoice day in the month after it.
 * @param invoiceDay 1 to 8
 */
export function finalizeAt(month: Month, invoiceDay: number, zone: string): Date {
  return startOfDay(`${addMonths(month, 1)}-${String(invoiceDay).padStart(2, '0')}`, zone)
}
