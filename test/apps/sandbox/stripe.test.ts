// The Stripe stand-in, driven by the real SDK: money, cards, refusals and the pages a person opens.
import type Stripe from 'stripe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiVersion, operations } from '../../../apps/sandbox/stripe/parameters.ts'
import { route } from '../../../apps/sandbox/stripe/router.ts'
import { checkout, customerWithCard, failure, noon, openInvoice, sandbox, start, submit } from './stripe-support.ts'

let url: string
let stripe: Stripe
let stop: () => Promise<void>
beforeAll(async () => ({ url, stripe, stop } = await start()))
afterAll(async () => stop())

describe('an invoice', () => {
  it('goes from draft to paid, with the card a person entered', async () => {
    const { customer, card } = await customerWithCard(stripe)
    const draft = await stripe.invoices.create({
      customer,
      auto_advance: false,
      number: 'PD-0001',
      metadata: { invoice: 'inv_1' },
    })
    expect(draft).toMatchObject({ status: 'draft', created: noon, number: 'PD-0001', total: 0 })
    const filled = await stripe.invoices.addLines(draft.id, {
      lines: [
        { amount: 1000, description: 'Backup', quantity: 31, period: { start: 1, end: 2 } },
        { amount: -100, description: 'Credit', metadata: { line: '2' } },
        {
          amount: 500,
          tax_amounts: [
            {
              amount: 95,
              taxable_amount: 500,
              tax_rate_data: { display_name: 'VAT', percentage: 19, inclusive: false },
            },
          ],
        },
      ],
    })
    expect(filled).toMatchObject({ subtotal: 1400, total: 1495, amount_remaining: 1495 })
    expect(filled.lines.data.map((line) => [line.amount, line.quantity])).toEqual([
      [1000, 31],
      [-100, 1],
      [500, 1],
    ])
    const open = await stripe.invoices.finalizeInvoice(draft.id)
    expect(open.status).toBe('open')
    expect(open.hosted_invoice_url).toMatch(new RegExp(`^${url}/i/\\w{48}$`))
    const paid = await stripe.invoices.pay(draft.id, {
      payment_method: card,
      expand: ['payments.data.payment.payment_intent.latest_charge'],
    })
    expect(paid).toMatchObject({ status: 'paid', amount_paid: 1495, amount_remaining: 0 })
    const intent = paid.payments?.data[0]?.payment.payment_intent as Stripe.PaymentIntent
    expect(intent).toMatchObject({ status: 'succeeded', amount_received: 1495, customer })
    expect(intent.latest_charge).toMatchObject({ status: 'succeeded', payment_method: card })
    const again = await failure(stripe.invoices.pay(draft.id))
    expect(again).toMatchObject({ statusCode: 400, message: 'Invoice is already paid' })
  })

  it('is voided, given up, settled elsewhere, and refuses what its state forbids', async () => {
    const { customer } = await customerWithCard(stripe)
    const first = await openInvoice(stripe, customer)
    const edit = await failure(stripe.invoices.update(first.id, { description: 'late' }))
    expect(edit).toMatchObject({ code: 'invoice_not_editable', param: 'description' })
    const lines = { lines: [{ amount: 1 }] }
    expect(await failure(stripe.invoices.addLines(first.id, lines))).toMatchObject({
      code: 'invoice_not_editable',
    })
    expect((await stripe.invoices.markUncollectible(first.id)).status).toBe('uncollectible')
    expect((await stripe.invoices.voidInvoice(first.id)).status).toBe('void')
    expect((await failure(stripe.invoices.pay(first.id))).statusCode).toBe(400)
    const second = await openInvoice(stripe, customer)
    const elsewhere = await stripe.invoices.pay(second.id, { paid_out_of_band: true })
    expect(elsewhere.status).toBe('paid')
    expect((await stripe.charges.list({ customer })).data).toEqual([])
    const empty = await stripe.invoices.create({ customer })
    expect(await failure(stripe.invoices.finalizeInvoice(empty.id))).toMatchObject({
      code: 'invoice_no_customer_line_items',
    })
    expect(await stripe.invoices.del(empty.id)).toMatchObject({ deleted: true })
    expect((await failure(stripe.invoices.retrieve(empty.id))).statusCode).toBe(404)
  })

  it('over nothing is paid at once, over too little cannot be charged', async () => {
    const { customer } = await customerWithCard(stripe)
    expect((await openInvoice(stripe, customer, 0)).status).toBe('paid')
    const small = await openInvoice(stripe, customer, 49)
    expect(await failure(stripe.invoices.pay(small.id))).toMatchObject({
      type: 'StripeInvalidRequestError',
      code: 'amount_too_small',
    })
  })

  it('is refunded and credited, never beyond what was paid', async () => {
    const { customer } = await customerWithCard(stripe)
    const { id } = await openInvoice(stripe, customer)
    await stripe.invoices.pay(id)
    const [charge] = (await stripe.charges.list({ customer })).data
    const part = await stripe.refunds.create({ charge: charge?.id ?? '', amount: 19 })
    expect(part).toMatchObject({ status: 'succeeded', amount: 19 })
    const note = await stripe.creditNotes.create({
      invoice: id,
      amount: 119,
      refunds: [{ refund: part.id, amount_refunded: 19 }],
      refund_amount: 100,
    })
    expect(note).toMatchObject({ type: 'post_payment', post_payment_amount: 119 })
    const more = await failure(stripe.refunds.create({ charge: charge?.id ?? '', amount: 901 }))
    expect(more).toMatchObject({ param: 'amount', statusCode: 400 })
    await stripe.refunds.create({ charge: charge?.id ?? '' })
    expect(await failure(stripe.refunds.create({ charge: charge?.id ?? '' }))).toMatchObject({
      code: 'charge_already_refunded',
    })
    const owed = await openInvoice(stripe, customer)
    await stripe.creditNotes.create({ invoice: owed.id, amount: 19 })
    expect(await stripe.invoices.pay(owed.id)).toMatchObject({ amount_paid: 1000, status: 'paid' })
  })
})

