// The same key and body lead to the same answer, however often and however close together they come.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, keyOf, licensesOf, recorded, waited } from './support.ts'

let world: World
let account: TestAccount
let number = 0
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
  account = await world.account({ card_required: false })
})
afterAll(() => world.close())

const newKey = (): string => `key-${(number += 1)}`
const issue = (key: string, body: object = { product: 'backup' }, of = account.key) =>
  world.call('POST', '/v1/licenses', { key: of, body, headers: { 'Idempotency-Key': key } })
const admin = (what: string, body: object, key: string, of = world.operatorKey) =>
  world.call('POST', `/v1/admin/${what}`, { key: of, body, headers: { 'Idempotency-Key': key } })
const total = async (of = account) => (await licensesOf(world, of)).total as number

describe('calls that record an action', () => {
  it('the same key and body lead to the same action, and to one license', async () => {
    const [key, before] = [newKey(), await total()]
    const first = await issue(key)
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([202, null])
    const second = await issue(key)
    expect([second.status, second.body.id, second.headers.get('idempotent-replayed')]).toEqual([
      202,
      first.body.id,
      'true',
    ])
    await world.drain()
    const third = await issue(key)
    expect(third.body).toMatchObject({
      id: first.body.id,
      status: 'done',
      result: { licenses: [{ state: 'unassigned' }] },
    })
    expect(third.headers.get('location')).toBe(first.headers.get('location'))
    await world.drain()
    expect(await total()).toBe(before + 1)
  })

  it('the same request otherwise written is the same request', async () => {
    const key = newKey()
    const first = await issue(key, { product: 'backup', site: { url: 'https://a.example', client: 'A' } })
    const body = '{ "quantity": 1.0, "site": {"client":" A ", "url":"a.example/"}, "product":"backup" }'
    const second = await world.call('POST', '/v1/licenses', {
      key: account.key,
      body,
      headers: { 'Idempotency-Key': key },
    })
    expect([second.status, second.body.id]).toEqual([202, first.body.id])
  })

  it('another body, path or license with that key is 409', async () => {
    const key = newKey()
    const [license] = (
      await waited(world, '/v1/licenses', {
        key: account.key,
        body: { product: 'backup' },
        headers: { 'Idempotency-Key': key },
      })
    ).body.licenses
    const before = await recorded(world)
    expectProblem(
      await issue(key, { product: 'backup', quantity: 2 }),
      409,
      'idempotency_key_reused',
      'Idempotency-Key',
    )
    expectProblem(
      await issue(key, { product: 'backup', site: { url: 'a.example' } }),
      409,
      'idempotency_key_reused',
      'Idempotency-Key',
    )
    const revoke = await world.call('POST', `/v1/licenses/${license.id}/revoke`, {
      key: account.key,
      headers: { 'Idempotency-Key': key },
    })
    expectProblem(revoke, 409, 'idempotency_key_reused', 'Idempotency-Key')
    expect(await recorded(world)).toEqual(before)
  })

  it('ten at once are one action and one license: each is answered with it, or that it is in progress', async () => {
    for (let round = 0; round < 3; round += 1) {
      const [key, before] = [newKey(), await total()]
      const answers = await Promise.all(Array.from({ length: 10 }, () => issue(key)))
      const accepted = answers.filter(({ status }) => status === 202)
      expect(new Set(accepted.map(({ body }) => body.id)).size).toBe(1)
      expect(accepted.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1)
      for (const other of answers.filter(({ status }) => status !== 202)) {
        expectProblem(other, 409, 'idempotency_in_progress', 'Idempotency-Key')
      }
      await world.drain()
      expect(await total()).toBe(before + 1)
    }
  })

  it('keys are per account; the keys of one account share them', async () => {
    const [key, other] = [newKey(), await world.account({ card_required: false })]
    const mine = await issue(key)
    const theirs = await issue(key, { product: 'backup', quantity: 2 }, other.key)
    expect([theirs.status, theirs.headers.get('idempotent-replayed')]).toEqual([202, null])
    expect(theirs.body.id).not.toBe(mine.body.id)
    const colleague = await issue(key, { product: 'backup' }, await keyOf(world, account, 'licenses'))
    expect(colleague.body.id).toBe(mine.body.id)
    await world.drain()
    expect(await total(other)).toBe(2)
  })

  it('a refusal is an answer, too: the same key gives it again', async () => {
    const poor = await world.account()
    const headers = { 'Idempotency-Key': newKey() }
    const body = { product: 'backup' }
    const first = await waited(world, '/v1/licenses', { key: poor.key, body, headers })
    expectProblem(first, 402, 'payment_method_required')
    await world.card(poor)
    const second = await world.call('POST', '/v1/licenses', {
      key: poor.key,
      body,
      headers: { ...headers, Prefer: 'wait=1' },
    })
    expectProblem(second, 402, 'payment_method_required')
  })

  it('a request that was not understood does not burn the key', async () => {
    const [key, before] = [newKey(), await total()]
    expectProblem(await issue(key, { product: 'backup', quantity: 0 }), 400, 'invalid_request', 'quantity')
    expectProblem(await issue(key, { product: 'nothing' }), 422, 'unknown_product', 'product')
    expectProblem(await issue(key, { product: 'backup' }, await keyOf(world, account, 'viewer')), 403, 'forbidden')
    expect((await issue(key)).status).toBe(202)
    await world.drain()
    expect(await total()).toBe(before + 1)
  })

  it.each(['', ' ', 'a b', 'ä', 'x'.repeat(256)])('a key that is none is refused, not ignored: %j', async (key) => {
    const before = await recorded(world)
    expectProblem(await issue(key), 400, 'invalid_idempotency_key', 'Idempotency-Key')
    expectProblem(
      await admin('products', { slug: 'never', name: 'x', family: 'x' }, key),
      400,
      'invalid_idempotency_key',
      'Idempotency-Key',
    )
    expect(await recorded(world)).toEqual(before)
  })

  it('255 characters are a key', async () => {
    expect((await issue('x'.repeat(255))).status).toBe(202)
  })
})

