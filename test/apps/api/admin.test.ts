// What operators do with accounts and settings.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type Answer, type World } from '../../support/world.ts'
import { expectProblem, recorded, unknownId } from './support.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

const admin = (method: string, what: string, body?: unknown): Promise<Answer> =>
  world.call(method, `/v1/admin/${what}`, { body })
const create = (fields: object = {}) => admin('POST', 'accounts', { name: 'A', currency: 'usd', ...fields })

describe('accounts', () => {
  it('what is left out has the defaults', async () => {
    const { status, body } = await create()
    expect(status).toBe(201)
    const { api_key: key, ...account } = body
    expect(account).toEqual({
      id: expect.stringMatching(/^acct_[0-9a-f]{32}$/),
      object: 'account',
      name: 'A',
      external_id: null,
      currency: 'usd',
      timezone: 'UTC',
      autopay: true,
      autopay_cap: 400_000,
      card_required: true,
      net_days: 14,
      invoice_day: 3,
      billing_email: null,
      po_number: null,
      company: {},
      created_at: '2026-10-01T12:00:00.000Z',
      closed_at: null,
    })
    expect(key).toEqual({ id: expect.stringMatching(/^key_/), secret: expect.stringMatching(/^pd_acct_[\w-]{43}$/) })
  })

  it('what is given is kept', async () => {
    const fields = {
      external_id: 'crm-1',
      currency: 'eur',
      timezone: 'Europe/Berlin',
      autopay_cap: 5,
      card_required: false,
      net_days: 30,
      invoice_day: 8,
      billing_email: 'a@a.example',
      po_number: 'PO 1',
      company: { name: 'A GmbH', country: 'DE' },
    }
    const { body } = await create(fields)
    expect(body).toMatchObject(fields)
    const { api_key: _, ...account } = body
    expect((await admin('GET', `accounts/${body.id}`)).body).toEqual(account)
  })

  it.each([
    ['usd', undefined, 400_000],
    ['usd', null, null],
    ['usd', 0, 0],
    ['usd', 1, 1],
    ['eur', undefined, null],
    ['eur', null, null],
    ['eur', 0, 0],
    ['jpy', undefined, null],
  ])('%s with an autopay cap of %s has %s', async (currency, cap, kept) => {
    const { body } = await create({ currency, ...(cap !== undefined && { autopay_cap: cap }) })
    expect(body.autopay_cap).toBe(kept)
  })

  it('the secret is shown once, and signs in as the owner', async () => {
    const { body } = await create()
    const { id, secret } = body.api_key
    expect((await world.call('GET', '/v1/account', { key: secret })).body).toMatchObject({
      id: body.id,
      gates: { revoke: { allowed: true } },
    })
    for (const what of [`accounts/${body.id}`, 'accounts']) {
      const text = JSON.stringify((await admin('GET', what)).body)
      expect(text).toContain(body.id)
      expect(text).not.toContain(secret)
      expect(text).not.toContain(id)
    }
  })

  it('an external id belongs to one account, also when two come at once', async () => {
    expect((await create({ external_id: 'taken' })).status).toBe(201)
    const before = await recorded(world)
    expectProblem(await create({ external_id: 'taken' }), 409, 'external_id_taken', 'external_id')
    expect(await recorded(world)).toEqual(before)
    const answers = await Promise.all(Array.from({ length: 5 }, () => create({ external_id: 'raced' })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409])
  })

  it.each(['Europe/Berlin', 'Pacific/Kiritimati', 'America/St_Johns', 'Asia/Kathmandu', 'Etc/GMT+12', 'UTC'])(
    'live in %s',
    async (timezone) => {
      expect((await create({ timezone })).body.timezone).toBe(timezone)
    },
  )

  it('are changed as named, and stay as they were otherwise', async () => {
    const { body } = await create({ external_id: 'edit', po_number: 'PO', billing_email: 'a@a.example', net_days: 30 })
    const { api_key: _, ...account } = body
    const change = (fields: object) => admin('PATCH', `accounts/${account.id}`, fields)
    expect((await change({ name: 'B', autopay_cap: null })).body).toEqual({ ...account, name: 'B', autopay_cap: null })
    expect((await change({ po_number: null, net_days: 0 })).body).toEqual({
      ...account,
      name: 'B',
      autopay_cap: null,
      po_number: null,
      net_days: 0,
    })
    expect((await change({})).body).toEqual((await admin('GET', `accounts/${account.id}`)).body)
    expectProblem(await admin('PATCH', `accounts/${unknownId('account')}`, { name: 'B' }), 404, 'not_found')
  })

  it('are listed newest first, found by name or external id, page by page', async () => {
    const made = []
    for (const name of ['Zebra 1', 'Zebra 2', 'Zebra 100%'])
      made.push((await create({ name, external_id: `Z-${name}` })).body.id)
    const ids = (answer: Answer): string[] => answer.body.data.map(({ id }: { id: string }) => id)
    expect(ids(await admin('GET', 'accounts?q=zebra'))).toEqual(made.toReversed())
    expect(ids(await admin('GET', 'accounts?q=z-zebra%201'))).toEqual([made[2], made[0]])
    expect(ids(await admin('GET', 'accounts?q=100%25'))).toEqual([made[2]])
    const first = await admin('GET', 'accounts?q=Zebra&limit=2')
    const second = await admin('GET', `accounts?q=Zebra&limit=2&cursor=${first.body.next_cursor}`)
    expect([...ids(first), ...ids(second)]).toEqual(made.toReversed())
    expect([first.body.total, second.body.next_cursor]).toEqual([3, null])
  })
})

describe('settings', () => {
  const settings = {
    issuer: {
      name: 'Vendor Inc.',
      address: ['1 Main St', 'Springfield'],
      tax_ids: ['EIN 1'],
      support: 'help@vendor.example',
    },
    series: 'VX',
  }
  it('are set as a whole and shown', async () => {
    expect((await admin('GET', 'settings')).body).toMatchObject({ series: 'PD', issuer: { name: 'Your company' } })
    expect((await admin('PUT', 'settings', settings)).body).toEqual(settings)
    expect((await admin('GET', 'settings')).body).toEqual(settings)
  })

  it('a part is not enough', async () => {
    expectProblem(await admin('PUT', 'settings', { series: 'AB' }), 400, 'invalid_request', 'issuer')
    expectProblem(await admin('PUT', 'settings', { ...settings, series: 'ab' }), 400, 'invalid_request', 'series')
    expect((await admin('GET', 'settings')).body).toEqual(settings)
  })
})
