// What the tests of the Stripe stand-in share: a running one, the real SDK, a person at a page.
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Stripe from 'stripe'
import { startStripeStandIn } from '../../../apps/sandbox/stripe/server.ts'
import type { StandInOptions } from '../../../apps/sandbox/stripe/server.ts'

export const secretKey = 'sk_test_stand_in'
export const webhookSecret = 'whsec_stand_in'
export const noon = Date.UTC(2026, 0, 15, 12) / 1000

export function clientOf(url: string): Stripe {
  return new Stripe(secretKey, {
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    protocol: 'http',
    apiVersion: '2026-10-28.endive',
    maxNetworkRetries: 0,
    telemetry: false,
  })
}

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'stripe-stand-in-'))
}

export async function start(options: Partial<StandInOptions> = {}) {
  const book = options.book ?? (await temporaryFolder())
  const standIn = await startStripeStandIn({ secretKey, now: () => noon, ...options, book })
  const stop = async () => {
    await standIn.close()
    if (options.book === undefined) await rm(book, { recursive: true, force: true })
  }
  return { url: standIn.url, stripe: clientOf(standIn.url), stop }
}

/** A verb of the sandbox. */
export async function sandbox<T>(url: string, verb: string, body?: object): Promise<T> {
  const response = await fetch(`${url}/_sandbox/${verb}`, {
    headers: { Authorization: `Bearer ${secretKey}` },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

/** What a person types into a card form and sends. */
export async function submit(
  page: string | null | undefined,
  fields: Record<string, string>,
  accept = 'text/html',
): Promise<Response> {
  const typed: Record<string, string> =
    fields['number'] === undefined ? fields : { exp: '12/38', cvc: '123', name: '', ...fields }
  return fetch(page ?? '', {
    method: 'POST',
    redirect: 'manual',
    headers: { Accept: accept },
    body: new URLSearchParams(typed),
  })
}

export async function checkout(stripe: Stripe, customer: string) {
  return stripe.checkout.sessions.create({
    mode: 'setup',
    customer,
    currency: 'usd',
    success_url: 'http://127.0.0.1:9/done?session={CHECKOUT_SESSION_ID}',
  })
}

/** A customer whose default card was entered on the hosted page. */
export async function customerWithCard(stripe: Stripe, number = '4242424242424242') {
  const customer = await stripe.customers.create({ name: 'Pine & Partners' })
  const session = await checkout(stripe, customer.id)
  const response = await submit(session.url, { number }, 'application/json')
  if (response.status !== 303) throw new Error(`card not saved: ${await response.text()}`)
  const { data } = await stripe.customers.listPaymentMethods(customer.id)
  const card = data[0]?.id ?? ''
  await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: card },
  })
  return { customer: customer.id, card }
}

/** An open invoice over one line. */
export async function openInvoice(stripe: Stripe, customer: string, amount = 1019) {
  const { id } = await stripe.invoices.create({ customer, auto_advance: false })
  await stripe.invoices.addLines(id, { lines: [{ amount, description: 'January' }] })
  return stripe.invoices.finalizeInvoice(id)
}

export type Failure = InstanceType<typeof Stripe.errors.StripeError>

/** The error a call ends with; not failing is a failure of the test. */
export async function failure(call: Promise<unknown>): Promise<Failure> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof Stripe.errors.StripeError) return outcome
  throw new Error(`expected a Stripe error, not ${String(outcome)}`)
}

/** An endpoint that takes webhooks, and can be waited on. */
export async function endpoint(answer: (nth: number) => number = () => 200) {
  const taken: { body: string; signature: string; status: number }[] = []
  const waiting = new Set<() => void>()
  const server: Server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const status = answer(taken.length)
    taken.push({ body, signature: String(request.headers['stripe-signature']), status })
    response.writeHead(status).end()
    for (const check of waiting) check()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const until = async (enough: (events: Stripe.Event[]) => boolean) => {
    const events = () => taken.filter((t) => t.status < 300).map((t) => JSON.parse(t.body) as Stripe.Event)
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!enough(events())) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
    return events()
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/stripe`
  const stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url, taken, until, stop }
}
