import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addDays, daysBetween } from '../../../jobs/rules/period.ts'
import {
  dailyRateText,
  priceBreaks,
  priceInForce,
  rate,
  type Line,
  type Price,
  type UsageSpan,
} from '../../../jobs/rules/rating.ts'

function price(monthlyAmount: string, changes: Partial<Price> = {}): Price {
  return {
    id: 'list',
    productId: 'backup',
    accountId: null,
    currency: 'usd',
    model: 'per_day',
    monthlyAmount,
    effectiveFrom: '2020-01-01',
    endsOn: null,
    billWhilePaused: false,
    ...changes,
  }
}

const MARCH = { first: '2026-03-01', last: '2026-03-31' }
/** @param _to for the reader: a span ends before the next price break */
const used = (days: number, from = MARCH.first, _to = MARCH.last, productId = 'backup'): UsageSpan => {
  return { productId, from, days: BigInt(days), pausedDays: 0n }
}

function linesOf(usage: readonly UsageSpan[], prices: readonly Price[]): readonly Line[] {
  const rated = rate(usage, prices, MARCH)
  if (!rated.ok) throw new Error(`not rated: ${rated.reason}`)
  return rated.lines
}

const amountsOf = (usage: readonly UsageSpan[], prices: readonly Price[]): bigint[] =>
  linesOf(usage, prices).map((line) => line.amount)

describe('a line by the day', () => {
  it.each([
    // monthly, currency, days, minor units: monthly × 12 × days / 365
    ['10.00', 'usd', 28, 921n], //   3360.00 / 365 =  9.2055
    ['10.00', 'usd', 29, 953n], //   3480.00 / 365 =  9.5342
    ['10.00', 'usd', 30, 986n], //   3600.00 / 365 =  9.8630
    ['10.00', 'usd', 31, 1019n], //  3720.00 / 365 = 10.1918
    ['10.00', 'usd', 1, 33n], //      120.00 / 365 =  0.3288
    ['10.00', 'usd', 365, 12000n], // a year of days is twelve months
    ['24.95', 'usd', 31, 2543n], //  9281.40 / 365 = 25.4285; with a rate rounded to 0.82 it would be 25.42
    ['0.01', 'usd', 31, 1n], //         3.72 / 365 =  0.0102
    ['0.01', 'usd', 15, 0n], //         1.80 / 365 =  0.0049
    ['10.00', 'usd', 31_000_000, 1019178082n], // 3 720 000 000 / 365 = 10 191 780.8219
    ['1000', 'jpy', 28, 921n], //     336000 / 365 =  920.548
    ['1000', 'jpy', 31, 1019n], //    372000 / 365 = 1019.178
    ['10.000', 'kwd', 28, 9210n], //  3360 / 365 =  9.20548: to 10 minor units 9.210
    ['10.000', 'kwd', 30, 9860n], //  3600 / 365 =  9.86301: 9.860
    ['10.000', 'kwd', 31, 10190n], // 3720 / 365 = 10.19178: 10.190
    // Exact halves. 73 days are a fifth of a year: monthly × 12 / 5 = monthly × 2.4.
    ['10.01875', 'usd', 73, 2405n], //   24.0450: up, where half-even would go down
    ['10.01874', 'usd', 73, 2404n], //   24.044976
    ['10.00625', 'kwd', 73, 24020n], //  24.0150: up to the next ten
    ['10.00624', 'kwd', 73, 24010n], //  24.014976
    ['0.625', 'jpy', 73, 2n], //          1.5
    ['0.00', 'usd', 31, 0n],
  ] as const)('%s %s a month, %i days: %s minor units', (monthly, currency, days, amount) => {
    expect(amountsOf([used(days)], [price(monthly, { currency })])).toEqual([amount])
  })

  it('is rounded once for all its licenses, not once for each', () => {
    // 3 licenses × 28 days × 120 / 365 = 27.6164; three times 9.21 would be 27.63.
    expect(amountsOf([used(84)], [price('10.00')])).toEqual([2762n])
  })

  it('is rounded once for all its spans, not once for each', () => {
    // 14 days are 4.6027, each; two lines would be 9.20.
    const spans = [used(14, '2026-02-01', '2026-02-14'), used(14, '2026-02-15', '2026-02-28')]
    expect(amountsOf(spans, [price('10.00')])).toEqual([921n])
  })

  it('says its days, its first and last day, and its rate to six places', () => {
    expect(linesOf([used(31)], [price('10.00')])).toEqual([
      {
        productId: 'backup',
        priceId: 'list',
        quantity: 31n,
        unit: 'days',
        amount: 1019n,
        unitRate: '0.328767',
        startsOn: '2026-03-01',
        endsOn: '2026-03-31',
      },
    ])
    expect(dailyRateText('24.95', 'usd')).toBe('0.820274') // 299.40 / 365 = 0.8202739…
    expect(dailyRateText('1000', 'jpy')).toBe('32.876712') // 12000 / 365 = 32.8767123…
    expect(dailyRateText('10', 'kwd')).toBe('0.328767')
  })

  it('ends on the last day that was used, whichever span comes last', () => {
    const spans = [used(31, '2026-03-01', '2026-03-31'), used(5, '2026-03-01', '2026-03-05')]
    for (const usage of [spans, spans.toReversed()]) {
      expect(linesOf(usage, [price('10.00')])[0]).toMatchObject({ startsOn: '2026-03-01', endsOn: '2026-03-31' })
    }
  })

  it('is not made of days that were not used', () => {
    expect(linesOf([], [price('10.00')])).toEqual([])
    expect(linesOf([used(0)], [])).toEqual([])
  })

  it('comes by product, and then by day', () => {
    const prices = [
      price('10.00', { id: 'a1', productId: 'a' }),
      price('20.00', { id: 'a2', productId: 'a', effectiveFrom: '2026-03-16' }),
      price('30.00', { id: 'b1', productId: 'b' }),
    ]
    const usage = [
      used(5, '2026-03-01', '2026-03-15', 'b'),
      used(16, '2026-03-16', '2026-03-31', 'a'),
      used(15, '2026-03-01', '2026-03-15', 'a'),
    ]
    expect(linesOf(usage, prices).map((line) => line.priceId)).toEqual(['a1', 'a2', 'b1'])
  })
})

