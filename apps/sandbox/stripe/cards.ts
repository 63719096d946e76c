import { createHash } from 'node:crypto'
import { ApiError } from './errors.ts'
import type { ErrorBody } from './errors.ts'

/** Why a card says no. */
export interface Decline {
  code: string
  decline?: string
  advice?: 'try_again_later' | 'do_not_try_again' | 'confirm_card_data'
  message: string
}

/** When the card's bank wants to see its holder. */
type Challenge = 'never' | 'unless_set_up' | 'on_session' | 'always'

/** What a test card does; its number is forgotten once this is known. */
export interface Behavior {
  /** Refused already when it is saved to a customer. */
  setup?: string
  /** Refused at each charge. */
  charge?: string
  challenge?: Challenge
  /** Its bank asks when it is saved. */
  challengeAtSetup?: boolean
  cvcFails?: boolean
  blocked?: boolean
}

export interface CardSecret extends Behavior {
  /** Saved by its holder in person, so that later charges need not ask again. */
  setUp?: boolean
  /** The page (session or invoice) that waits for the holder's confirmation. */
  page?: string
}

const declined = 'Your card was declined.'
export const declines: Record<string, Decline> = {
  generic: {
    code: 'card_declined',
    decline: 'generic_decline',
    advice: 'try_again_later',
    message: declined,
  },
  insufficient: {
    code: 'card_declined',
    decline: 'insufficient_funds',
    advice: 'try_again_later',
    message: 'Your card has insufficient funds.',
  },
  lost: {
    code: 'card_declined',
    decline: 'lost_card',
    advice: 'do_not_try_again',
    message: declined,
  },
  stolen: {
    code: 'card_declined',
    decline: 'stolen_card',
    advice: 'do_not_try_again',
    message: declined,
  },
  fraudulent: {
    code: 'card_declined',
    decline: 'fraudulent',
    advice: 'do_not_try_again',
    message: declined,
  },
  velocity: {
    code: 'card_declined',
    decline: 'card_velocity_exceeded',
    advice: 'try_again_later',
    message: 'Your card was declined for making repeated attempts too frequently.',
  },
  expired: {
    code: 'expired_card',
    decline: 'expired_card',
    advice: 'confirm_card_data',
    message: 'Your card has expired.',
  },
  cvc: {
    code: 'incorrect_cvc',
    decline: 'incorrect_cvc',
    advice: 'confirm_card_data',
    message: "Your card's security code is incorrect.",
  },
  processing: {
    code: 'processing_error',
    decline: 'processing_error',
    advice: 'try_again_later',
    message: 'An error occurred while processing your card. Try again in a little bit.',
  },
  number: { code: 'incorrect_number', message: 'Your card number is incorrect.' },
  month: {
    code: 'invalid_expiry_month',
    message: "Your card's expiration month is invalid.",
  },
  year: { code: 'invalid_expiry_year', message: "Your card's expiration year is invalid." },
  authentication: {
    code: 'authentication_required',
    decline: 'authentication_required',
    message: 'Your card was declined. This transaction requires authentication.',
  },
  unauthenticated: {
    code: 'payment_intent_authentication_failure',
    message: 'The card could not be authenticated. Try again or use another card.',
  },
}

const both = (name: string): Behavior => ({ setup: name, charge: name })
const ask = (challenge: Challenge, more: Behavior = {}): Behavior => ({
  challenge,
  challengeAtSetup: true,
  ...more,
})

// Stripe's test numbers. Those that decline outright cannot be saved to a customer, as at Stripe.
const numbers: Record<string, Behavior> = {
  '4242424242424242': {},
  '4000056655665556': {},
  '5555555555554444': {},
  '2223003122003222': {},
  '5200828282828210': {},
  '5105105105105100': {},
  '378282246310005': {},
  '371449635398431': {},
  '6011111111111117': {},
  '3056930009020004': {},
  '3566002020360505': {},
  '4000000000000077': {},
  '4000000000000259': {},
  '4000000000002685': {},
  '4000000000005126': {},
  '4000000000000002': both('generic'),
  '4000000000009995': both('insufficient'),
  '4000000000009987': both('lost'),
  '4000000000009979': both('stolen'),
  '4000000000000069': both('expired'),
  '4000000000000127': both('cvc'),
  '4000000000000119': both('processing'),
  '4000000000006975': both('velocity'),
  '4000000000000101': { cvcFails: true },
  '4000000000000341': { charge: 'generic' },
  '4100000000000019': { charge: 'fraudulent', blocked: true },
  '4000000000003055': {},
  '4000000000003220': ask('unless_set_up'),
  '4000002500003155': ask('unless_set_up'),
  '4000002760003184': ask('always'),
  '4000003800000446': { challenge: 'on_session' },
  '4000008260003178': ask('unless_set_up', { charge: 'insufficient' }),
  '4000008400001629': ask('always', both('generic')),
  '4000008400001280': ask('always', both('processing')),
}

