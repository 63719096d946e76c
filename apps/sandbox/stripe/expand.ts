import type { Context } from './context.ts'
import { malformed } from './errors.ts'
import { presentInvoice } from './invoice-view.ts'
import { listOf } from './lists.ts'

type Json = Record<string, unknown>
const MAX_LEVELS = 4

/** Replaces the ids at the asked paths (`data.customer`, `payments.data.payment`) by objects. */
export function expand(context: Context, answer: object, paths: unknown): object {
  const copy = structuredClone(answer) as Json
  if (!Array.isArray(paths)) return copy
  for (const path of paths as string[]) {
    const steps = path.split('.')
    const levels = steps.filter((step) => step !== 'data').length
    if (levels > MAX_LEVELS) {
      throw malformed('You cannot expand more than 4 levels of a property', 'expand')
    }
    follow(context, copy, steps, path)
  }
  return copy
}

function follow(context: Context, holder: unknown, steps: string[], path: string): void {
  const [step, ...rest] = steps
  if (step === undefined || holder === null) return
  if (Array.isArray(holder)) {
    for (const element of holder) follow(context, element, steps, path)
    return
  }
  if (typeof holder !== 'object') throw cannot(path)
  const map = holder as Json
  include(context, map, step)
  if (!Object.hasOwn(map, step)) throw cannot(path)
  const value = map[step]
  if (typeof value === 'string') map[step] = load(context, step, value, path)
  else if (typeof value !== 'object') throw cannot(path)
  follow(context, map[step], rest, path)
}

function load(context: Context, step: string, id: string, path: string): object {
  const found = step === 'id' ? undefined : context.book.findAny(id)
  if (found === undefined) throw cannot(path)
  return present(context, found.object)
}

// Fields Stripe leaves out unless they are asked for.
function include(context: Context, map: Json, step: string): void {
  if (Object.hasOwn(map, step)) return
  const id = String(map['id'])
  if (map['object'] === 'invoice' && step === 'payments') {
    map[step] = listOf(context, 'invoice_payment', `/v1/invoice_payments?invoice=${id}`, [['parent = ?', id]], {
      limit: 100,
    })
  }
  if (map['object'] === 'invoice' && step === 'confirmation_secret') {
    map[step] = confirmationSecret(context, id)
  }
  if (map['object'] === 'charge' && step === 'refunds') {
    const url = `/v1/charges/${id}/refunds`
    map[step] = listOf(context, 'refund', url, [['parent = ?', id]], {})
  }
}

function confirmationSecret(context: Context, invoice: string): object | null {
  const payment = context.book.all('invoice_payment', { parent: invoice }).find((p) => p.is_default)
  const intent = context.book.find('payment_intent', String(payment?.payment.payment_intent))
  if (intent === undefined) return null
  return { client_secret: intent.client_secret, type: 'payment_intent' }
}

/** Any object as the API shows it. */
export function present(context: Context, object: object): object {
  const shown = object as Json
  if (shown['object'] === 'list') {
    const data = shown['data'] as object[]
    return { ...shown, data: data.map((element) => present(context, element)) }
  }
  const url = shown['url']
  if (shown['object'] === 'checkout.session' && String(url).startsWith('/')) {
    return { ...shown, url: context.baseUrl + String(url) }
  }
  // An invoice that already carries absolute links was presented by its operation.
  const stored = shown['object'] === 'invoice' && shown['deleted'] !== true
  return stored && !isPresented(shown) ? presentInvoice(context, object as never) : object
}

function isPresented(invoice: Json): boolean {
  return String(invoice['hosted_invoice_url'] ?? '').startsWith('http')
}

function cannot(path: string): Error {
  return malformed(`This property cannot be expanded (${path}).`, 'expand')
}