describe('a price that changes within the month', () => {
  it('splits the line by day', () => {
    const prices = [price('10.00', { id: 'old' }), price('12.00', { id: 'new', effectiveFrom: '2026-03-16' })]
    expect(priceBreaks(prices, '2026-03-01', '2026-03-31')).toEqual(['2026-03-01', '2026-03-16'])
    const lines = linesOf([used(15, '2026-03-01', '2026-03-15'), used(16, '2026-03-16', '2026-03-31')], prices)
    expect(lines.map((line) => [line.priceId, line.quantity, line.amount, line.startsOn, line.endsOn])).toEqual([
      ['old', 15n, 493n, '2026-03-01', '2026-03-15'], // 15 × 120 / 365 = 4.9315
      ['new', 16n, 631n, '2026-03-16', '2026-03-31'], // 16 × 144 / 365 = 6.3123
    ])
  })

  it('and changes back makes one line of the days before and after', () => {
    const own = price('5.00', { id: 'own', accountId: 'us', effectiveFrom: '2026-03-11', endsOn: '2026-03-21' })
    const prices = [price('10.00'), own]
    expect(priceBreaks(prices, '2026-03-01', '2026-03-31')).toEqual(['2026-03-01', '2026-03-11', '2026-03-21'])
    const usage = [
      used(10, '2026-03-01', '2026-03-10'),
      used(10, '2026-03-11', '2026-03-20'),
      used(11, '2026-03-21', '2026-03-31'),
    ]
    expect(linesOf(usage, prices).map((line) => [line.priceId, line.quantity, line.amount])).toEqual([
      ['list', 21n, 690n], // 21 × 120 / 365 = 6.9041
      ['own', 10n, 164n], //  10 ×  60 / 365 = 1.6438
    ])
  })

  it('breaks at no day outside the month, nor at its first', () => {
    const prices = [
      price('1', { effectiveFrom: '2026-03-01', endsOn: '2026-04-01' }),
      price('1', { effectiveFrom: '2025-01-01' }),
      price('1', { effectiveFrom: '2026-03-31' }),
      price('1', { effectiveFrom: '2026-03-31' }),
    ]
    expect(priceBreaks(prices, '2026-03-01', '2026-03-31')).toEqual(['2026-03-01', '2026-03-31'])
  })
})

