// What money and roles allow, through the API: the rest of licenses.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Role } from '../../../jobs/rules/gate.ts'
import { act, createProduct, createWorld, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, keyOf, licensesOf, waited } from './support.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
})
afterAll(() => world.close())

const issue = (account: TestAccount, key = account.key) =>
  waited(world, '/v1/licenses', { key, body: { product: 'backup' } })
const gates = async (account: TestAccount) => (await world.call('GET', '/v1/account', { key: account.key })).body.gates

describe('a card on file', () => {
  it('none: issuing is refused with 402, and the account says so beforehand', async () => {
    const account = await world.account()
    expect((await gates(account)).issue).toEqual({ allowed: false, code: 'payment_method_required' })
    expectProblem(await issue(account), 402, 'payment_method_required')
    const action = await act(world, account, '/v1/licenses', { product: 'backup' })
    expect(action).toMatchObject({ status: 'refused', result: null, error: { code: 'payment_method_required' } })
    expect((await licensesOf(world, account)).total).toBe(0)
  })

  it('none, where none is required: issuing is allowed', async () => {
    const account = await world.account({ card_required: false })
    expect((await gates(account)).issue).toEqual({ allowed: true })
    expect((await issue(account)).status).toBe(201)
  })

  it('one: issuing is allowed; without cards licenses are still assigned, unassigned and revoked', async () => {
    const account = await world.account()
    await world.card(account)
    const { body, status } = await issue(account)
    expect(status).toBe(201)
    await asSuperuser(world, `UPDATE payment_methods SET removed_at = now(), "primary" = false WHERE account_id = $1`, [
      account.uuid,
    ])
    expectProblem(await issue(account), 402, 'payment_method_required')
    const path = `/v1/licenses/${body.licenses[0].id}`
    for (const [what, words] of [['assign', { site: { url: 'a.example' } }], ['unassign'], ['revoke']] as const) {
      expect((await waited(world, `${path}/${what}`, { key: account.key, body: words })).status).toBe(200)
    }
  })

  it('an expired one does not count, from the first day after its month', async () => {
    const account = await world.account()
    const setup = await world.call('POST', '/v1/payment-methods/setup', { key: account.key, body: {} })
    expect(await world.standIn.enterCard(setup.body.url, { number: '4242424242424242', exp: '10/26' })).toBeNull()
    await world.drain()
    const cards = async () => (await world.call('GET', '/v1/payment-methods', { key: account.key })).body.data
    await world.at('2026-10-31T23:59:59Z')
    expect((await issue(account)).status).toBe(201)
    expect(await cards()).toMatchObject([{ last4: '4242', state: 'active', primary: true }])
    await world.at('2026-11-01T00:00:00Z')
    expect((await gates(account)).issue).toEqual({ allowed: false, code: 'payment_method_required' })
    expectProblem(await issue(account), 402, 'payment_method_required')
    expect(await cards()).toMatchObject([{ last4: '4242', state: 'expired', primary: true }])
  })
})

describe('an invoice past due', () => {
  let debtor: TestAccount
  let license: string
  let late: World
  beforeAll(async () => {
    late = await createWorld('2026-10-01T12:00:00Z')
    await createProduct(late, 'backup', '10.00')
    // A cap of zero: every invoice is sent, none charged.
    debtor = await late.account({ card_required: false, autopay_cap: 0 })
    license = (await act(late, debtor, '/v1/licenses', { product: 'backup', site: { url: 'a.example' } })).result
      .licenses[0].id
    await late.at('2026-11-03T12:00:00Z')
    await late.tick()
  })
  afterAll(() => late.close())
  const post = (path: string, body?: unknown) => waited(late, path, { key: debtor.key, body })

  it('on the day it is due nothing is refused', async () => {
    await late.at('2026-11-17T23:59:59Z')
    const { body } = await late.call('GET', '/v1/invoices', { key: debtor.key })
    expect(body.data).toMatchObject([{ status: 'open', due_on: '2026-11-17', past_due: false }])
    expect((await post('/v1/licenses', { product: 'backup' })).status).toBe(201)
  })

  it('the day after, issue and assign are refused, unassign and revoke are not', async () => {
    await late.at('2026-11-18T00:00:00Z')
    const { gates: now } = (await late.call('GET', '/v1/account', { key: debtor.key })).body
    for (const action of ['issue', 'assign']) expect(now[action]).toEqual({ allowed: false, code: 'invoice_past_due' })
    for (const action of ['unassign', 'revoke', 'pay', 'edit_cards']) expect(now[action]).toEqual({ allowed: true })
    expectProblem(await post('/v1/licenses', { product: 'backup' }), 402, 'invoice_past_due')
    const refused = await post(`/v1/licenses/${license}/assign`, { site: { url: 'b.example' }, transfer: true })
    expectProblem(refused, 402, 'invoice_past_due')
    expect((await post(`/v1/licenses/${license}/unassign`)).body).toMatchObject({ state: 'unassigned' })
    expect((await post(`/v1/licenses/${license}/revoke`)).body).toMatchObject({ state: 'revoked' })
  })

  it('what was accepted in time is carried out, however late', async () => {
    const before = await createWorld('2026-10-01T12:00:00Z')
    try {
      await createProduct(before, 'backup', '10.00')
      const account = await before.account({ card_required: false, autopay_cap: 0 })
      await act(before, account, '/v1/licenses', { product: 'backup' })
      await before.at('2026-11-03T12:00:00Z')
      await before.tick()
      await before.at('2026-11-17T23:59:59Z')
      const accepted = await before.call('POST', '/v1/licenses', { key: account.key, body: { product: 'backup' } })
      await before.at('2026-11-18T09:00:00Z')
      await before.drain()
      const { body } = await before.call('GET', `/v1/actions/${accepted.body.id}`, { key: account.key })
      expect(body).toMatchObject({ status: 'done', result: { licenses: [{ issued_at: '2026-11-17T23:59:59.000Z' }] } })
    } finally {
      await before.close()
    }
  })
})

