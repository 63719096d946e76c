// Days paused whole: billed where a price says so.
import { expect, it } from 'vitest'
import { rate, type Price, type UsageSpan } from '../../../jobs/rules/rating.ts'

const MARCH = { first: '2026-03-01', last: '2026-03-31' }
const list: Price = {
  id: 'list',
  productId: 'backup',
  accountId: null,
  currency: 'usd',
  model: 'per_day',
  monthlyAmount: '10.00',
  effectiveFrom: '2020-01-01',
  endsOn: null,
  billWhilePaused: false,
}
const billing = { ...list, billWhilePaused: true }
const span = (days: bigint, pausedDays: bigint, from = MARCH.first): UsageSpan => {
  return { productId: 'backup', from, days, pausedDays }
}
const lines = (usage: UsageSpan[], prices: Price[]) => {
  const rated = rate(usage, prices, MARCH)
  return rated.ok ? rated.lines.map((line) => [line.priceId, line.quantity, line.amount]) : rated.reason
}

it('days paused whole are billed where the price says so, and nowhere else', () => {
  // 20 × 120 / 365 = 6.5753; 31 × 120 / 365 = 10.1918
  expect(lines([span(20n, 11n)], [list])).toEqual([['list', 20n, 658n]])
  expect(lines([span(20n, 11n)], [billing])).toEqual([['list', 31n, 1019n]])
})

it('they make no line by themselves, and need no price', () => {
  expect(lines([span(0n, 31n)], [list])).toEqual([])
  expect(lines([span(0n, 31n)], [])).toEqual([])
  expect(lines([span(0n, 31n)], [billing])).toEqual([['list', 31n, 1019n]])
  expect(lines([span(1n, 30n)], [])).toBe('no_price')
})

it('each price version has its own say', () => {
  const later = { ...billing, id: 'later', effectiveFrom: '2026-03-11' }
  // 10 days at a price that does not bill pauses, 21 at one that does: 21 × 120 / 365 = 6.9041
  expect(lines([span(0n, 10n), span(0n, 21n, '2026-03-11')], [list, later])).toEqual([['later', 21n, 690n]])
})
