// Invoices through the API, from the draft to the payment.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { expectProblem, keyOf, unknownId } from './support.ts'

let world: World
let payer: TestAccount
let debtor: TestAccount
let viewer: string
beforeAll(async () => {
  world = await createWorld('2026-10-01T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
  payer = await world.account({ card_required: false })
  // A cap of zero: every invoice is sent, none charged.
  debtor = await world.account({ card_required: false, autopay_cap: 0, timezone: 'America/New_York' })
  viewer = await keyOf(world, debtor, 'viewer')
  await world.card(payer)
  for (const account of [payer, debtor]) await act(world, account, '/v1/licenses', { product: 'backup', quantity: 3 })
})
afterAll(() => world.close())

const get = (path: string, key = debtor.key): Promise<Answer> => world.call('GET', path, { key })
const invoiceOf = async (account: TestAccount): Promise<Answer['body']> =>
  (await get('/v1/invoices', account.key)).body.data[0]

describe('a draft', () => {
  it('there is none before the month has ended', async () => {
    expect((await get('/v1/invoices')).body).toEqual({ data: [], next_cursor: null, total: 0 })
  })

  it('has neither number nor due date nor PDF, and owes nothing yet', async () => {
    await world.at('2026-11-01T12:00:00Z')
    await world.tick()
    const draft = await invoiceOf(debtor)
    expect(draft).toMatchObject({
      object: 'invoice',
      kind: 'usage',
      status: 'draft',
      number: null,
      period: '2026-10',
      issued_on: null,
      due_on: null,
      past_due: false,
      pay_url: null,
      pdf: false,
      paid_at: null,
      collection: null,
      sent: { at: null, unsent: null },
      balance: { amount: 0, currency: 'usd' },
      total: { amount: 3058, currency: 'usd' },
    })
    expect((await get(`/v1/invoices/${draft.id}`)).body).toEqual(draft)
    expectProblem(await get(`/v1/invoices/${draft.id}/pdf`), 404, 'pdf_not_ready')
    expectProblem(await get(`/v1/invoices/${unknownId('invoice')}/pdf`), 404, 'not_found')
    expect((await get('/v1/account')).body).toMatchObject({ balance: { amount: 0 }, past_due: { amount: 0 } })
  })
})

describe('a finalized invoice', () => {
  let open: Answer['body']
  beforeAll(async () => {
    await world.at('2026-11-03T12:00:00Z')
    await world.tick()
    open = await invoiceOf(debtor)
  })

  it('that was charged is paid, and asks for nothing', async () => {
    expect(await invoiceOf(payer)).toMatchObject({
      status: 'paid',
      collection: 'charge',
      balance: { amount: 0 },
      pay_url: null,
      past_due: false,
      pdf: true,
      paid_at: '2026-11-03T12:00:00.000Z',
      total: { amount: 3058, currency: 'usd' },
    })
  })

  it('that was sent is open, and says where to pay', async () => {
    expect(open).toMatchObject({
      status: 'open',
      collection: 'send',
      number: expect.stringMatching(/^PD-\d{6}$/),
      issued_on: '2026-11-03',
      due_on: '2026-11-17',
      total: { amount: 3058, currency: 'usd' },
      balance: { amount: 3058, currency: 'usd' },
      tax: { amount: 0 },
      past_due: false,
      pdf: true,
      paid_at: null,
      sent: { at: '2026-11-03T12:00:00.000Z' },
    })
    expect(open.pay_url).toMatch(/^https?:\/\//)
    expect(open.lines).toEqual([
      expect.objectContaining({
        product: 'backup',
        quantity: 93,
        unit_amount: expect.stringMatching(/^\d+\.\d{6}$/),
        amount: { amount: 3058, currency: 'usd' },
        starts_on: '2026-10-01',
        ends_on: '2026-10-31',
      }),
    ])
    expect((await get('/v1/account')).body).toMatchObject({
      balance: { amount: 3058, currency: 'usd' },
      past_due: { amount: 0 },
    })
  })

  it.each(['owner', 'viewer'])('is listed, shown and downloaded by the %s', async (role) => {
    const key = role === 'owner' ? debtor.key : viewer
    expect((await get('/v1/invoices', key)).body).toEqual({ data: [open], next_cursor: null, total: 1 })
    expect((await get(`/v1/invoices/${open.id}`, key)).body).toEqual(open)
    const pdf = await get(`/v1/invoices/${open.id}/pdf`, key)
    expect([pdf.status, pdf.headers.get('content-type'), pdf.body.slice(0, 5)]).toEqual([
      200,
      'application/pdf',
      '%PDF-',
    ])
    expect(pdf.headers.get('content-disposition')).toBe(`attachment; filename="${open.number}.pdf"`)
    expect(pdf.headers.get('cache-control')).toContain('no-store')
    expect(pdf.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('is found by its status', async () => {
    for (const [status, count] of [
      ['open', 1],
      ['draft', 0],
      ['paid', 0],
      ['void', 0],
      ['uncollectible', 0],
    ] as const) {
      const { body } = await get(`/v1/invoices?status=${status}`)
      expect([status, body.data.length, body.total]).toEqual([status, count, count])
    }
    expect((await get('/v1/invoices?status=paid', payer.key)).body.total).toBe(1)
  })

  it("is past due from the day after its due date on, by the account's own calendar", async () => {
    await world.at('2026-11-18T04:59:59Z') // 23:59:59 on the 17th in New York.
    expect(await invoiceOf(debtor)).toMatchObject({ past_due: false, status: 'open' })
    expect((await get('/v1/account')).body.past_due.amount).toBe(0)
    await world.at('2026-11-18T05:00:00Z')
    expect(await invoiceOf(debtor)).toMatchObject({ past_due: true, status: 'open', balance: { amount: 3058 } })
    expect((await get(`/v1/invoices/${open.id}`)).body.past_due).toBe(true)
    expect((await get('/v1/account')).body).toMatchObject({
      past_due: { amount: 3058, currency: 'usd' },
      gates: { issue: { allowed: false, code: 'invoice_past_due' } },
    })
  })

  it('paid by its link, owes nothing, asks for nothing and has a paid copy', async () => {
    const { pay_url: url } = await invoiceOf(debtor)
    const paid = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { Accept: 'application/json' },
      body: new URLSearchParams({ number: '4242424242424242', exp: '12/38', cvc: '123', name: 'Payer' }),
    })
    expect(paid.status).toBe(303)
    await world.drain()
    expect(await invoiceOf(debtor)).toMatchObject({
      status: 'paid',
      pay_url: null,
      past_due: false,
      balance: { amount: 0 },
      paid_at: '2026-11-18T05:00:00.000Z',
      number: open.number,
      total: open.total,
      due_on: '2026-11-17',
      pdf: true,
    })
    expect((await get('/v1/account')).body).toMatchObject({
      balance: { amount: 0 },
      past_due: { amount: 0 },
      gates: { issue: { allowed: true }, assign: { allowed: true } },
    })
    expect((await get(`/v1/invoices/${open.id}/pdf`)).status).toBe(200)
  })

  it('is listed newest first, page by page', async () => {
    await world.at('2026-12-03T12:00:00Z')
    await world.tick()
    const { body } = await get('/v1/invoices')
    expect(body.data.map((invoice: { period: string }) => invoice.period)).toEqual(['2026-11', '2026-10'])
    const first = (await get('/v1/invoices?limit=1')).body
    const second = (await get(`/v1/invoices?limit=1&cursor=${first.next_cursor}`)).body
    expect([first.data[0], second.data[0], second.next_cursor, first.total]).toEqual([...body.data, null, 2])
  })
})
