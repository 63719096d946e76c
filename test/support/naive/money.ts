// Amounts as exact fractions of BigInts. Shares nothing with the product.
import type { Law } from './law.ts'

const NO_DECIMALS = 'bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf'.split(' ')
const THREE_DECIMALS = ['bhd', 'jod', 'kwd', 'omr', 'tnd']
const MILLION = 1_000_000n

function decimalsOf(currency: string, law: Law): number {
  if (THREE_DECIMALS.includes(currency)) return 3
  return NO_DECIMALS.includes(currency) && law.someCurrenciesHaveNoDecimals ? 0 : 2
}

/** Millionths of the major unit. */
function millionths(text: string): bigint {
  const [whole, fraction = ''] = text.split('.') as [string, string?]
  if (fraction.length > 6) throw new Error(`more than six decimals: ${text}`)
  return BigInt(whole) * MILLION + BigInt(fraction.padEnd(6, '0'))
}

const halfUp = (numerator: bigint, denominator: bigint): bigint => (2n * numerator + denominator) / (2n * denominator)

/** Days × monthly price × 12 / 365 in minor units, rounded once. */
export function amountOf(monthly: string, days: number, currency: string, law: Law): bigint {
  const step = THREE_DECIMALS.includes(currency) && law.threeDecimalsRoundToTens ? 10n : 1n
  const round = law.roundsHalfUp ? halfUp : (numerator: bigint, denominator: bigint) => numerator / denominator
  const numerator = millionths(monthly) * 12n * 10n ** BigInt(decimalsOf(currency, law))
  const denominator = (law.yearHas365Days ? 365n : 366n) * MILLION * step
  if (!law.roundsOncePerLine) return round(numerator, denominator) * BigInt(days) * step
  return round(numerator * BigInt(days), denominator) * step
}

/** The daily rate in major units to six places, for people. */
export function rateText(monthly: string): string {
  const digits = halfUp(millionths(monthly) * 12n, 365n)
    .toString()
    .padStart(7, '0')
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`
}