/** Stripe's ready-made payment methods, by the number they stand for. */
export const readyMade: Record<string, string> = {
  pm_card_visa: '4242424242424242',
  pm_card_visa_debit: '4000056655665556',
  pm_card_mastercard: '5555555555554444',
  pm_card_amex: '378282246310005',
  pm_card_visa_chargeDeclined: '4000000000000002',
  pm_card_visa_chargeDeclinedInsufficientFunds: '4000000000009995',
  pm_card_visa_chargeDeclinedLostCard: '4000000000009987',
  pm_card_visa_chargeDeclinedStolenCard: '4000000000009979',
  pm_card_chargeDeclinedExpiredCard: '4000000000000069',
  pm_card_chargeDeclinedIncorrectCvc: '4000000000000127',
  pm_card_chargeDeclinedProcessingError: '4000000000000119',
  pm_card_chargeCustomerFail: '4000000000000341',
  pm_card_authenticationRequired: '4000002760003184',
  pm_card_authenticationRequiredOnSetup: '4000002500003155',
}

export interface Card {
  brand: 'visa' | 'mastercard' | 'amex' | 'discover' | 'diners' | 'jcb'
  last4: string
  exp_month: number
  exp_year: number
  funding: 'credit' | 'debit'
  country: string
  fingerprint: string
  behavior: Behavior
}

/** Reads what a person typed into a card form; expiry is held against business time. */
export function readCard(form: { number: string; exp: string; cvc: string }, salt: string, now: number): Card {
  const number = form.number.replaceAll(/[\s-]/g, '')
  const behavior = Object.hasOwn(numbers, number) ? numbers[number] : undefined
  if (behavior === undefined || !luhn(number)) throw cardError('number')
  const expiry = readExpiry(form.exp)
  if (isExpired(expiry, now)) throw cardError('expired')
  const brand = brandOf(number)
  if (form.cvc !== '' && !(brand === 'amex' ? /^\d{3,4}$/ : /^\d{3}$/).test(form.cvc)) {
    throw cardError('cvc')
  }
  return {
    brand,
    last4: number.slice(-4),
    ...expiry,
    funding: number === '4000056655665556' ? 'debit' : 'credit',
    country: 'US',
    fingerprint: createHash('sha256')
      .update(salt + number)
      .digest('base64url')
      .slice(0, 16),
    behavior,
  }
}

function readExpiry(text: string): { exp_month: number; exp_year: number } {
  const match = /^\s*(\d{1,2})\s*[/-]\s*(\d{2}|\d{4})\s*$/.exec(text)
  if (match === null) throw cardError('month')
  const exp_month = Number(match[1])
  const year = Number(match[2])
  const exp_year = year < 100 ? 2000 + year : year
  if (exp_month < 1 || exp_month > 12) throw cardError('month')
  if (exp_year > 2099) throw cardError('year')
  return { exp_month, exp_year }
}

/** A card is good through the last day of its month. */
export function isExpired(card: { exp_month: number; exp_year: number }, now: number): boolean {
  return now * 1000 >= Date.UTC(card.exp_year, card.exp_month, 1)
}

/** Whether this charge waits for the card's holder. */
export function needsHolder(secret: CardSecret, offSession: boolean): boolean {
  const { challenge = 'never' } = secret
  if (challenge === 'unless_set_up') return !offSession || secret.setUp !== true
  if (challenge === 'on_session') return !offSession
  return challenge === 'always'
}

/** The refusal of a card, as an answer with status 402. */
export function cardError(name: string, more: Partial<ErrorBody> = {}): ApiError {
  const decline = declines[name] ?? declines['generic']
  if (decline === undefined) throw new Error(`unknown decline ${name}`)
  return new ApiError(402, {
    type: 'card_error',
    code: decline.code,
    message: decline.message,
    ...(decline.decline === undefined ? {} : { decline_code: decline.decline }),
    ...(decline.advice === undefined ? {} : { advice_code: decline.advice }),
    ...(decline.code === 'incorrect_number' ? { param: 'number' } : {}),
    ...more,
  })
}

function brandOf(number: string): Card['brand'] {
  if (/^3[47]/.test(number)) return 'amex'
  if (/^(36|30|38)/.test(number)) return 'diners'
  if (/^35/.test(number)) return 'jcb'
  if (/^(5|2)/.test(number)) return 'mastercard'
  return number.startsWith('6') ? 'discover' : 'visa'
}

/** The check digit that catches a slip of the finger. */
export function luhn(number: string): boolean {
  if (!/^\d{12,19}$/.test(number)) return false
  const sum = [...number].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 1 : 2)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return sum % 10 === 0
}