describe('the price in force', () => {
  const list = price('10.00', { id: 'list' })
  const raised = price('11.00', { id: 'raised', effectiveFrom: '2026-03-10' })
  const own = price('7.00', { id: 'own', accountId: 'us', effectiveFrom: '2025-01-01', endsOn: '2026-03-20' })
  const id = (day: string, ...prices: Price[]): string | null => priceInForce(prices, 'backup', day)?.id ?? null

  it('is the one that took effect last, from its day on', () => {
    expect(id('2026-03-09', list, raised)).toBe('list')
    expect(id('2026-03-10', list, raised)).toBe('raised')
    expect(id('2026-03-10', raised, list)).toBe('raised')
  })

  it('is the account’s own even where the list is newer, until the day it ends', () => {
    expect(id('2026-03-19', list, raised, own)).toBe('own')
    expect(id('2026-03-20', list, raised, own)).toBe('raised')
  })

  it('is not an own price that has not begun', () => {
    expect(id('2024-12-31', list, own)).toBe('list')
  })

  it('is not an older own price brought back by the end of a newer one', () => {
    const older = price('6.00', { id: 'older', accountId: 'us', effectiveFrom: '2024-01-01' })
    expect(id('2026-03-21', list, older, own)).toBe('list')
  })

  it('is none before the first, after the last, or for another product', () => {
    expect(id('2019-12-31', list)).toBeNull()
    expect(id('2026-03-20', own)).toBeNull()
    expect(priceInForce([list], 'search', '2026-03-20')).toBeNull()
  })
})

describe('usage that cannot be priced', () => {
  it('bills nothing and names the product and the first day without a price', () => {
    const dear = price('10.00', { effectiveFrom: '2026-03-16' })
    const usage = [used(16, '2026-03-16', '2026-03-31'), used(15, '2026-03-01', '2026-03-15')]
    expect(rate(usage, [dear], MARCH)).toEqual({
      ok: false,
      reason: 'no_price',
      productId: 'backup',
      day: '2026-03-01',
    })
  })

  it('is refused as a whole, though all else has a price', () => {
    const usage = [used(31), used(31, '2026-03-01', '2026-03-31', 'search')]
    expect(rate(usage, [price('10.00')], MARCH)).toMatchObject({ ok: false, reason: 'no_price', productId: 'search' })
  })

  it('is refused where the price is not by the day', () => {
    const peak = price('10.00', { model: 'high_water_mark' })
    expect(rate([used(31)], [peak], MARCH)).toMatchObject({ ok: false, reason: 'model_mismatch', productId: 'backup' })
  })
})