describe('calls that write at once', () => {
  it('an account is created once, and its secret shown again to the same key only', async () => {
    const key = newKey()
    const first = await admin('accounts', { name: 'Once', currency: 'usd', external_id: 'once' }, key)
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([201, null])
    const second = await admin('accounts', { external_id: 'once', currency: 'usd', name: 'Once', timezone: 'UTC' }, key)
    expect([second.status, second.headers.get('idempotent-replayed')]).toEqual([201, 'true'])
    expect(second.body).toEqual(first.body)
    expect((await world.call('GET', '/v1/account', { key: second.body.api_key.secret })).body.id).toBe(first.body.id)
    expectProblem(
      await admin('accounts', { name: 'Twice', currency: 'usd' }, key),
      409,
      'idempotency_key_reused',
      'Idempotency-Key',
    )
    expectProblem(
      await admin('products', { slug: 'once', name: 'x', family: 'x' }, key),
      409,
      'idempotency_key_reused',
      'Idempotency-Key',
    )
    const rows = await asSuperuser<{ all: string }>(
      world,
      `SELECT string_agg(r::text, ' ') AS all FROM idempotency_records r`,
    )
    expect(rows[0]!.all).not.toContain(first.body.api_key.secret)
    expect(rows[0]!.all).not.toContain(Buffer.from(first.body.api_key.secret).toString('hex'))
  })

  it('ten at once are one account', async () => {
    const key = newKey()
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => admin('accounts', { name: 'Crowd', currency: 'usd' }, key)),
    )
    const created = answers.filter(({ status }) => status === 201)
    expect(new Set(created.map(({ body }) => body.api_key.secret)).size).toBe(1)
    for (const other of answers.filter(({ status }) => status !== 201))
      expectProblem(other, 409, 'idempotency_in_progress')
    expect((await world.call('GET', '/v1/admin/accounts?q=Crowd')).body.total).toBe(1)
  })

  it('what was refused does not burn the key', async () => {
    const key = newKey()
    const product = { slug: 'kept', name: 'Kept', family: 'x' }
    expectProblem(await admin('products', { ...product, slug: 'Kept!' }, key), 400, 'invalid_request', 'slug')
    expectProblem(await admin('products', { ...product, slug: 'backup' }, key), 409, 'slug_taken', 'slug')
    const made = await admin('products', product, key)
    expect([made.status, made.headers.get('idempotent-replayed')]).toEqual([201, null])
    expect((await admin('products', product, key)).body).toEqual(made.body)
  })

  it('opening the card page twice with one key opens one page; another body is 409', async () => {
    const headers = { 'Idempotency-Key': newKey() }
    const open = (body: object): Promise<Answer> =>
      world.call('POST', '/v1/payment-methods/setup', { key: account.key, body, headers })
    const first = await open({})
    expect(first.status).toBe(200)
    const second = await open({})
    expect(second.body).toEqual(first.body)
    expectProblem(await open({ primary: false }), 409, 'idempotency_key_reused', 'Idempotency-Key')
  })
})

describe('after 30 days', () => {
  it('a key is kept for 30 days, and then free again', async () => {
    const keys = { action: newKey(), account: newKey() }
    const action = await issue(keys.action)
    const made = await admin('accounts', { name: 'Long', currency: 'usd' }, keys.account)
    await world.drain()
    const before = await total()

    await world.at('2026-10-31T12:00:00Z')
    expect((await issue(keys.action)).body.id).toBe(action.body.id)
    expectProblem(await issue(keys.action, { product: 'backup', quantity: 2 }), 409, 'idempotency_key_reused')
    expect((await admin('accounts', { name: 'Long', currency: 'usd' }, keys.account)).body).toEqual(made.body)

    await world.at('2026-10-31T12:00:01Z')
    const fresh = await issue(keys.action, { product: 'backup', quantity: 2 })
    expect([fresh.status, fresh.headers.get('idempotent-replayed')]).toEqual([202, null])
    expect(fresh.body.id).not.toBe(action.body.id)
    expect((await issue(keys.action, { product: 'backup', quantity: 2 })).body.id).toBe(fresh.body.id)
    await world.drain()
    expect(await total()).toBe(before + 2)
    const again = await admin('accounts', { name: 'Long', currency: 'usd' }, keys.account)
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, null])
    expect(again.body.id).not.toBe(made.body.id)
    // The action that held the key is still there to be read.
    expect((await world.call('GET', `/v1/actions/${action.body.id}`, { key: account.key })).body.status).toBe('done')
  })
})