describe('cards', () => {
  it.each([
    ['4000000000000002', 'card_declined', 'generic_decline'],
    ['4000000000009995', 'card_declined', 'insufficient_funds'],
    ['4000000000009987', 'card_declined', 'lost_card'],
    ['4000000000009979', 'card_declined', 'stolen_card'],
    ['4000000000000069', 'expired_card', 'expired_card'],
    ['4000000000000127', 'incorrect_cvc', 'incorrect_cvc'],
    ['4000000000000119', 'processing_error', 'processing_error'],
    ['4242424242424241', 'incorrect_number', undefined],
    ['4111111111111111', 'incorrect_number', undefined],
  ])('%s is refused when it is entered: %s %s', async (number, code, declineCode) => {
    const customer = await stripe.customers.create({})
    const session = await checkout(stripe, customer.id)
    const response = await submit(session.url, { number }, 'application/json')
    const { error } = (await response.json()) as { error: Record<string, unknown> }
    expect(response.status).toBe(402)
    expect(error).toMatchObject({ type: 'card_error', code })
    expect(error['decline_code']).toBe(declineCode)
    expect((await stripe.customers.listPaymentMethods(customer.id)).data).toEqual([])
    const { setup_intent } = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ['setup_intent'],
    })
    expect(setup_intent).toMatchObject({ last_setup_error: { code } })
  })

  it.each([
    ['4000000000000341', 'card_declined', 'generic_decline', 'try_again_later'],
    ['4100000000000019', 'card_declined', 'fraudulent', 'do_not_try_again'],
    ['4000008260003178', 'card_declined', 'insufficient_funds', 'try_again_later'],
    ['4000002760003184', 'authentication_required', 'authentication_required', undefined],
  ])('%s is saved, but charges fail: %s %s', async (number, code, declineCode, advice) => {
    const { customer, card } = await customerWithCard(stripe, number)
    const { id } = await openInvoice(stripe, customer)
    const error = await failure(stripe.invoices.pay(id, { payment_method: card }))
    expect(error).toMatchObject({ type: 'StripeCardError', statusCode: 402, code })
    expect(error.decline_code).toBe(declineCode)
    expect((error as { advice_code?: string }).advice_code).toBe(advice)
    expect(await stripe.invoices.retrieve(id)).toMatchObject({ status: 'open', attempted: true })
    const intent = await stripe.paymentIntents.retrieve(error.payment_intent?.id ?? '')
    const asks = code === 'authentication_required'
    expect(intent.status).toBe(asks ? 'requires_action' : 'requires_payment_method')
    const charges = await stripe.charges.list({ payment_intent: intent.id })
    expect(charges.data.map((charge) => charge.status)).toEqual(asks ? [] : ['failed'])
    const other = await stripe.paymentMethods.attach('pm_card_visa', { customer })
    const paid = await stripe.invoices.pay(id, { payment_method: other.id })
    expect(paid.status).toBe('paid')
  })

  it('one set up in person is charged in absence, one merely attached is not', async () => {
    const { customer } = await customerWithCard(stripe, '4000002500003155')
    const first = await openInvoice(stripe, customer)
    expect((await stripe.invoices.pay(first.id)).status).toBe('paid')
    const bare = await stripe.customers.create({
      payment_method: 'pm_card_authenticationRequiredOnSetup',
    })
    const [card] = (await stripe.customers.listPaymentMethods(bare.id)).data
    const second = await openInvoice(stripe, bare.id)
    const call = stripe.invoices.pay(second.id, { payment_method: card?.id ?? '' })
    expect((await failure(call)).code).toBe('authentication_required')
  })

  it('expires by business time', async () => {
    const own = await start()
    const customer = await own.stripe.customers.create({})
    const session = await checkout(own.stripe, customer.id)
    const number = '4242424242424242'
    expect((await submit(session.url, { number, exp: '12/25' })).status).toBe(402)
    expect((await submit(session.url, { number, exp: '01/26' })).status).toBe(303)
    const [card] = (await own.stripe.customers.listPaymentMethods(customer.id)).data
    await sandbox(own.url, 'clock', { now: Date.UTC(2026, 1, 1) / 1000 })
    const { id, created } = await openInvoice(own.stripe, customer.id)
    expect(created).toBe(Date.UTC(2026, 1, 1) / 1000)
    const error = await failure(own.stripe.invoices.pay(id, { payment_method: card?.id ?? '' }))
    expect(error).toMatchObject({ code: 'expired_card', statusCode: 402 })
    await own.stop()
  })

  it("detached, is nobody's default and cannot come back", async () => {
    const { customer, card } = await customerWithCard(stripe)
    await stripe.paymentMethods.detach(card)
    const after = await stripe.customers.retrieve(customer)
    expect(after).toMatchObject({ invoice_settings: { default_payment_method: null } })
    expect((await failure(stripe.paymentMethods.attach(card, { customer }))).statusCode).toBe(400)
    const { id } = await openInvoice(stripe, customer)
    expect((await failure(stripe.invoices.pay(id))).message).toContain('default_payment_method')
  })
})

