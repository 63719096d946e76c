// Products and prices, and the line in the audit log of every change: the rest of admin.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type Answer, type World } from '../../support/world.ts'
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

  it('a price that would change a closed month is refused', async () => {
    const closed = await createWorld('2026-10-01T12:00:00Z')
    try {
      await createProduct(closed, 'backup', '10.00')
      const account = await closed.account({ card_required: false })
      await act(closed, account, '/v1/licenses', { product: 'backup' })
      await closed.at('2026-11-01T12:00:00Z')
      await closed.tick()
      const set = (effective_from: string) =>
        closed.call('POST', '/v1/admin/prices', {
          body: { product: 'backup', currency: 'usd', model: 'per_day', monthly_amount: '1', effective_from },
        })
      expectProblem(await set('2026-10-31'), 409, 'month_closed', 'effective_from')
      expect((await set('2026-11-01')).status).toBe(201)
    } finally {
      await closed.close()
    }
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
