import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addDays,
  addMonths,
  dayOf,
  daysBetween,
  daysOfMonth,
  daySpan,
  finalizeAt,
  firstDay,
  isDay,
  isTimeZone,
  lastDay,
  lastEndedDay,
  monthOf,
  startOfDay,
} from '../../../jobs/rules/period.ts'

const HOUR = 3_600_000
const at = (text: string): Date => new Date(text)

/** Zones with every trait that has ever broken a calendar. */
const ZONES = [
  'UTC',
  'America/New_York',
  'America/Los_Angeles',
  'Europe/Berlin',
  'Europe/London',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Sao_Paulo',
  'America/Asuncion',
  'America/Havana',
  'Atlantic/Azores',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Pacific/Pago_Pago',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'America/St_Johns',
  'Pacific/Chatham',
  'Antarctica/Troll',
  'Africa/Casablanca',
]

describe('months and days', () => {
  it.each([
    ['2026-01', '2026-01-31', 31],
    ['2026-02', '2026-02-28', 28],
    ['2028-02', '2028-02-29', 29], // 2028 = 4 × 507
    ['2000-02', '2000-02-29', 29], // divisible by 400
    ['2100-02', '2100-02-28', 28], // divisible by 100 and not by 400
    ['2026-04', '2026-04-30', 30],
    ['2026-12', '2026-12-31', 31],
  ])('%s ends on %s and has %i days', (month, last, days) => {
    expect(firstDay(month)).toBe(`${month}-01`)
    expect(lastDay(month)).toBe(last)
    const all = daysOfMonth(month)
    expect(all).toHaveLength(days)
    expect(all[0]).toBe(`${month}-01`)
    expect(all.at(-1)).toBe(last)
    expect(new Set(all.map(monthOf))).toEqual(new Set([month]))
  })

  it('a month begun in the middle has the days from there on, and one begun before it has all', () => {
    expect(daysOfMonth('2026-02', '2026-02-26')).toEqual(['2026-02-26', '2026-02-27', '2026-02-28'])
    expect(daysOfMonth('2026-02', '2026-02-28')).toEqual(['2026-02-28'])
    expect(daysOfMonth('2026-02', '2026-03-01')).toEqual([])
    expect(daysOfMonth('2026-02', '2025-12-31')).toHaveLength(28)
  })

  it('days and months are counted over the ends of months and years', () => {
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01')
    expect(addDays('2028-02-28', 1)).toBe('2028-02-29')
    expect(addDays('2028-03-01', -1)).toBe('2028-02-29')
    expect(addDays('2028-02-29', 365)).toBe('2029-02-28')
    expect(addMonths('2026-12', 1)).toBe('2027-01')
    expect(addMonths('2026-01', -1)).toBe('2025-12')
    expect(addMonths('2026-01', 14)).toBe('2027-03')
  })

  it.each([
    ['2026-03-01', '2026-03-01', 1],
    ['2026-03-11', '2026-03-31', 21], // 31 − 11 + 1
    ['2028-02-01', '2028-03-01', 30], // 29 + 1
    ['2026-01-01', '2026-12-31', 365],
    ['2026-03-02', '2026-03-01', 0],
    ['2026-03-03', '2026-03-01', -1],
  ])('from %s to %s, both included, are %i days', (from, to, days) => {
    expect(daysBetween(from, to)).toBe(days)
  })

  it('only a real calendar day is a day', () => {
    for (const day of ['2026-02-28', '2028-02-29', '0001-01-01', '9999-12-31']) expect(isDay(day), day).toBe(true)
    for (const text of [
      '',
      '2026-02-29',
      '2026-2-3',
      '2026-13-01',
      '2026-00-10',
      '2026-04-31',
      '20260401',
      '2026-04-01T00:00',
      ' 2026-04-01',
      '2026-04-01\n',
      '٢٠٢٦-٠٤-٠١',
    ])
      expect(isDay(text), JSON.stringify(text)).toBe(false)
  })

  it('only an IANA name is a time zone', () => {
    const known = [...ZONES, 'Etc/GMT+5', 'America/Argentina/Buenos_Aires']
    for (const zone of known) expect(isTimeZone(zone), zone).toBe(true)
    for (const text of [
      '',
      'Mars/Olympus',
      '+01:00',
      '-0500',
      'Europe/Berlin ',
      'Europe//Berlin',
      '/Berlin',
      '../UTC',
      "UTC'; DROP TABLE accounts; --",
      '2026-01-01[UTC]',
      'Europe/Berlin\n',
    ])
      expect(isTimeZone(text), JSON.stringify(text)).toBe(false)
  })
})

