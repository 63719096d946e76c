import { describe, expect, it } from 'vitest'
import {
  formatMoney,
  parseMajorUnits,
  rational,
  roundHalfUp,
  roundToMinorUnits,
  toDecimal,
  toMajorUnits,
} from '../../../jobs/rules/money.ts'

describe('money', () => {
  it('rounds half-up, away from zero', () => {
    expect(roundHalfUp(rational(5n, 2n))).toBe(3n)
    expect(roundHalfUp(rational(-5n, 2n))).toBe(-3n)
    expect(roundHalfUp(rational(249n, 100n))).toBe(2n)
    expect(roundHalfUp(rational(0n))).toBe(0n)
  })

  it('reads decimals exactly, whatever the currency carries', () => {
    expect(parseMajorUnits('24.95', 'usd')).toEqual(rational(249500n, 100n * 1n))
    expect(roundHalfUp(parseMajorUnits('24.95', 'usd'))).toBe(2495n)
    expect(roundHalfUp(parseMajorUnits('1200', 'jpy'))).toBe(1200n)
    expect(roundHalfUp(parseMajorUnits('1.234', 'kwd'))).toBe(1234n)
    for (const bad of ['', '1,5', '1e3', ' 1', '.5', '5.', '--1']) {
      expect(() => parseMajorUnits(bad, 'usd'), bad).toThrow(RangeError)
    }
  })

  it('rounds three-decimal currencies to ten minor units, the finest Stripe takes', () => {
    expect(roundToMinorUnits(rational(12345n, 10n), 'kwd')).toBe(1230n)
    expect(roundToMinorUnits(rational(1235n), 'kwd')).toBe(1240n)
    expect(roundToMinorUnits(rational(12345n, 10n), 'usd')).toBe(1235n)
  })

  it('writes amounts for people and for files', () => {
    expect(formatMoney(123456n, 'usd')).toBe('1,234.56 USD')
    expect(formatMoney(-5n, 'usd')).toBe('-0.05 USD')
    expect(formatMoney(1200n, 'jpy')).toBe('1,200 JPY')
    expect(formatMoney(100000000n, 'usd')).toBe('1,000,000.00 USD')
    expect(toMajorUnits(1230n, 'kwd')).toBe('1.230')
    expect(toDecimal(rational(1n, 3n), 6)).toBe('0.333333')
  })
})
