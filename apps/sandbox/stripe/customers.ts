import type Stripe from 'stripe'
import { emit, idOf, named, saveCustomer } from './context.ts'
import type { Context } from './context.ts'
import { noSuch } from './errors.ts'
import { newId, randomText } from './identifiers.ts'
import { mergeMetadata } from './parameters.ts'
import { attach } from './payment-methods.ts'

const noAddress: Stripe.Address = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
}

/** `POST /v1/customers` */
export function createCustomer(context: Context, params: Stripe.CustomerCreateParams): Stripe.Customer {
  const blank: Stripe.Customer = {
    id: newId('cus'),
    object: 'customer',
    address: null,
    balance: 0,
    created: context.now,
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: null,
    discount: null,
    email: null,
    invoice_prefix: randomText(8).toUpperCase(),
    invoice_settings: {
      custom_fields: null,
      default_payment_method: null,
      footer: null,
      rendering_options: null,
    },
    livemode: false,
    metadata: {},
    name: null,
    next_invoice_sequence: 1,
    phone: null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: 'none',
    test_clock: null,
  }
  context.book.insert('customer', blank, context.now)
  if (params.payment_method !== undefined) {
    attach(context, params.payment_method, blank.id, 'payment_method')
  }
  const customer = change(context, blank, params)
  context.book.update(customer)
  emit(context, 'customer.created', customer)
  return customer
}

/** `POST /v1/customers/{customer}` */
export function updateCustomer(
  context: Context,
  params: Stripe.CustomerUpdateParams,
  path: Record<string, string>,
): Stripe.Customer {
  const before = named(context, 'customer', path['customer'])
  const after = change(context, before, params)
  saveCustomer(context, before, after)
  return after
}

function change(context: Context, customer: Stripe.Customer, params: Stripe.CustomerUpdateParams): Stripe.Customer {
  const { metadata, invoice_settings, address, expand: _expand, ...plain } = params
  const after = { ...customer } as unknown as Record<string, unknown>
  for (const [key, value] of Object.entries(plain)) {
    if (key === 'payment_method') continue
    after[key] = value === '' ? (key === 'tax_exempt' ? 'none' : null) : value
  }
  if (address !== undefined) after['address'] = address === '' ? null : filled(address)
  if (metadata !== undefined) after['metadata'] = mergeMetadata(customer.metadata, metadata)
  if (invoice_settings !== undefined) {
    after['invoice_settings'] = settings(context, customer, invoice_settings)
  }
  return after as unknown as Stripe.Customer
}

function filled(address: object | null): Stripe.Address {
  const known = Object.entries(address ?? {}).map(([key, value]) => [key, value || null])
  return { ...noAddress, ...Object.fromEntries(known) }
}

function settings(
  context: Context,
  customer: Stripe.Customer,
  sent: NonNullable<Stripe.CustomerUpdateParams['invoice_settings']>,
): Stripe.Customer['invoice_settings'] {
  const after = { ...customer.invoice_settings }
  const wanted = sent.default_payment_method
  if (wanted !== undefined) {
    if (wanted !== null && (wanted as string) !== '') ownedBy(context, wanted, customer.id)
    after.default_payment_method = wanted || null
  }
  if (sent.footer !== undefined) after.footer = sent.footer || null
  if (sent.custom_fields !== undefined) after.custom_fields = sent.custom_fields || null
  return after
}

// A card of someone else is not found, as at Stripe.
function ownedBy(context: Context, paymentMethod: string, customer: string): void {
  const found = context.book.find('payment_method', paymentMethod)
  if (found === undefined || idOf(found.customer) !== customer) {
    const param = 'invoice_settings[default_payment_method]'
    throw noSuch('PaymentMethod', paymentMethod, param)
  }
}