describe('roles hold in the API', () => {
  const MAY: Record<string, readonly Role[]> = {
    'POST /v1/licenses': ['owner', 'licenses'],
    'POST /v1/licenses/{id}/assign': ['owner', 'licenses'],
    'POST /v1/licenses/{id}/unassign': ['owner', 'licenses'],
    'POST /v1/licenses/{id}/revoke': ['owner', 'licenses'],
    'POST /v1/payment-methods/setup': ['owner', 'billing'],
    'PUT /v1/company': ['owner', 'billing'],
    'PATCH /v1/account': ['owner', 'billing'],
    'GET /v1/licenses': ['owner', 'licenses', 'billing', 'viewer'],
    'GET /v1/invoices': ['owner', 'licenses', 'billing', 'viewer'],
    'GET /v1/account': ['owner', 'licenses', 'billing', 'viewer'],
    'GET /v1/payment-methods': ['owner', 'licenses', 'billing', 'viewer'],
  }
  const BODY: Record<string, unknown> = {
    'POST /v1/licenses': { product: 'backup' },
    'POST /v1/licenses/{id}/assign': { site: { url: 'a.example' } },
  }

  it.each(['owner', 'billing', 'licenses', 'viewer'] as const)(
    '%s may do its own and is refused all else with 403',
    async (role) => {
      const account = await world.account({ card_required: false })
      const license = (await issue(account)).body.licenses[0].id as string
      const key = await keyOf(world, account, role)
      for (const [call, roles] of Object.entries(MAY)) {
        const [method, path] = call.split(' ') as [string, string]
        const body = BODY[call] ?? (method === 'GET' || path.includes('{id}') ? undefined : {})
        const answer = await world.call(method, path.replace('{id}', license), { key, body })
        if (!roles.includes(role)) expectProblem(answer, 403, 'forbidden')
        else
          expect([call, answer.status]).toEqual([
            call,
            path.startsWith('/v1/licenses') && method === 'POST' ? 202 : 200,
          ])
        await world.drain()
      }
      const [{ n }] = (await asSuperuser<{ n: number }>(
        world,
        `
      SELECT count(*)::int AS n FROM actions WHERE account_id = $1`,
        [account.uuid],
      )) as [{ n: number }]
      expect(n).toBe(role === 'owner' || role === 'licenses' ? 5 : 1)
    },
  )

  it('two roles add up, and the gates tell each key its own', async () => {
    const account = await world.account({ card_required: false })
    const key = await keyOf(world, account, 'viewer', 'licenses')
    expect((await issue(account, key)).status).toBe(201)
    const seen = async (of: string) => (await world.call('GET', '/v1/account', { key: of })).body.gates
    expect(await seen(key)).toMatchObject({ issue: { allowed: true }, pay: { allowed: false, code: 'forbidden' } })
    const viewer = await keyOf(world, account, 'viewer')
    for (const verdict of Object.values(await seen(viewer)))
      expect(verdict).toEqual({ allowed: false, code: 'forbidden' })
  })

  it('the worker asks again: a role taken away before the job ran is missed', async () => {
    const account = await world.account({ card_required: false })
    const key = await keyOf(world, account, 'licenses')
    const accepted = await world.call('POST', '/v1/licenses', { key, body: { product: 'backup' } })
    await asSuperuser(world, `UPDATE api_keys SET scopes = '{viewer}' WHERE hint = $1 AND account_id = $2`, [
      key.slice(-4),
      account.uuid,
    ])
    await world.drain()
    const { body } = await world.call('GET', `/v1/actions/${accepted.body.id}`, { key: account.key })
    expect(body).toMatchObject({ status: 'refused', error: { code: 'forbidden' } })
  })

  it('an operator acts for an account, and the history says who it was', async () => {
    const account = await world.account({ card_required: false })
    const headers = { 'Perdiem-Account': account.id }
    const { body } = await waited(world, '/v1/licenses', {
      key: world.operatorKey,
      headers,
      body: { product: 'backup' },
    })
    const { history } = (await world.call('GET', `/v1/licenses/${body.licenses[0].id}`, { key: account.key })).body
    const [operator] = await asSuperuser<{ id: string }>(world, `SELECT id FROM api_keys WHERE account_id IS NULL`)
    expect(history).toMatchObject([{ event: 'license.issued', actor: `key:${operator!.id}` }])
  })
})
