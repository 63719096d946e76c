import type Stripe from 'stripe'
import { cardError } from './cards.ts'
import { currencyOf, emit, idOf, named, referred } from './context.ts'
import type { Context } from './context.ts'
import { ApiError, invalid, missing } from './errors.ts'
import { newId, randomText } from './identifiers.ts'
import { mergeMetadata } from './parameters.ts'
import { attach, secretOf } from './payment-methods.ts'

type Session = Stripe.Checkout.Session
type Path = Record<string, string>

const DAY = 86_400
const HALF_HOUR = 1800

// Everything a session for saving a card leaves empty.
const blank = {
  adaptive_pricing: null,
  after_expiration: null,
  allow_promotion_codes: null,
  allowed_payment_method_types: null,
  amount_subtotal: null,
  amount_total: null,
  automatic_tax: { enabled: false, liability: null, provider: null, status: null },
  billing_address_collection: null,
  client_secret: null,
  collected_information: null,
  consent: null,
  consent_collection: null,
  currency_conversion: null,
  custom_fields: [],
  custom_text: {
    after_submit: null,
    shipping_address: null,
    submit: null,
    terms_of_service_acceptance: null,
  },
  customer_account: null,
  customer_creation: null,
  customer_details: null,
  customer_email: null,
  discounts: null,
  integration_identifier: null,
  invoice: null,
  invoice_creation: null,
  livemode: false,
  managed_payments: null,
  mode: 'setup',
  origin_context: null,
  payment_intent: null,
  payment_link: null,
  payment_method_collection: null,
  payment_method_configuration_details: null,
  payment_method_options: null,
  payment_method_types: ['card'],
  payment_status: 'no_payment_required',
  permissions: null,
  recovered_from: null,
  saved_payment_method_options: null,
  shipping_address_collection: null,
  shipping_cost: null,
  shipping_options: [],
  status: 'open',
  submit_type: null,
  subscription: null,
  total_details: null,
  ui_mode: 'hosted_page',
  wallet_options: null,
} satisfies Partial<Session>

/** `POST /v1/checkout/sessions`, for saving a card. */
export function createSession(context: Context, params: Stripe.Checkout.SessionCreateParams): Session {
  checkSession(context, params)
  const intent = openSetup(context, params)
  const id = `cs_test_${randomText(58)}`
  const session: Session = {
    ...structuredClone(blank),
    id,
    object: 'checkout.session',
    cancel_url: params.cancel_url ?? null,
    client_reference_id: params.client_reference_id ?? null,
    created: context.now,
    currency: params.currency === undefined ? null : currencyOf(params.currency),
    customer: params.customer ?? null,
    expires_at: params.expires_at ?? context.now + DAY,
    locale: params.locale ?? null,
    metadata: mergeMetadata({}, params.metadata),
    setup_intent: intent.id,
    success_url: params.success_url ?? null,
    url: `/c/pay/${id}`,
  }
  context.book.insert('checkout.session', session, context.now)
  return session
}

function checkSession(context: Context, params: Stripe.Checkout.SessionCreateParams): void {
  if (params.mode !== 'setup') throw invalid('This stand-in serves mode=setup only', 'mode')
  if ((params.ui_mode ?? 'hosted_page') !== 'hosted_page') {
    throw invalid('This stand-in serves ui_mode=hosted_page only', 'ui_mode')
  }
  if (params.currency === undefined && params.allowed_payment_method_types === undefined) {
    throw missing('currency')
  }
  if (params.success_url === undefined) throw missing('success_url')
  for (const param of ['success_url', 'cancel_url'] as const) {
    const url = params[param]
    if (url !== undefined && !isWebUrl(url)) throw invalid('Not a valid URL', param, 'url_invalid')
  }
  if (params.customer !== undefined) referred(context, 'customer', params.customer, 'customer')
  const left = (params.expires_at ?? context.now + DAY) - context.now
  if (left < HALF_HOUR || left > DAY) {
    throw invalid('expires_at must be between 30 minutes and 24 hours from now', 'expires_at')
  }
}

// Only the web: a javascript: link would run on the page that leads there.
function isWebUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

