// The pages of the Stripe stand-in, as a person or a program meets them.
import type Stripe from 'stripe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkout, customerWithCard, openInvoice, start, submit } from './stripe-support.ts'

const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`

let url: string
let stripe: Stripe
let stop: () => Promise<void>
beforeAll(async () => ({ url, stripe, stop } = await start()))
afterAll(async () => stop())

it('hostile text stays text', async () => {
  const customer = await stripe.customers.create({ name: hostile })
  const session = await stripe.checkout.sessions.create({
    mode: 'setup',
    customer: customer.id,
    currency: 'usd',
    success_url: 'http://127.0.0.1:9/',
    cancel_url: 'http://127.0.0.1:9/?"><script>',
  })
  const { id } = await stripe.invoices.create({ customer: customer.id, description: hostile })
  await stripe.invoices.addLines(id, { lines: [{ amount: 100, description: hostile }] })
  const invoice = await stripe.invoices.finalizeInvoice(id)
  const declined = await submit(session.url, { number: '4000000000000002', name: hostile })
  const pages = [
    await (await fetch(session.url ?? '')).text(),
    await declined.text(),
    await (await fetch(invoice.hosted_invoice_url ?? '')).text(),
  ]
  for (const page of pages) {
    expect(page).toContain('&lt;script&gt;')
    expect(page).not.toMatch(/<script|<img/)
  }
  expect(declined.headers.get('content-security-policy')).toContain("default-src 'none'")
})

it('a card is saved, its session then over', async () => {
  const customer = await stripe.customers.create({ name: 'Pine' })
  const session = await checkout(stripe, customer.id)
  const declined = await submit(session.url, { number: '4000000000000002' })
  expect(declined.status).toBe(402)
  expect(await declined.text()).toContain('Your card was declined.')
  const saved = await submit(session.url, { number: '4242 4242 4242 4242' })
  expect(saved.status).toBe(303)
  const location = `http://127.0.0.1:9/done?session=${session.id}`
  expect(saved.headers.get('location')).toBe(location)
  expect(await (await fetch(session.url ?? '')).text()).toContain('Your card was saved')
  const after = await stripe.checkout.sessions.retrieve(session.id)
  expect(after).toMatchObject({ status: 'complete', url: null })
})

it('a card whose bank asks is saved after its holder said yes', async () => {
  const customer = await stripe.customers.create({})
  const session = await checkout(stripe, customer.id)
  const asked = await submit(session.url, { number: '4000002760003184' })
  const confirming = /name="confirming" value="(pm_\w+)"/.exec(await asked.text())?.[1] ?? ''
  const refused = await submit(session.url, { confirming, authenticate: 'fail' })
  expect(refused.status).toBe(402)
  const saved = await submit(session.url, { confirming, authenticate: 'complete' })
  expect(saved.status).toBe(303)
  const { data } = await stripe.customers.listPaymentMethods(customer.id)
  expect(data.map((card) => card.id)).toEqual([confirming])
})

it('an invoice is paid by link: new card, saved card, or after the bank asked', async () => {
  const { customer, card } = await customerWithCard(stripe)
  const first = await openInvoice(stripe, customer)
  const page = await (await fetch(first.hosted_invoice_url ?? '')).text()
  expect(page).toContain('Pay $10.19')
  const declined = await submit(first.hosted_invoice_url, { number: '4000000000009995' })
  expect(declined.status).toBe(402)
  expect(await declined.text()).toContain('Your card has insufficient funds.')
  const paid = await submit(first.hosted_invoice_url, { number: '5555555555554444' })
  expect(paid.status).toBe(303)
  expect(await (await fetch(first.hosted_invoice_url ?? '')).text()).toContain('Paid')
  const pdf = await (await fetch(first.invoice_pdf ?? '')).text()
  expect(pdf).toMatch(/^%PDF-1\.4[^]+\(\$10\.19   January\)[^]+%%EOF\n$/)
  const second = await openInvoice(stripe, customer)
  await submit(second.hosted_invoice_url, { payment_method: card })
  expect((await stripe.invoices.retrieve(second.id)).status).toBe('paid')
  const third = await openInvoice(stripe, customer)
  const asked = await submit(third.hosted_invoice_url, { number: '4000000000003220' })
  const confirming = /name="confirming" value="(pm_\w+)"/.exec(await asked.text())?.[1] ?? ''
  await submit(third.hosted_invoice_url, { confirming, authenticate: 'complete' })
  expect((await stripe.invoices.retrieve(third.id)).status).toBe('paid')
  const succeeded = (await stripe.charges.list({ customer })).data.filter((c) => c.paid)
  expect(succeeded).toHaveLength(3)
})

it("another customer's card does not pay, and a guessed link leads nowhere", async () => {
  const { card } = await customerWithCard(stripe)
  const mine = await stripe.customers.create({})
  const invoice = await openInvoice(stripe, mine.id)
  const stolen = await submit(invoice.hosted_invoice_url, { payment_method: card })
  expect(stolen.status).toBe(402)
  const confirming = await submit(invoice.hosted_invoice_url, {
    confirming: card,
    authenticate: 'complete',
  })
  expect(confirming.status).toBe(402)
  expect((await stripe.invoices.retrieve(invoice.id)).status).toBe('open')
  expect((await fetch(`${url}/i/guess`)).status).toBe(404)
  expect((await fetch(`${url}/c/pay/cs_test_guess`)).status).toBe(404)
})

it('a session expires by business time and by request', async () => {
  const customer = await stripe.customers.create({})
  const session = await checkout(stripe, customer.id)
  await stripe.checkout.sessions.expire(session.id)
  expect((await submit(session.url, { number: '4242424242424242' })).status).toBe(410)
  expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
    status: 'expired',
    url: null,
  })
})
