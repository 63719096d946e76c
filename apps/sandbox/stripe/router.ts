import type Stripe from 'stripe'
import type { Kind } from './book.ts'
import * as checkout from './checkout.ts'
import * as collection from './collection.ts'
import { named } from './context.ts'
import type { Context } from './context.ts'
import { createCreditNote } from './credit-notes.ts'
import * as customers from './customers.ts'
import { finalizeInvoice } from './finalization.ts'
import { linesOf } from './invoice-view.ts'
import * as invoices from './invoices.ts'
import { lister } from './lists.ts'
import { operations } from './parameters.ts'
import * as cards from './payment-methods.ts'
import { createRefund } from './refunds.ts'

type Path = Record<string, string>
type Handler = (context: Context, params: never, path: Path) => object

// Retrieves the object named last in the URL.
function retriever(kind: Kind, label: string = kind): Handler {
  return (context, _params, path) => named(context, kind, Object.values(path).at(-1), label)
}

function ofCustomer(context: Context, params: object, path: Path): object {
  const customer = named(context, 'customer', path['customer']).id
  const url = `/v1/customers/${customer}/payment_methods`
  return lister('payment_method', url)(context, { ...params, customer })
}

// Without a customer there is nothing to list: cards that belong to nobody are not shown.
function listCards(context: Context, params: Stripe.PaymentMethodListParams): object {
  const customer = params.customer ?? ''
  return lister('payment_method', '/v1/payment_methods')(context, { ...params, customer })
}

function listLines(context: Context, params: Record<string, unknown>, path: Path): object {
  return linesOf(context, named(context, 'invoice', path['invoice']).id, params)
}

/** What serves each operation; the names are those of the SDK's methods. */
const handlers: Record<string, Handler> = {
  'customers.create': customers.createCustomer,
  'customers.retrieve': retriever('customer'),
  'customers.update': customers.updateCustomer,
  'customers.list': lister('customer', '/v1/customers'),
  'customers.listPaymentMethods': ofCustomer,
  'customers.retrievePaymentMethod': cards.retrieveOfCustomer,
  'checkout.sessions.create': checkout.createSession,
  'checkout.sessions.retrieve': checkout.retrieveSession,
  'checkout.sessions.list': lister('checkout.session', '/v1/checkout/sessions'),
  'checkout.sessions.expire': checkout.expireSession,
  'setupIntents.retrieve': retriever('setup_intent', 'setupintent'),
  'setupIntents.list': lister('setup_intent', '/v1/setup_intents'),
  'paymentMethods.retrieve': retriever('payment_method', 'PaymentMethod'),
  'paymentMethods.list': listCards,
  'paymentMethods.attach': cards.attachPaymentMethod,
  'paymentMethods.detach': cards.detachPaymentMethod,
  'invoices.create': invoices.createInvoice,
  'invoices.retrieve': retriever('invoice'),
  'invoices.list': lister('invoice', '/v1/invoices'),
  'invoices.update': invoices.updateInvoice,
  'invoices.del': invoices.deleteInvoice,
  'invoices.addLines': invoices.addLines,
  'invoices.listLineItems': listLines,
  'invoices.finalizeInvoice': finalizeInvoice,
  'invoices.pay': collection.payInvoice,
  'invoices.sendInvoice': collection.sendInvoice,
  'invoices.voidInvoice': collection.voidInvoice,
  'invoices.markUncollectible': collection.markUncollectible,
  'invoicePayments.list': lister('invoice_payment', '/v1/invoice_payments'),
  'invoicePayments.retrieve': retriever('invoice_payment'),
  'paymentIntents.retrieve': retriever('payment_intent'),
  'paymentIntents.list': lister('payment_intent', '/v1/payment_intents'),
  'charges.retrieve': retriever('charge'),
  'charges.list': lister('charge', '/v1/charges'),
  'refunds.create': createRefund,
  'refunds.retrieve': retriever('refund'),
  'refunds.list': lister('refund', '/v1/refunds'),
  'creditNotes.create': createCreditNote,
  'creditNotes.retrieve': retriever('credit_note'),
  'creditNotes.list': lister('credit_note', '/v1/credit_notes'),
  'events.retrieve': retriever('event'),
  'events.list': lister('event', '/v1/events'),
}

export interface Route {
  operation: string
  path: Path
  handle: (context: Context, params: Record<string, unknown>, path: Path) => object
}

const patterns = Object.entries(operations).map(([operation, { method, path }]) => {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')
  const source = path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '([^/]+)')
  return { operation, method, names, pattern: new RegExp(`^${source}$`) }
})

/** Finds the operation a request is for. */
export function route(method: string, pathname: string): Route | undefined {
  for (const { operation, method: wanted, names, pattern } of patterns) {
    const match = wanted === method ? pattern.exec(pathname) : null
    const handle = handlers[operation]
    if (match === null || handle === undefined) continue
    const values = names.map((name, index) => [name, decode(match[index + 1] ?? '')])
    const path = Object.fromEntries(values) as Path
    return { operation, path, handle: handle as Route['handle'] }
  }
  return undefined
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
