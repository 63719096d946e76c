// Products and prices, and the line in the audit log of every change: the rest of admin.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, recorded, unknownId } from './support.ts'

let world: World
let actor: string
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
  const [key] = await asSuperuser<{ id: string }>(world, 'SELECT id FROM api_keys WHERE account_id IS NULL')
  actor = `key:${key!.id}`
})
afterAll(() => world.close())

const admin = (method: string, what: string, body?: unknown): Promise<Answer> =>
  world.call(method, `/v1/admin/${what}`, { body })
const create = (fields: object = {}) => admin('POST', 'accounts', { name: 'A', currency: 'usd', ...fields })

interface Entry {
  action: string
  actor: string
  subject: string
  account_id: string | null
  details: object
  at: Date
}
/** The lines a call added to the audit log. */
async function audited(call: () => Promise<Answer>): Promise<{ answer: Answer; entries: Entry[] }> {
  const [last] = await asSuperuser<{ seq: string }>(world, 'SELECT coalesce(max(seq), 0) AS seq FROM audit_entries')
  const answer = await call()
  const entries = await asSuperuser<Entry>(
    world,
    `
    SELECT action, actor, subject, account_id, details, at FROM audit_entries WHERE seq > $1 ORDER BY seq`,
    [last!.seq],
  )
  return { answer, entries }
}
const uuidOf = (id: string) => id.replace(/^[a-z]+_(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

describe('products', () => {
  it('are created and listed by slug', async () => {
    const { status, body } = await admin('POST', 'products', { slug: 'a_1-x', name: 'One', family: 'f' })
    expect([status, body]).toEqual([
      201,
      { id: expect.stringMatching(/^prod_/), object: 'product', slug: 'a_1-x', name: 'One', family: 'f' },
    ])
    const first = await admin('GET', 'products?limit=1')
    expect(first.body).toEqual({ data: [body], next_cursor: expect.any(String), total: 2 })
    const second = await admin('GET', `products?limit=1&cursor=${first.body.next_cursor}`)
    expect([second.body.data[0].slug, second.body.next_cursor]).toEqual(['backup', null])
  })

  it('a slug belongs to one', async () => {
    const before = await recorded(world)
    expectProblem(
      await admin('POST', 'products', { slug: 'backup', name: 'x', family: 'x' }),
      409,
      'slug_taken',
      'slug',
    )
    expect(await recorded(world)).toEqual(before)
  })
})

describe('prices', () => {
  const price = (fields: object = {}) =>
    admin('POST', 'prices', {
      product: 'backup',
      currency: 'usd',
      model: 'per_day',
      monthly_amount: '24.950000',
      effective_from: '2027-01-01',
      ...fields,
    })

  it('are set from a day on, for everybody', async () => {
    const { status, body } = await price()
    expect([status, body]).toEqual([
      201,
      {
        id: expect.stringMatching(/^price_/),
        object: 'price',
        product: 'backup',
        currency: 'usd',
        model: 'per_day',
        monthly_amount: '24.950000',
        effective_from: '2027-01-01',
        ends_on: null,
        bill_while_paused: false,
        account: null,
      },
    ])
  })

  it('there is one per product, currency, account and day', async () => {
    const account = (await create()).body.id
    const facts = { effective_from: '2027-02-01' }
    expect((await price(facts)).status).toBe(201)
    const before = await recorded(world)
    expectProblem(await price({ ...facts, monthly_amount: '1' }), 409, 'price_exists', 'effective_from')
    expect(await recorded(world)).toEqual(before)
    for (const other of [{ currency: 'eur' }, { effective_from: '2027-02-02' }, { account }]) {
      expect((await price({ ...facts, ...other })).status).toBe(201)
    }
    expectProblem(await price({ ...facts, account }), 409, 'price_exists', 'effective_from')
  })

  it("an account's own needs its currency, and the account to exist", async () => {
    const account = (await create({ currency: 'eur' })).body.id
    expectProblem(await price({ account }), 422, 'currency_mismatch', 'currency')
    expectProblem(await price({ account: unknownId('account') }), 422, 'unknown_account', 'account')
    expect((await price({ account, currency: 'eur' })).body.account).toBe(account)
  })

  it("an account's own beats the list whatever their dates, until it ends", async () => {
    await createProduct(world, 'own', '10.00')
    const {
      id,
      api_key: { secret: key },
    } = (await create()).body
    await price({
      product: 'own',
      account: id,
      monthly_amount: '7.3',
      effective_from: '2025-01-01',
      ends_on: '2026-10-02',
    })
    const shown = async () =>
      (await world.call('GET', '/v1/prices', { key })).body.data.find(
        ({ product }: { product: string }) => product === 'own',
      )
    expect(await shown()).toMatchObject({
      own: true,
      monthly_amount: '7.3',
      daily_amount: '0.240000',
      list_monthly_amount: '10',
    })
    await world.at('2026-10-02T00:00:00Z')
    expect(await shown()).toMatchObject({ own: false, monthly_amount: '10', list_monthly_amount: '10' })
  })

  it('are for full days paused as well, where that is asked for', async () => {
    const later = { effective_from: '2027-03-01' }
    const { status, body } = await price({ ...later, bill_while_paused: true })
    expect([status, body.bill_while_paused]).toEqual([201, true])
    const known = await asSuperuser<{ billed: boolean; day: string }>(
      world,
      `SELECT bill_while_paused AS billed, to_char(effective_from, 'YYYY-MM-DD') AS day FROM prices
       WHERE account_id IS NULL AND currency = 'usd' AND effective_from IN ('2027-01-01', '2027-03-01') ORDER BY 2`,
    )
    expect(known).toEqual([
      { billed: false, day: '2027-01-01' },
      { billed: true, day: '2027-03-01' },
    ])
  })
})

describe('a price for days that are over', () => {
  let closed: World
  let account: TestAccount
  beforeAll(async () => {
    closed = await createWorld('2026-10-01T12:00:00Z')
    await createProduct(closed, 'backup', '10.00')
    account = await closed.account({ card_required: false })
    await act(closed, account, '/v1/licenses', { product: 'backup' })
    await closed.at('2026-11-01T12:00:00Z')
    await closed.tick()
  })
  afterAll(() => closed.close())

  const set = (effective_from: string, monthly_amount: string, fields: object = {}) => {
    const body = { product: 'backup', currency: 'usd', model: 'per_day', effective_from, monthly_amount, ...fields }
    return closed.call('POST', '/v1/admin/prices', { body })
  }
  const shown = async () => {
    const [invoice, ...others] = (await closed.call('GET', '/v1/invoices', { key: account.key })).body.data
    expect(others).toEqual([])
    const lines = invoice.lines.map((line: { quantity: number; amount: { amount: number } }) => [
      line.quantity,
      line.amount.amount,
    ])
    return { id: invoice.id, status: invoice.status, total: invoice.total.amount, lines }
  }

  it('in a month that is a draft: it is drawn anew by the next close, and stays the same draft', async () => {
    const before = await shown()
    // 31 × 10.00 × 12/365 = 10.1917… → 10.19
    expect(before).toMatchObject({ status: 'draft', total: 1019, lines: [[31, 1019]] })
    expect((await set('2026-10-31', '365.00')).status).toBe(201)
    await closed.drain()
    // 30 × 10.00 × 12/365 = 9.8630… → 9.86, and 1 × 365.00 × 12/365 = 12.00
    const lines = [
      [30, 986],
      [1, 1200],
    ]
    const after = { id: before.id, status: 'draft', total: 2186, lines }
    expect(await shown()).toEqual(after)
    expect((await set('2026-10-01', '7.30', { account: account.id })).status).toBe(201)
    await closed.drain()
    // 31 × 7.30 × 12/365 = 7.44
    expect(await shown()).toEqual({ ...after, total: 744, lines: [[31, 744]] })
  })

  it('in a month that is invoiced: refused, and nothing changes', async () => {
    await closed.at('2026-11-03T12:00:00Z')
    await closed.tick()
    const invoiced = await shown()
    expect(invoiced).toMatchObject({ status: 'open', total: 744 })
    const before = await recorded(closed)
    for (const fields of [{}, { account: account.id }, { ends_on: '2026-11-01' }]) {
      expectProblem(await set('2026-10-30', '1', fields), 409, 'month_closed', 'effective_from')
    }
    expect(await recorded(closed)).toEqual(before)
    expect(await shown()).toEqual(invoiced)
    expect((await set('2026-11-01', '1')).status).toBe(201)
  })
})

describe('every change has a line in the audit log: who, what, on what, when', () => {
  it.each([
    ['account.created', () => create({ name: 'Audited' })],
    ['account.changed', async () => admin('PATCH', `accounts/${(await create()).body.id}`, { net_days: 7 })],
    ['product.created', () => admin('POST', 'products', { slug: 'audited', name: 'x', family: 'x' })],
    [
      'price.created',
      () =>
        admin('POST', 'prices', {
          product: 'backup',
          currency: 'usd',
          model: 'per_day',
          monthly_amount: '1',
          effective_from: '2028-01-01',
        }),
    ],
  ] as const)('%s', async (action, call) => {
    const { answer, entries } = await audited(call)
    expect([200, 201]).toContain(answer.status)
    expect(entries.at(-1)).toMatchObject({ action, actor, subject: uuidOf(answer.body.id), at: world.now() })
    expect(entries.at(-1)!.account_id).toBe(action.startsWith('account') ? uuidOf(answer.body.id) : null)
    expect(JSON.stringify(entries)).not.toMatch(/pd_acct_|@/)
  })

  it("settings.changed, and the account's own changes by the account's own key", async () => {
    const body = (await admin('GET', 'settings')).body
    expect((await audited(() => admin('PUT', 'settings', body))).entries).toMatchObject([
      { action: 'settings.changed', actor },
    ])
    const { api_key: key, id } = (await create()).body
    const own = { actor: `key:${uuidOf(key.id)}`, subject: uuidOf(id), account_id: uuidOf(id) }
    const call = (method: string, path: string, sent: object) => () =>
      world.call(method, path, { key: key.secret, body: sent })
    const edited = await audited(call('PATCH', '/v1/account', { autopay: false, billing_email: 'new@a.example' }))
    expect(edited.answer.body).toMatchObject({ autopay: false, billing_email: 'new@a.example' })
    expect(edited.entries).toEqual([
      expect.objectContaining({ ...own, action: 'account.changed', details: { fields: ['autopay', 'billing_email'] } }),
    ])
    const put = await audited(call('PUT', '/v1/company', { name: 'A Inc.', country: 'US' }))
    expect(put.answer.body).toEqual({ name: 'A Inc.', country: 'US' })
    expect(put.entries).toEqual([expect.objectContaining({ ...own, action: 'company.changed' })])
  })
})
