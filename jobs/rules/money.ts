// Exact money: bigint minor units and rationals of bigints. No float ever holds an amount (domain.md, Rating).

/** A three-letter ISO 4217 code in lower case, as Stripe writes it. */
export type Currency = string

/** An exact fraction. The denominator is always positive. */
export interface Rational {
  readonly numerator: bigint
  readonly denominator: bigint
}

const ZERO_DECIMAL = new Set('bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf'.split(' '))
const THREE_DECIMAL = new Set('bhd jod kwd omr tnd'.split(' '))

/** How many decimals the currency's minor unit has: 0, 2 or 3. */
export function minorUnitDigits(currency: Currency): number {
  if (ZERO_DECIMAL.has(currency)) return 0
  return THREE_DECIMAL.has(currency) ? 3 : 2
}

/** The smallest amount in minor units that an invoice line may differ by: 10 in three-decimal currencies, else 1. */
function roundingStep(currency: Currency): bigint {
  return THREE_DECIMAL.has(currency) ? 10n : 1n
}

export function rational(numerator: bigint, denominator = 1n): Rational {
  if (denominator === 0n) throw new RangeError('rational: the denominator is zero')
  return denominator < 0n ? { numerator: -numerator, denominator: -denominator } : { numerator, denominator }
}

export function multiply(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator)
}

/** Half-up, away from zero, to a whole number. */
export function roundHalfUp(value: Rational): bigint {
  const { numerator, denominator } = value
  const magnitude = numerator < 0n ? -numerator : numerator
  const rounded = (2n * magnitude + denominator) / (2n * denominator)
  return numerator < 0n ? -rounded : rounded
}

/** An exact amount of minor units, rounded once, to what the currency (and Stripe) can carry. */
export function roundToMinorUnits(minorUnits: Rational, currency: Currency): bigint {
  const step = roundingStep(currency)
  return roundHalfUp(rational(minorUnits.numerator, minorUnits.denominator * step)) * step
}

const DECIMAL = /^(-)?(\d{1,15})(?:\.(\d{1,12}))?$/

/**
 * Reads a decimal string of major units ("24.95") as an exact number of minor units, which need not be whole.
 * @throws RangeError when the text is not a plain decimal.
 */
export function parseMajorUnits(text: string, currency: Currency): Rational {
  const match = DECIMAL.exec(text)
  if (!match) throw new RangeError(`not a decimal amount: ${text}`)
  const fraction = match[3] ?? ''
  const digits = BigInt(match[2]! + fraction)
  const scaled = rational(digits * 10n ** BigInt(minorUnitDigits(currency)), 10n ** BigInt(fraction.length))
  return match[1] ? multiply(scaled, rational(-1n)) : scaled
}

/** A rational as a decimal string with exactly `places` decimals, rounded half-up. */
export function toDecimal(value: Rational, places: number): string {
  const scaled = roundHalfUp(multiply(value, rational(10n ** BigInt(places))))
  const negative = scaled < 0n
  const digits = (negative ? -scaled : scaled).toString().padStart(places + 1, '0')
  const whole = digits.slice(0, digits.length - places)
  const text = places === 0 ? digits : `${whole}.${digits.slice(digits.length - places)}`
  return negative ? `-${text}` : text
}

/** Minor units as a plain decimal of major units: 2543 usd → "25.43". */
export function toMajorUnits(amount: bigint, currency: Currency): string {
  const places = minorUnitDigits(currency)
  return toDecimal(rational(amount, 10n ** BigInt(places)), places)
}

/** Minor units for people: 123456 usd → "1,234.56 USD". */
export function formatMoney(amount: bigint, currency: Currency): string {
  const [whole, fraction] = toMajorUnits(amount, currency).split('.') as [string, string?]
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return `${grouped}${fraction === undefined ? '' : `.${fraction}`} ${currency.toUpperCase()}`
}
