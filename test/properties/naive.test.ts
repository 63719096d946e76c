// The naive count is held against what was worked out by hand: two implementations that agree could both be wrong.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { startOf } from '../support/naive/calendar.ts'
import type { History, Hold } from '../support/naive/history.ts'
import { LAW } from '../support/naive/law.ts'
import { amountOf, rateText } from '../support/naive/money.ts'
import { statementOf } from '../support/naive/statement.ts'

const FOLDER = new URL('../support/naive/', import.meta.url)

it('the naive count imports nothing but itself', () => {
  const imports = readdirSync(FOLDER).flatMap((name) =>
    [...readFileSync(new URL(name, FOLDER), 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, to]) => to!),
  )
  expect(imports.length).toBeGreaterThan(5)
  expect(imports.filter((to) => !/^\.\/[a-z]+\.ts$/.test(to))).toEqual([])
})

describe('a local day begins', () => {
  it.each([
    ['UTC', '2028-02-29', '2028-02-29T00:00:00Z', 'at midnight'],
    ['Asia/Kathmandu', '2026-03-01', '2026-02-28T18:15:00Z', 'at midnight, 5:45 ahead'],
    ['America/Santiago', '2026-09-06', '2026-09-06T04:00:00Z', 'at 01:00, for there is no midnight'],
    ['Asia/Karachi', '2008-06-01', '2008-05-31T19:00:00Z', 'at 01:00 of the first of a month'],
    ['Asia/Almaty', '2024-03-01', '2024-02-29T19:00:00Z', 'after February 29 had its last hour twice'],
    ['America/St_Johns', '2009-11-01', '2009-11-01T02:30:00Z', 'and ends October, though October 31 returns'],
    ['America/St_Johns', '2009-11-02', '2009-11-02T03:30:00Z', 'at midnight again'],
  ])('%s %s: %s, %s', (zone, day, instant) => {
    expect(new Date(startOf(day, zone))).toEqual(new Date(instant))
  })
})

describe('an amount', () => {
  it.each([
    ['10', 28, 'usd', 921n, '0.328767'],
    ['10', 30, 'usd', 986n, '0.328767'],
    ['10', 31, 'usd', 1019n, '0.328767'],
    ['24.95', 31, 'usd', 2543n, '0.820274'],
    ['0.45625', 1, 'usd', 2n, '0.015000'],
    ['0.45625', 3, 'usd', 5n, '0.015000'],
    ['45.625', 1, 'jpy', 2n, '1.500000'],
    ['0.45625', 1, 'kwd', 20n, '0.015000'],
    ['10', 31, 'kwd', 10190n, '0.328767'],
    ['0', 31, 'eur', 0n, '0.000000'],
  ])('of %s a month, %i days, in %s', (monthly, days, currency, amount, rate) => {
    expect(amountOf(monthly, days, currency, LAW)).toBe(amount)
    expect(rateText(monthly)).toBe(rate)
  })
})

describe('the days of a license issued on May 3 at noon and revoked on May 20 at midnight', () => {
  const at = (text: string): number => Date.parse(`2026-05-${text}Z`)
  const [issued, revoked] = [at('03T12:00:00'), at('20T00:00:00')]
  const hold = (since: number, until: number | null): Hold => ({ since, until, members: [0] })
  const history = (holds: readonly Hold[]): History => ({
    ...{ zone: 'UTC', months: ['2026-05'], now: at('31T23:59:59') + 1_000, billFrom: '2026-05-01', currency: 'usd' },
    ...{ products: ['A'], prices: [], licenses: [{ product: 'A', issued, revoked }], holds },
  })
  it.each<[what: string, days: number, paused: number, holds: Hold[]]>([
    ['without holds', 18, 0, []],
    ['with an empty hold', 18, 0, [hold(at('10T00:00:00'), at('10T00:00:00'))]],
    ['held within a day', 18, 0, [hold(at('10T01:00:00'), at('10T02:00:00'))]],
    ['held from the 10th to the 12th', 17, 1, [hold(at('10T09:00:00'), at('12T09:00:00'))]],
    ['held from midnight to midnight', 18, 0, [hold(at('10T00:00:00'), at('11T00:00:00'))]],
    ['held from a moment before midnight', 17, 1, [hold(at('09T23:59:59'), at('11T00:00:00'))]],
    ['held from its issue', 1, 17, [hold(issued, null)]],
    ['held from before its issue', 0, 18, [hold(issued - 1, null)]],
    ['held until its revocation', 9, 9, [hold(at('10T09:00:00'), revoked)]],
    ['revoked while held', 8, 10, [hold(at('10T09:00:00'), revoked + 1)]],
    [
      'held twice, touching at noon',
      9,
      9,
      [hold(at('10T09:00:00'), at('15T12:00:00')), hold(at('15T12:00:00'), revoked)],
    ],
    [
      'held twice, overlapping',
      16,
      2,
      [hold(at('10T09:00:00'), at('12T09:00:00')), hold(at('11T00:00:00'), at('13T09:00:00'))],
    ],
  ])('%s: %i, %i paused', (_, days, paused, holds) => {
    const usage = [...statementOf(history(holds))].filter(([key]) => key.endsWith('usage of A'))
    const sum = (pattern: RegExp): number => usage.reduce((all, [, words]) => all + Number(pattern.exec(words)![1]), 0)
    expect([sum(/^(\d+) days/), sum(/(\d+) paused$/)]).toEqual([days, paused])
  })
})