describe('a local day', () => {
  it.each([
    // zone, day, begins, ends, hours
    ['UTC', '2026-11-30', '2026-11-30T00:00Z', '2026-12-01T00:00Z', 24],
    ['Asia/Kolkata', '2026-03-01', '2026-02-28T18:30Z', '2026-03-01T18:30Z', 24], // UTC+5:30
    ['Asia/Kathmandu', '2026-03-01', '2026-02-28T18:15Z', '2026-03-01T18:15Z', 24], // UTC+5:45
    ['America/St_Johns', '2026-01-15', '2026-01-15T03:30Z', '2026-01-16T03:30Z', 24], // UTC−3:30
    ['Pacific/Kiritimati', '2026-01-15', '2026-01-14T10:00Z', '2026-01-15T10:00Z', 24], // UTC+14
    ['Pacific/Pago_Pago', '2026-01-15', '2026-01-15T11:00Z', '2026-01-16T11:00Z', 24], // UTC−11
    // Clocks go forward: an hour less.
    ['America/New_York', '2026-03-08', '2026-03-08T05:00Z', '2026-03-09T04:00Z', 23],
    ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00Z', '2026-03-29T22:00Z', 23],
    ['America/St_Johns', '2026-03-08', '2026-03-08T03:30Z', '2026-03-09T02:30Z', 23],
    ['Australia/Lord_Howe', '2024-10-06', '2024-10-05T13:30Z', '2024-10-06T13:00Z', 23.5], // by half an hour
    ['Antarctica/Troll', '2024-03-31', '2024-03-31T00:00Z', '2024-03-31T22:00Z', 22], // by two hours
    // Clocks go back: an hour more.
    ['America/New_York', '2026-11-01', '2026-11-01T04:00Z', '2026-11-02T05:00Z', 25],
    ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00Z', '2026-10-25T23:00Z', 25],
    ['Australia/Lord_Howe', '2024-04-07', '2024-04-06T13:00Z', '2024-04-07T13:30Z', 24.5],
    // Clocks go back from midnight to 23:00 of the day before: that day is the longer one.
    ['Africa/Cairo', '2023-10-26', '2023-10-25T21:00Z', '2023-10-26T22:00Z', 25],
    ['America/Sao_Paulo', '2018-02-17', '2018-02-17T02:00Z', '2018-02-18T03:00Z', 25],
    // Clocks go forward at midnight: 00:00 does not exist and the day begins at 01:00.
    ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00Z', '2018-11-05T02:00Z', 23],
    ['Africa/Cairo', '2023-04-28', '2023-04-27T22:00Z', '2023-04-28T21:00Z', 23],
    ['Asia/Beirut', '2022-03-27', '2022-03-26T22:00Z', '2022-03-27T21:00Z', 23],
    ['Asia/Beirut', '2023-03-30', '2023-03-29T21:00Z', '2023-03-30T21:00Z', 24], // where they went back and forth
    // Samoa left out December 30, 2011, to the other side of the date line: a day of no length.
    ['Pacific/Apia', '2011-12-29', '2011-12-29T10:00Z', '2011-12-30T10:00Z', 24],
    ['Pacific/Apia', '2011-12-30', '2011-12-30T10:00Z', '2011-12-30T10:00Z', 0],
    ['Pacific/Apia', '2011-12-31', '2011-12-30T10:00Z', '2011-12-31T10:00Z', 24],
  ])('in %s, %s runs from %s to %s: %d hours', (zone, day, begins, ends, hours) => {
    const span = daySpan(day, zone)
    expect(span).toEqual({ day, startsAt: at(begins), endsAt: at(ends) })
    expect(span.endsAt.getTime() - span.startsAt.getTime()).toBe(hours * HOUR)
  })

  it('holds its first millisecond and its last, and no other', () => {
    const day = (instant: string): string => dayOf(at(instant), 'America/New_York')
    expect(day('2026-11-01T03:59:59.999Z')).toBe('2026-10-31')
    expect(day('2026-11-01T04:00:00.000Z')).toBe('2026-11-01')
    expect(day('2026-11-02T04:59:59.999Z')).toBe('2026-11-01')
    expect(day('2026-11-02T05:00:00.000Z')).toBe('2026-11-02')
  })

  it('has ended in the very instant in which the next begins', () => {
    expect(lastEndedDay(at('2026-12-01T04:59:59.999Z'), 'America/New_York')).toBe('2026-11-29')
    expect(lastEndedDay(at('2026-12-01T05:00:00.000Z'), 'America/New_York')).toBe('2026-11-30')
    expect(lastEndedDay(at('2026-12-01T05:00:00.000Z'), 'Pacific/Kiritimati')).toBe('2026-11-30')
  })

  // Until 2011 the clocks of Newfoundland went back at 00:01, to 23:01 of the day before. Midnight struck twice.
  it.each([
    ['2010-11-07T02:29:59.999Z', '2010-11-06'], // 23:59:59.999 NDT
    ['2010-11-07T02:30:00.000Z', '2010-11-07'], // 00:00 NDT, the first instant that bears the date
    ['2010-11-07T02:45:00.000Z', '2010-11-07'], // 23:15 NST: the clock says the 6th again, which has ended
    ['2010-11-07T03:30:00.000Z', '2010-11-07'], // 00:00 NST
  ])('is not entered again once it has ended: in St. John’s, %s belongs to %s', (instant, day) => {
    expect(daySpan('2010-11-07', 'America/St_Johns').startsAt).toEqual(at('2010-11-07T02:30Z'))
    expect(dayOf(at(instant), 'America/St_Johns')).toBe(day)
  })
})