function openSetup(context: Context, params: Stripe.Checkout.SessionCreateParams): Stripe.SetupIntent {
  const id = newId('seti')
  const intent: Stripe.SetupIntent = {
    id,
    object: 'setup_intent',
    allowed_payment_method_types: null,
    application: null,
    automatic_payment_methods: null,
    cancellation_reason: null,
    client_secret: `${id}_secret_${randomText(30)}`,
    created: context.now,
    customer: params.customer ?? null,
    customer_account: null,
    description: params.setup_intent_data?.description ?? null,
    excluded_payment_method_types: null,
    flow_directions: null,
    last_setup_error: null,
    latest_attempt: null,
    livemode: false,
    mandate: null,
    metadata: mergeMetadata({}, params.setup_intent_data?.metadata),
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: null,
    payment_method_types: ['card'],
    single_use_mandate: null,
    status: 'requires_payment_method',
    usage: 'off_session',
  }
  context.book.insert('setup_intent', intent, context.now)
  emit(context, 'setup_intent.created', intent)
  return intent
}

/** `GET /v1/checkout/sessions/{session}` */
export function retrieveSession(context: Context, _params: unknown, path: Path): Session {
  return current(context, named(context, 'checkout.session', path['session']))
}

/** `POST /v1/checkout/sessions/{session}/expire` */
export function expireSession(context: Context, _params: unknown, path: Path): Session {
  const session = retrieveSession(context, {}, path)
  if (session.status !== 'open') {
    throw invalid(`Only open sessions can be expired; this one is ${session.status}.`)
  }
  return expire(context, session)
}

/** A session as it stands now: one whose time has passed expires when it is next looked at. */
export function current(context: Context, session: Session): Session {
  const over = session.status === 'open' && session.expires_at <= context.now
  return over ? expire(context, session) : session
}

function expire(context: Context, session: Session): Session {
  const expired: Session = { ...session, status: 'expired', url: null }
  context.book.update(expired)
  const id = idOf(session.setup_intent) ?? ''
  const intent = context.book.find('setup_intent', id)
  if (intent !== undefined) {
    const canceled: Stripe.SetupIntent = { ...intent, status: 'canceled' }
    context.book.update(canceled)
    emit(context, 'setup_intent.canceled', canceled)
  }
  emit(context, 'checkout.session.expired', expired)
  return expired
}

/** Saves the card a person entered, and with it completes the session; a refusal is recorded. */
export function complete(context: Context, session: Session, card: Stripe.PaymentMethod): Session {
  const intent = referred(context, 'setup_intent', idOf(session.setup_intent) ?? '', 'session')
  const customer = idOf(session.customer)
  const saved = saveCard(context, intent, card, customer)
  context.book.keepCardSecret(saved.id, { ...secretOf(context, saved.id), setUp: true })
  const succeeded: Stripe.SetupIntent = {
    ...intent,
    status: 'succeeded',
    last_setup_error: null,
    payment_method: saved.id,
  }
  context.book.update(succeeded)
  emit(context, 'setup_intent.succeeded', succeeded)
  const completed: Session = { ...session, status: 'complete', url: null }
  context.book.update(completed)
  emit(context, 'checkout.session.completed', completed)
  return completed
}

function saveCard(
  context: Context,
  intent: Stripe.SetupIntent,
  card: Stripe.PaymentMethod,
  customer: string | null,
): Stripe.PaymentMethod {
  const refused = secretOf(context, card.id).setup
  const error = refused === undefined ? undefined : cardError(refused, { payment_method: card })
  if (error === undefined) return customer === null ? card : attach(context, card.id, customer)
  throw refuse(context, intent, error)
}

/** Records on the setup intent why its card was refused. */
export function refuse(context: Context, intent: Stripe.SetupIntent, error: ApiError): ApiError {
  const failed: Stripe.SetupIntent = { ...intent, last_setup_error: error.body as never }
  context.book.update(failed)
  emit(context, 'setup_intent.setup_failed', failed)
  return new ApiError(402, { ...error.body, setup_intent: failed })
}
