import type Stripe from 'stripe'
import { cardError, isExpired, readCard, readyMade } from './cards.ts'
import type { Card, CardSecret } from './cards.ts'
import { emit, idOf, named, referred, saveCustomer } from './context.ts'
import type { Context } from './context.ts'
import { invalid, missing, noSuch } from './errors.ts'
import { newId } from './identifiers.ts'

/** What a card form holds. */
export interface CardForm {
  number: string
  exp: string
  cvc: string
  name: string
}

/** Makes a payment method of what was typed; of the number only its last four digits stay. */
export function makeCard(context: Context, form: CardForm): Stripe.PaymentMethod {
  const salt = context.book.setting('fingerprint_salt') ?? ''
  const card = readCard(form, salt, context.now)
  const made = blankPaymentMethod(context, card, form)
  context.book.insert('payment_method', made, context.now)
  context.book.keepCardSecret(made.id, card.behavior)
  return made
}

function blankPaymentMethod(context: Context, card: Card, form: CardForm): Stripe.PaymentMethod {
  const cvcCheck = card.behavior.cvcFails === true ? 'fail' : 'pass'
  return {
    id: newId('pm'),
    object: 'payment_method',
    allow_redisplay: 'unspecified',
    billing_details: {
      address: null,
      email: null,
      name: form.name === '' ? null : form.name,
      phone: null,
      tax_id: null,
    },
    card: {
      brand: card.brand,
      checks: {
        address_line1_check: null,
        address_postal_code_check: null,
        cvc_check: form.cvc === '' ? null : cvcCheck,
      },
      country: card.country,
      display_brand: card.brand,
      exp_month: card.exp_month,
      exp_year: card.exp_year,
      fingerprint: card.fingerprint,
      funding: card.funding,
      generated_from: null,
      last4: card.last4,
      networks: { available: [card.brand], preferred: null },
      regulated_status: null,
      three_d_secure_usage: { supported: true },
      wallet: null,
    },
    created: context.now,
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: 'card',
  }
}

/** What the card does when charged. */
export function secretOf(context: Context, paymentMethod: string): CardSecret {
  return context.book.cardSecret(paymentMethod) ?? {}
}

/** Makes one of Stripe's ready-made cards real; any other id is looked up. */
export function cardNamed(context: Context, id: string, param: string): Stripe.PaymentMethod {
  const number = Object.hasOwn(readyMade, id) ? readyMade[id] : undefined
  if (number === undefined) return referred(context, 'payment_method', id, param)
  const year = new Date(context.now * 1000).getUTCFullYear() + 12
  return makeCard(context, { number, exp: `12/${year}`, cvc: '123', name: '' })
}

/** Saves a card to a customer, or refuses it as its bank would. */
export function attach(context: Context, id: string, customer: string, param = 'id'): Stripe.PaymentMethod {
  const card = cardNamed(context, id, param)
  const owner = idOf(card.customer)
  if (owner !== null && owner !== customer) {
    throw invalid('The payment method is already attached to another customer.', param)
  }
  if (owner === customer) return card
  const secret = secretOf(context, card.id)
  if (secret.setup !== undefined) throw cardError(secret.setup)
  if (card.card !== undefined && isExpired(card.card, context.now)) throw cardError('expired')
  if (context.book.setting(`detached:${card.id}`) !== undefined) {
    const message = 'This payment method was detached from a customer and cannot be used again.'
    throw invalid(message, param, 'payment_method_unexpected_state')
  }
  const attached = { ...card, customer }
  context.book.update(attached)
  emit(context, 'payment_method.attached', attached)
  return attached
}

/** `POST /v1/payment_methods/{payment_method}/attach` */
export function attachPaymentMethod(
  context: Context,
  params: Stripe.PaymentMethodAttachParams,
  path: Record<string, string>,
): Stripe.PaymentMethod {
  if (params.customer === undefined) throw missing('customer')
  referred(context, 'customer', params.customer, 'customer')
  const id = path['payment_method'] ?? ''
  if (!Object.hasOwn(readyMade, id)) named(context, 'payment_method', id, 'PaymentMethod')
  return attach(context, id, params.customer, 'payment_method')
}

/** `POST /v1/payment_methods/{payment_method}/detach` */
export function detachPaymentMethod(
  context: Context,
  _params: unknown,
  path: Record<string, string>,
): Stripe.PaymentMethod {
  const card = named(context, 'payment_method', path['payment_method'], 'PaymentMethod')
  const owner = idOf(card.customer)
  if (owner === null) {
    const message = 'The payment method you provided is not attached to a customer.'
    throw invalid(message, 'payment_method')
  }
  const detached = { ...card, customer: null }
  context.book.update(detached)
  // A card once given up can never be attached again.
  context.book.set(`detached:${card.id}`, owner)
  emit(context, 'payment_method.detached', detached, { customer: owner })
  forgetDefault(context, owner, card.id)
  return detached
}

function forgetDefault(context: Context, owner: string, card: string): void {
  const customer = context.book.find('customer', owner)
  if (customer === undefined) return
  if (idOf(customer.invoice_settings.default_payment_method) !== card) return
  const invoice_settings = { ...customer.invoice_settings, default_payment_method: null }
  saveCustomer(context, customer, { ...customer, invoice_settings })
}

/** `GET /v1/customers/{customer}/payment_methods/{payment_method}` */
export function retrieveOfCustomer(
  context: Context,
  _params: unknown,
  path: Record<string, string>,
): Stripe.PaymentMethod {
  const card = named(context, 'payment_method', path['payment_method'], 'PaymentMethod')
  if (idOf(card.customer) !== path['customer']) {
    throw noSuch('PaymentMethod', card.id, 'payment_method', 404)
  }
  return card
}