describe('any month', () => {
  const dayOfMarch = fc.nat(30).map((index) => addDays('2026-03-01', index))
  const amount = fc
    .tuple(fc.nat(500), fc.nat(9_999))
    .map(([units, parts]) => `${units}.${String(parts).padStart(4, '0')}`)
  const productId = fc.constantFrom('backup', 'search')
  const currency = fc.constantFrom('usd', 'jpy', 'kwd')

  const change = fc.record({
    productId,
    amount,
    from: dayOfMarch,
    own: fc.boolean(),
    length: fc.option(fc.integer({ min: 1, max: 20 })),
  })

  /** List prices from the beginning, then changes: list or own, with and without an end. */
  const prices = fc
    .tuple(currency, amount, amount, fc.array(change, { maxLength: 5 }))
    .map(([currency, backup, search, changes]) => {
      const unique = new Map(changes.map((change) => [`${change.productId} ${change.own} ${change.from}`, change]))
      return [
        price(backup, { id: 'backup-0', currency }),
        price(search, { id: 'search-0', productId: 'search', currency }),
        ...[...unique.values()].map((change, index) =>
          price(change.amount, {
            id: `change-${index}`,
            productId: change.productId,
            currency,
            effectiveFrom: change.from,
            accountId: change.own ? 'us' : null,
            endsOn: change.own && change.length !== null ? addDays(change.from, change.length) : null,
          }),
        ),
      ]
    })

  /** Whole license-days per local day and product, as usage_days keeps them. */
  const daily = fc
    .array(fc.record({ productId, day: dayOfMarch, days: fc.integer({ min: 0, max: 50 }) }), { maxLength: 40 })
    .map((rows) => rows.map(({ productId, day, days }) => used(days, day, day, productId)))

  /** The same usage, summed between the price breaks: what the database hands over. */
  function summed(usage: readonly UsageSpan[], prices: readonly Price[]): UsageSpan[] {
    const breaks = priceBreaks(prices, '2026-03-01', '2026-03-31')
    const buckets = new Map<string, UsageSpan>()
    for (const span of usage) {
      const key = `${span.productId} ${breaks.filter((day) => day <= span.from).length}`
      const known = buckets.get(key)
      buckets.set(key, {
        productId: span.productId,
        from: known && known.from < span.from ? known.from : span.from,
        days: span.days + (known?.days ?? 0n),
        pausedDays: 0n,
      })
    }
    return [...buckets.values()]
  }

  const billed = (lines: readonly Line[]): [string, bigint, bigint][] =>
    lines.map((line) => [line.priceId, line.quantity, line.amount])

  it('is billed the same, day by day or summed between the price breaks', () => {
    fc.assert(
      fc.property(prices, daily, (prices, usage) => {
        expect(billed(linesOf(usage, prices))).toEqual(billed(linesOf(summed(usage, prices), prices)))
      }),
    )
  })

  it('is billed the same wherever a span is split between the breaks', () => {
    fc.assert(
      fc.property(amount, fc.bigInt({ min: 1n, max: 100_000n }), dayOfMarch, (monthly, days, cut) => {
        fc.pre(cut < '2026-03-31')
        const first = (days * BigInt(daysBetween('2026-03-01', cut))) / 31n
        const whole = { ...used(0), days }
        const halves = [
          { ...whole, days: first },
          { ...whole, from: addDays(cut, 1), days: days - first },
        ]
        expect(amountsOf(halves, [price(monthly)])).toEqual(amountsOf([whole], [price(monthly)]))
      }),
    )
  })

  it('is billed the same in whatever order its usage and prices come', () => {
    const shuffled = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
      fc.shuffledSubarray([...items], { minLength: items.length })
    const orders = fc.tuple(prices, daily).chain(([prices, daily]) => {
      // Spans that begin on one day and end on different ones, too.
      const usage = [...daily, ...summed(daily, prices)]
      return fc.tuple(fc.constant({ prices, usage }), shuffled(prices), shuffled(usage))
    })
    fc.assert(
      fc.property(orders, ([given, prices, usage]) => {
        expect(linesOf(usage, prices)).toEqual(linesOf(given.usage, given.prices))
      }),
    )
  })

  it('bills every day that was used, each at one price, and never less for more days', () => {
    fc.assert(
      fc.property(prices, daily, (prices, usage) => {
        const lines = linesOf(usage, prices)
        const sum = (days: readonly bigint[]): bigint => days.reduce((total, next) => total + next, 0n)
        expect(sum(lines.map((line) => line.quantity))).toBe(sum(usage.map((span) => span.days)))
        expect(new Set(lines.map((line) => line.priceId)).size).toBe(lines.length)
        const more = linesOf(
          usage.map((span) => ({ ...span, days: span.days * 2n })),
          prices,
        )
        expect(sum(more.map((line) => line.amount))).toBeGreaterThanOrEqual(sum(lines.map((line) => line.amount)))
      }),
    )
  })
})
