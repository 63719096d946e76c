import { describe, expect, it } from 'vitest'
import type { UsageSpan } from '../../../jobs/rules/rating.ts'
import {
  collectionFor,
  countsDiffer,
  dueOn,
  invoiceNumber,
  isTooSmall,
  minimumCharge,
  type CollectionFacts,
} from '../../../jobs/rules/invoice-plan.ts'

const facts = (changes: Partial<CollectionFacts>): CollectionFacts => ({
  total: 10_000n,
  currency: 'usd',
  autopay: true,
  autopayCap: 400_000n,
  ...changes,
})

describe('how an invoice is collected', () => {
  it.each([
    ['below the cap is charged', { total: 399_999n }, 'charge'], // 3,999.99 below 4,000.00
    ['at the cap is sent', { total: 400_000n }, 'send'],
    ['above the cap is sent', { total: 400_001n }, 'send'],
    ['with no cap is charged, however much', { total: 10n ** 15n, autopayCap: null }, 'charge'],
    ['with a cap of zero is always sent', { total: 50n, autopayCap: 0n }, 'send'],
    ['without autopay is sent', { total: 50n, autopay: false }, 'send'],
    ['without autopay is sent, no cap or not', { autopay: false, autopayCap: null }, 'send'],
    ['of the smallest charge is charged', { total: 50n }, 'charge'], // 0.50
    ['of 10 minor units is worth charging where no minimum is known', { total: 10n, currency: 'kwd' }, 'charge'],
    ['of 50 yen is charged', { total: 50n, currency: 'jpy' }, 'charge'],
    ['of 175.00 forints is charged', { total: 17_500n, currency: 'huf' }, 'charge'],
  ] as const)('a total %s', (_, changes, collection) => {
    expect(collectionFor(facts(changes))).toBe(collection)
  })

  it.each([
    [49n, 'usd', true], // 0.49
    [50n, 'usd', false],
    [0n, 'usd', true],
    [0n, 'kwd', true], // no table entry
    [10n, 'kwd', false],
    [49n, 'jpy', true],
    [50n, 'jpy', false],
    [17_499n, 'huf', true], // 174.99
    [17_500n, 'huf', false],
  ] as const)('a total of %s %s is too small for a card: %s', (total, currency, small) => {
    expect(isTooSmall(total, currency)).toBe(small)
  })

  it('never counts a total of zero as worth a charge', () => {
    for (const currency of ['usd', 'jpy', 'kwd', 'gbp', 'xyz']) expect(minimumCharge(currency)).toBeGreaterThan(0n)
  })
})

describe('when an invoice is due', () => {
  it.each([
    ['2026-12-03', 14, '2026-12-17'],
    ['2026-12-20', 30, '2027-01-19'], // 11 days to the 31st, 19 more
    ['2028-02-15', 14, '2028-02-29'],
    ['2026-02-15', 14, '2026-03-01'],
    ['2026-12-03', 0, '2026-12-03'],
  ])('issued on %s, net %i days: %s', (issued, days, due) => {
    expect(dueOn(issued, days)).toBe(due)
  })
})

describe('the number of an invoice', () => {
  it.each([
    ['PD', 1n, 'PD-000001'],
    ['PD', 42n, 'PD-000042'],
    ['PD', 999_999n, 'PD-999999'],
    ['PD', 1_000_000n, 'PD-1000000'],
    ['NW-2026', 7n, 'NW-2026-000007'],
  ])('in %s, the %s. is %s', (series, sequence, number) => {
    expect(invoiceNumber(series, sequence)).toBe(number)
  })
})

describe('the second count', () => {
  const FIRST = ['2026-03-01']
  const count = (days: Record<string, bigint>, from = '2026-03-01', pausedDays = 0n): UsageSpan[] =>
    Object.entries(days).map(([productId, days]) => ({ productId, from, to: '2026-03-31', days, pausedDays }))

  it('agrees when each product has the same days', () => {
    expect(countsDiffer(count({ a: 31n, b: 4n }), count({ b: 4n, a: 31n }), FIRST)).toEqual([])
    expect(countsDiffer(count({}), count({}), FIRST)).toEqual([])
  })

  it('agrees on a product without days, whether or not it is listed', () => {
    expect(countsDiffer(count({ a: 31n, b: 0n }), count({ a: 31n }), FIRST)).toEqual([])
  })

  it('names each product that differs, also one that only one count knows, in order', () => {
    const [first, second] = [count({ d: 1n, b: 30n, c: 5n }), count({ b: 31n, c: 5n, a: 2n })]
    expect(countsDiffer(first, second, FIRST)).toEqual(['a', 'b', 'd'])
  })

  it('is not satisfied by a sum that agrees', () => {
    expect(countsDiffer(count({ a: 10n, b: 20n }), count({ a: 20n, b: 10n }), FIRST)).toEqual(['a', 'b'])
  })

  it('is not satisfied by days that moved across a price break, nor by paused days that differ', () => {
    const breaks = ['2026-03-01', '2026-03-11']
    const early = [...count({ a: 10n }), ...count({ a: 20n }, '2026-03-11')]
    const late = [...count({ a: 11n }), ...count({ a: 19n }, '2026-03-11')]
    expect(countsDiffer(early, late, breaks)).toEqual(['a'])
    expect(countsDiffer(early, late, FIRST)).toEqual([])
    expect(countsDiffer(count({ a: 10n }, '2026-03-01', 3n), count({ a: 10n }, '2026-03-01', 2n), FIRST)).toEqual(['a'])
  })

  it('takes a span of days within a break for the break itself', () => {
    expect(
      countsDiffer(count({ a: 10n }, '2026-03-12'), count({ a: 10n }, '2026-03-11'), ['2026-03-01', '2026-03-11']),
    ).toEqual([])
  })
})
