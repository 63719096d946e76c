import type Stripe from 'stripe'
import type { Book, Kind, Kinds } from './book.ts'
import { invalid, noSuch } from './errors.ts'
import type { Faults } from './faults.ts'
import { newId } from './identifiers.ts'
import { apiVersion } from './parameters.ts'

/** What an operation works with. One is made per request, inside its transaction. */
export interface Context {
  book: Book
  faults: Faults
  /** Business time in unix seconds: when objects are created, what expiry is held against. */
  now: number
  /** Where this stand-in is reached, without a slash at the end. */
  baseUrl: string
  /** Whether webhooks go anywhere. */
  hasWebhook: boolean
  requestId: string | null
  idempotencyKey: string | null
}

// What an endpoint of this product listens to; other events are only kept for `events.list`.
const delivered = new Set<string>([
  'checkout.session.completed',
  'checkout.session.expired',
  'setup_intent.succeeded',
  'setup_intent.setup_failed',
  'payment_method.attached',
  'payment_method.detached',
  'customer.updated',
  'invoice.finalized',
  'invoice.paid',
  'invoice.payment_failed',
  'invoice.payment_action_required',
  'invoice.voided',
  'invoice.marked_uncollectible',
  'invoice.sent',
  'invoice_payment.paid',
  'payment_intent.succeeded',
  'payment_intent.payment_failed',
  'payment_intent.requires_action',
  'payment_intent.canceled',
  'charge.failed',
  'charge.refunded',
  'refund.created',
  'credit_note.created',
])

/** Records that something happened and, where someone listens, that they must be told. */
export function emit(context: Context, type: Stripe.Event.Type, object: object, previous?: object): void {
  const tell = context.hasWebhook && delivered.has(type)
  const event = {
    id: newId('evt'),
    object: 'event',
    api_version: apiVersion,
    created: context.now,
    data: { object, ...(previous === undefined ? {} : { previous_attributes: previous }) },
    livemode: false,
    pending_webhooks: tell ? 1 : 0,
    request: { id: context.requestId, idempotency_key: context.idempotencyKey },
    type,
  } as unknown as Stripe.Event
  context.book.insert('event', event, context.now)
  if (!tell) return
  const add = (state: string, due: number) =>
    context.book
      .statement('insert into deliveries (event, state, attempts, due) values (?, ?, 0, ?)')
      .run(event.id, state, due)
  // Deliveries run on real time, unlike what they tell of.
  const now = Date.now()
  const kinds = ['drop_webhook', 'duplicate_webhook', 'delay_webhook'] as const
  const fault = context.faults.take(type, kinds)
  add(fault?.kind === 'drop_webhook' ? 'dropped' : 'pending', now + delayOf(fault))
  if (fault?.kind === 'duplicate_webhook') add('pending', now)
}

function delayOf(fault: { kind: string; ms: number } | undefined): number {
  return fault?.kind === 'delay_webhook' ? fault.ms : 0
}

/** Keeps a changed customer and tells what was there before. */
export function saveCustomer(context: Context, before: Stripe.Customer, after: Stripe.Customer): void {
  const old = before as unknown as Record<string, unknown>
  const changed = Object.entries(after).filter(([key, value]) => JSON.stringify(old[key]) !== JSON.stringify(value))
  if (changed.length === 0) return
  context.book.update(after)
  const previous = Object.fromEntries(changed.map(([key]) => [key, old[key] ?? null]))
  emit(context, 'customer.updated', after, previous)
}

/** The object a URL names, or 404. */
export function named<K extends Kind>(
  context: Context,
  kind: K,
  id: string | undefined,
  label: string = kind,
): Kinds[K] {
  const found = context.book.find(kind, id ?? '')
  if (found === undefined) throw noSuch(label, id ?? '', 'id', 404)
  return found
}

/** The object a parameter refers to, or 400. */
export function referred<K extends Kind>(context: Context, kind: K, id: string, param: string): Kinds[K] {
  const found = context.book.find(kind, id)
  if (found === undefined) throw noSuch(kind.replace('_', ' '), id, param)
  return found
}

/** The id behind a reference; the book keeps references unexpanded. */
export function idOf(reference: string | { id?: string } | null | undefined): string | null {
  if (reference === null || reference === undefined) return null
  return typeof reference === 'string' ? reference : (reference.id ?? null)
}

/** A currency code in the shape Stripe keeps it. */
export function currencyOf(text: string): string {
  if (!/^[a-zA-Z]{3}$/.test(text)) throw invalid(`Invalid currency: ${text}`, 'currency')
  return text.toLowerCase()
}