describe('requests', () => {
  it('every operation of the table is served', () => {
    expect(apiVersion).toBe('2026-10-28.endive')
    for (const [name, { method, path }] of Object.entries(operations)) {
      expect(route(method, path.replaceAll(/\{\w+\}/g, 'x'))?.operation, name).toBe(name)
    }
  })

  it.each([
    [{ customer: 'cus_x', lines: [{ amount: 1 }] }, 'parameter_unknown', 'lines'],
    [{ customer: 'cus_x', collection_method: 'barter' }, undefined, 'collection_method'],
    [{ customer: 'cus_x', days_until_due: 'soon' }, 'parameter_invalid_integer', 'days_until_due'],
    [{ customer: 'cus_x', metadata: { a: 'x'.repeat(501) } }, undefined, 'metadata[a]'],
    [{ customer: 'cus_x' }, 'resource_missing', 'customer'],
    [{}, 'parameter_missing', 'customer'],
  ])('%o is refused', async (params, code, param) => {
    const error = await failure(stripe.invoices.create(params as Stripe.InvoiceCreateParams))
    expect(error).toMatchObject({ type: 'StripeInvalidRequestError', statusCode: 400, param })
    expect(error.code).toBe(code)
    expect(error.requestId).toMatch(/^req_/)
  })

  it('without the key, or for what is not there, fails as at Stripe', async () => {
    const headers = { Authorization: 'Bearer x' }
    const response = await fetch(`${url}/v1/customers`, { headers })
    expect(response.status).toBe(401)
    expect(await failure(stripe.customers.retrieve('cus_none'))).toMatchObject({
      statusCode: 404,
      code: 'resource_missing',
    })
    expect((await failure(stripe.prices.list())).statusCode).toBe(404)
  })

  it('lists come in pages, newest first', async () => {
    const customer = await stripe.customers.create({})
    const made: string[] = []
    for (let nth = 0; nth < 5; nth += 1) {
      made.unshift((await stripe.invoices.create({ customer: customer.id })).id)
    }
    const listed: string[] = []
    for await (const { id } of stripe.invoices.list({ customer: customer.id, limit: 2 })) {
      listed.push(id)
    }
    expect(listed).toEqual(made)
    const early = { customer: customer.id, created: { lt: noon } }
    expect((await stripe.invoices.list(early)).data).toEqual([])
    expect((await stripe.invoices.list({ customer: customer.id, status: 'open' })).data).toEqual([])
  })

  it('card data is never written down', async () => {
    const error = await failure(
      stripe.paymentMethods.create({ type: 'card', card: { number: '4242424242424242' } as never }),
    )
    expect(error.statusCode).toBe(404)
    await failure(stripe.customers.create({ description: '4242 4242 4242 4242', foo: 1 } as object))
    const { data } = await sandbox<{ data: object[] }>(url, 'requests')
    expect(JSON.stringify(data)).not.toMatch(/4242 ?4242/)
  })

  it('too many in a second are turned away when limits are on', async () => {
    const own = await start({ rateLimit: 'test' })
    const calls = Array.from({ length: 30 }, () => own.stripe.customers.list())
    const results = await Promise.allSettled(calls)
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused.length).toBeGreaterThanOrEqual(1)
    expect(refused[0]?.reason).toMatchObject({
      statusCode: 429,
      headers: { 'stripe-rate-limited-reason': 'global-rate' },
    })
    await own.stop()
  })
})
