// The Stripe stand-in when things go wrong: keys, faults, webhooks, and its own death.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Stripe from 'stripe'
import { afterEach, describe, expect, it } from 'vitest'
import {
  clientOf,
  customerWithCard,
  endpoint,
  failure,
  openInvoice,
  sandbox,
  secretKey,
  start,
  temporaryFolder,
  webhookSecret,
} from './stripe-support.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

async function running(options: Parameters<typeof start>[0] = {}) {
  const standIn = await start(options)
  cleanup.push(standIn.stop)
  return standIn
}

interface Requests {
  data: { operation: string; status: number; replayed: boolean; idempotency_key: string }[]
}

describe('an idempotency key', () => {
  it('replays the first answer, a decline included, and nothing else', async () => {
    const { stripe } = await running()
    const first = await stripe.customers.create({ name: 'A' }, { idempotencyKey: 'c:1' })
    const second = await stripe.customers.create({ name: 'A' }, { idempotencyKey: 'c:1' })
    expect(second.id).toBe(first.id)
    expect(second.lastResponse.headers['idempotent-replayed']).toBe('true')
    expect(first.lastResponse.headers['idempotent-replayed']).toBeUndefined()
    const other = stripe.customers.create({ name: 'B' }, { idempotencyKey: 'c:1' })
    expect(await failure(other)).toMatchObject({
      type: 'StripeIdempotencyError',
      statusCode: 400,
    })
    const { customer } = await customerWithCard(stripe, '4000000000000341')
    const { id } = await openInvoice(stripe, customer)
    const pay = () => failure(stripe.invoices.pay(id, {}, { idempotencyKey: 'pay:1' }))
    const declined = await pay()
    const again = await pay()
    expect(again).toMatchObject({ statusCode: 402, decline_code: 'generic_decline' })
    expect(again.charge).toBe(declined.charge)
    expect((await stripe.charges.list({ customer })).data).toHaveLength(1)
  })

  it('is not spent by parameters that never passed', async () => {
    const { stripe } = await running()
    const options = { idempotencyKey: 'c:2' }
    await failure(stripe.customers.create({ nope: '1' } as object, options))
    const made = await stripe.customers.create({ name: 'A' }, options)
    expect(made.object).toBe('customer')
  })

  it('is refused while its first request is under way', async () => {
    const { stripe, url } = await running()
    await sandbox(url, 'faults', { operation: 'customers.create', kind: 'slow', ms: 300 })
    const options = { idempotencyKey: 'c:3' }
    // The SDK itself asks again after a 409, which is not what is looked at here.
    const post = () =>
      fetch(`${url}/v1/customers`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${secretKey}`, 'Idempotency-Key': 'c:3' },
      })
    const first = stripe.customers.create({}, options)
    await expect.poll(async () => (await sandbox<Requests>(url, 'faults')).data).toEqual([])
    const second = await post()
    expect(second.status).toBe(409)
    expect(await second.json()).toMatchObject({ error: { code: 'idempotency_key_in_use' } })
    expect((await first).object).toBe('customer')
  })

  it('replays an outage, whose work was not done', async () => {
    const { stripe, url } = await running()
    await sandbox(url, 'faults', { operation: 'customers.create', times: 1, kind: '500' })
    const create = (idempotencyKey: string) => stripe.customers.create({}, { idempotencyKey })
    expect((await failure(create('c:4'))).statusCode).toBe(500)
    expect((await failure(create('c:4'))).statusCode).toBe(500)
    expect((await stripe.customers.list()).data).toEqual([])
    await create('c:5')
    expect((await stripe.customers.list()).data).toHaveLength(1)
  })
})

describe('a fault', () => {
  it('a timeout after success is found again by its key', async () => {
    const { stripe, url } = await running()
    const { customer } = await customerWithCard(stripe)
    const { id } = await openInvoice(stripe, customer)
    await sandbox(url, 'faults', { operation: 'invoices.pay', times: 2, kind: 'timeout', ms: 50 })
    const pay = () => stripe.invoices.pay(id, {}, { idempotencyKey: 'pay:2' })
    // Two, because the SDK itself asks once more when a connection is closed on it.
    expect(await failure(pay())).toBeInstanceOf(Stripe.errors.StripeConnectionError)
    expect((await pay()).status).toBe('paid')
    expect((await stripe.charges.list({ customer })).data).toHaveLength(1)
    const { data } = await sandbox<Requests>(url, 'requests?limit=100')
    const pays = data.filter((request) => request.operation === 'invoices.pay')
    expect(pays.map((request) => request.replayed)).toEqual([false, true, true])
    expect(pays.every((request) => request.idempotency_key === 'pay:2')).toBe(true)
  })

  it('a 429 says why and is not stored; an order that means nothing is refused', async () => {
    const { stripe, url } = await running()
    await sandbox(url, 'faults', { operation: '*', kind: '429' })
    const options = { idempotencyKey: 'c:6' }
    const error = await failure(stripe.customers.create({}, options))
    expect(error).toMatchObject({ type: 'StripeRateLimitError', statusCode: 429 })
    expect(error.headers?.['stripe-rate-limited-reason']).toBe('endpoint-rate')
    expect((await stripe.customers.create({}, options)).object).toBe('customer')
    const order = { operation: 'invoices.settle', kind: '500' }
    const answer = await sandbox<{ error: { param: string } }>(url, 'faults', order)
    expect(answer.error.param).toBe('operation')
  })
})

describe('webhooks', () => {
  const paid = (event: Stripe.Event) => event.type === 'invoice.paid'

  async function listening(answer?: (nth: number) => number) {
    const hook = await endpoint(answer)
    cleanup.push(hook.stop)
    const standIn = await running({ webhook: { url: hook.url, secret: webhookSecret } })
    return { hook, ...standIn }
  }

  async function idle(url: string) {
    const idleNow = () => sandbox<{ pending_webhooks: number }>(url, 'idle')
    await expect.poll(idleNow, { timeout: 5000 }).toEqual({ pending_webhooks: 0 })
  }

  it('are signed, and tried again until they are taken', async () => {
    const { hook, stripe, url } = await listening((nth) => (nth < 3 ? 500 : 200))
    const { customer } = await customerWithCard(stripe)
    const { id } = await openInvoice(stripe, customer)
    await stripe.invoices.pay(id)
    const events = await hook.until((all) => all.some(paid))
    await idle(url)
    for (const { body, signature } of hook.taken) {
      const event = stripe.webhooks.constructEvent(body, signature, webhookSecret)
      expect(event.api_version).toBe('2026-10-28.endive')
      const wrong = () => stripe.webhooks.constructEvent(`${body} `, signature, webhookSecret)
      expect(wrong).toThrow(Stripe.errors.StripeSignatureVerificationError)
    }
    expect(events.find(paid)?.data.object).toMatchObject({ id, status: 'paid' })
    const types = new Set(hook.taken.map((t) => (JSON.parse(t.body) as Stripe.Event).type))
    for (const type of [
      'setup_intent.succeeded',
      'payment_method.attached',
      'checkout.session.completed',
      'customer.updated',
      'invoice.finalized',
      'payment_intent.succeeded',
      'invoice_payment.paid',
    ] as const) {
      expect(types).toContain(type)
    }
  })

  it('are lost, doubled and late when told to be', async () => {
    const { hook, stripe, url } = await listening()
    const order = (operation: string, kind: string, ms = 0) => sandbox(url, 'faults', { operation, kind, ms })
    await order('invoice.finalized', 'drop_webhook')
    await order('invoice.paid', 'duplicate_webhook')
    await order('invoice_payment.paid', 'delay_webhook', 400)
    const { customer } = await customerWithCard(stripe)
    const { id } = await openInvoice(stripe, customer)
    await stripe.invoices.pay(id)
    await hook.until((all) => all.filter(paid).length === 2)
    expect(await sandbox(url, 'idle')).toEqual({ pending_webhooks: 1 })
    const events = await hook.until((all) => all.some((e) => e.type === 'invoice_payment.paid'))
    await idle(url)
    expect(events.some((event) => event.type === 'invoice.finalized')).toBe(false)
    const [one, two] = events.filter(paid)
    expect(one?.id).toBe(two?.id)
    const kept = await stripe.events.list({ type: 'invoice.finalized' })
    expect(kept.data).toHaveLength(1)
  })
})

describe('its death', () => {
  const main = fileURLToPath(new URL('../../../apps/sandbox/stripe/main.ts', import.meta.url))

  async function spawned(book: string, more: string[] = []) {
    const flags = ['--book', book, '--secret-key', secretKey, ...more]
    const child = spawn(process.execPath, [main, ...flags], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const gone = once(child, 'exit')
    cleanup.push(async () => {
      child.kill('SIGKILL')
      await gone
    })
    for await (const line of createInterface({ input: child.stdout })) {
      const [, url] = /^ready (.+)$/.exec(line) ?? []
      if (url !== undefined) return { child, gone, url, stripe: clientOf(url) }
    }
    throw new Error('the stand-in ended before it was ready')
  }

  it('loses nothing: objects, keys, the clock and pending webhooks', async () => {
    const book = await temporaryFolder()
    cleanup.push(() => rm(book, { recursive: true, force: true }))
    let open = false
    const hook = await endpoint(() => (open ? 200 : 503))
    cleanup.push(hook.stop)
    const flags = ['--webhook-url', hook.url, '--webhook-secret', webhookSecret]
    const before = await spawned(book, flags)
    await sandbox(before.url, 'clock', { now: 1_800_000_000 })
    const { customer } = await customerWithCard(before.stripe)
    const { id } = await openInvoice(before.stripe, customer)
    await before.stripe.invoices.pay(id, {}, { idempotencyKey: 'pay:3' })
    before.child.kill('SIGKILL')
    await before.gone
    open = true
    const after = await spawned(book, flags)
    const again = await after.stripe.invoices.pay(id, {}, { idempotencyKey: 'pay:3' })
    expect(again.lastResponse.headers['idempotent-replayed']).toBe('true')
    expect(await after.stripe.invoices.retrieve(id)).toMatchObject({
      status: 'paid',
      created: 1_800_000_000,
    })
    expect((await after.stripe.charges.list({ customer })).data).toHaveLength(1)
    expect(await sandbox(after.url, 'clock')).toEqual({ now: 1_800_000_000 })
    const events = await hook.until((all) => all.some((event) => event.type === 'invoice.paid'))
    expect(events.length).toBeGreaterThan(0)
  })

  it('follows that of its parent', async () => {
    const book = await temporaryFolder()
    cleanup.push(() => rm(book, { recursive: true, force: true }))
    const { child, gone } = await spawned(book)
    child.stdin.end()
    expect(await gone).toEqual([0, null])
  })
})
