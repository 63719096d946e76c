// Local days, found by asking Intl what date it is at one instant after another. Shares nothing with the product.
import type { Day, Instant, Month } from './history.ts'

const HOUR = 3_600_000
const QUARTER = 900_000

const formats = new Map<string, Intl.DateTimeFormat>()
/** The date on the wall. */
export function dateAt(at: Instant, zone: string): Day {
  let format = formats.get(zone)
  if (!format) {
    // Sweden writes dates as ISO 8601 does.
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' })
    formats.set(zone, format)
  }
  return format.format(at)
}

export const utcMidnight = (day: Day): Instant => Date.parse(`${day}T00:00:00Z`)
export const dayPlus = (day: Day, days: number): Day =>
  new Date(utcMidnight(day) + days * 24 * HOUR).toISOString().slice(0, 10)

export function monthPlus(month: Month, months: number): Month {
  const [year, nth] = month.split('-').map(Number) as [number, number]
  return new Date(Date.UTC(year, nth - 1 + months, 1)).toISOString().slice(0, 7)
}

export function daysOfMonth(month: Month): Day[] {
  const days: Day[] = []
  for (let day = `${month}-01`; day.startsWith(month); day = dayPlus(day, 1)) days.push(day)
  return days
}

/** The first instant after `before` that bears a date, where `before` does not bear it and `after` does. */
function firstBetween(before: Instant, after: Instant, day: Day, zone: string): Instant {
  let [low, high] = [before, after]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (dateAt(middle, zone) === day) high = middle
    else low = middle
  }
  return high
}

/**
 * When a local day begins: the first instant that bears its date, whether or not that is midnight, and even where the
 * date before it returns afterwards.
 */
export function startOf(day: Day, zone: string): Instant {
  // No zone is more than 14 hours ahead, nor more than 12 behind; local midnights fall on quarters of an hour.
  for (let at = utcMidnight(day) - 15 * HOUR; at < utcMidnight(day) + 15 * HOUR; at += QUARTER) {
    if (dateAt(at, zone) === day) return firstBetween(at - QUARTER, at, day, zone)
  }
  throw new Error(`there is no ${day} in ${zone}`)
}

/** Wrong on purpose: a day begins where its date begins for the last time. */
export function lastStartOf(day: Day, zone: string): Instant {
  for (let at = startOf(day, zone) + 12 * HOUR; ; at -= 60_000) {
    if (dateAt(at, zone) !== day) return firstBetween(at, at + 60_000, day, zone)
  }
}

/** Wrong on purpose: every day has 24 hours. */
export const startBy24Hours = (day: Day, zone: string): Instant => startOf(dayPlus(day, 1), zone) - 24 * HOUR

const known = new Map<string, Instant>()
/** Days are asked for again and again. */
export function remembered(find: (day: Day, zone: string) => Instant): typeof find {
  return (day, zone) => {
    const key = `${find.name} ${day} ${zone}`
    let at = known.get(key)
    if (at === undefined) {
      at = find(day, zone)
      known.set(key, at)
    }
    return at
  }
}