describe('the calendar of every zone', () => {
  const zone = fc.constantFrom(...ZONES)
  const instant = fc.date({ min: at('1995-01-01T00:00Z'), max: at('2040-01-01T00:00Z'), noInvalidDate: true })

  it('puts every instant into exactly one day', () => {
    fc.assert(
      fc.property(zone, instant, (zone, instant) => {
        const day = dayOf(instant, zone)
        const holders = [-2, -1, 0, 1, 2]
          .map((offset) => daySpan(addDays(day, offset), zone))
          .filter(({ startsAt, endsAt }) => startsAt <= instant && instant < endsAt)
        expect(holders.map((holder) => holder.day)).toEqual([day])
      }),
      { numRuns: 2_000 },
    )
  })

  it('lets days follow one another without gap or overlap, each of at most 26 hours', () => {
    fc.assert(
      fc.property(zone, instant, (zone, instant) => {
        const day = dayOf(instant, zone)
        const [span, next] = [daySpan(day, zone), daySpan(addDays(day, 1), zone)]
        expect(span.endsAt).toEqual(next.startsAt)
        const length = span.endsAt.getTime() - span.startsAt.getTime()
        expect(length).toBeGreaterThan(0)
        expect(length).toBeLessThanOrEqual(26 * HOUR)
        expect(dayOf(span.startsAt, zone)).toBe(day)
      }),
      { numRuns: 1_000 },
    )
  })

  it('lets the days of a year add up to the year', () => {
    for (const zone of ZONES) {
      let sum = 0
      for (let month = '2026-01'; month < '2027-01'; month = addMonths(month, 1)) {
        for (const { startsAt, endsAt } of daysOfMonth(month).map((day) => daySpan(day, zone))) {
          sum += endsAt.getTime() - startsAt.getTime()
        }
      }
      expect(sum, zone).toBe(startOfDay('2027-01-01', zone).getTime() - startOfDay('2026-01-01', zone).getTime())
    }
  })
})

describe('the invoice day', () => {
  it.each([
    ['2026-11', 3, 'UTC', '2026-12-03T00:00Z'],
    ['2026-12', 1, 'America/New_York', '2027-01-01T05:00Z'], // the month after is in the next year
    ['2026-02', 8, 'America/New_York', '2026-03-08T05:00Z'], // before the clocks change that day
    ['2026-11', 3, 'Asia/Kathmandu', '2026-12-02T18:15Z'],
    ['2018-10', 4, 'America/Sao_Paulo', '2018-11-04T03:00Z'], // its midnight does not exist
  ])('of %s, the %i. in %s, begins at %s', (month, day, zone, instant) => {
    expect(finalizeAt(month, day, zone)).toEqual(at(instant))
  })
})
