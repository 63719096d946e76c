// Licenses through the API: issued, assigned, unassigned, revoked, listed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, licensesOf, sitesOf, waited } from './support.ts'

let world: World
let account: TestAccount
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
  await createProduct(world, 'security', '24.95')
})
afterAll(() => world.close())

const fresh = async (): Promise<TestAccount> => (account = await world.account({ card_required: false }))
const issue = async (body: object = {}) => await act(world, account, '/v1/licenses', { product: 'backup', ...body })
const issueOne = async (site?: object): Promise<string> => (await issue(site && { site })).result.licenses[0].id
const assign = (id: string, site: object, more: object = {}) =>
  act(world, account, `/v1/licenses/${id}/assign`, { site, ...more })
const unassign = (id: string) => act(world, account, `/v1/licenses/${id}/unassign`)
const revoke = (id: string) => act(world, account, `/v1/licenses/${id}/revoke`)
const show = async (id: string) => (await world.call('GET', `/v1/licenses/${id}`, { key: account.key })).body
const refusal = (code: string, path?: string) => ({
  status: 'refused',
  result: null,
  error: { code, ...(path && { path }) },
})

describe('issuing', () => {
  it.each([1, 2, 1_000])('%i at once are as many licenses, each with an id and a key of its own', async (quantity) => {
    await fresh()
    const action = await issue({ quantity })
    expect(action).toMatchObject({ object: 'action', kind: 'license.issue', status: 'done', error: null })
    const licenses = action.result.licenses as { id: string; key: string; issued_at: string }[]
    expect(new Set(licenses.map(({ id }) => id)).size).toBe(quantity)
    expect(new Set(licenses.map(({ key }) => key)).size).toBe(quantity)
    for (const license of licenses) {
      expect(license).toMatchObject({
        id: expect.stringMatching(/^lic_[0-9a-f]{32}$/),
        key: expect.stringMatching(/^backup_[0-9A-HJKMNP-TV-Z]{28}$/),
        object: 'license',
        product: 'backup',
        state: 'unassigned',
        site: null,
        issued_at: '2026-10-01T12:00:00.000Z',
        assigned_at: null,
        revoked_at: null,
      })
    }
    expect((await licensesOf(world, account)).total).toBe(quantity)
    const [entries] = await asSuperuser<{ n: number }>(
      world,
      `
      SELECT count(*)::int AS n FROM audit_entries WHERE account_id = $1 AND action = 'license.issued'`,
      [account.uuid],
    )
    expect(entries!.n).toBe(quantity)
  })

  it('left out, the quantity is one', async () => {
    await fresh()
    expect((await issue()).result.licenses).toHaveLength(1)
  })

  it('keys are not readable in the database', async () => {
    await fresh()
    const { key } = (await issue()).result.licenses[0]
    const [row] = await asSuperuser<{ all: string }>(
      world,
      `
      SELECT (SELECT string_agg(l::text, ' ') FROM licenses l) || (SELECT string_agg(a::text, ' ') FROM actions a)
        || (SELECT string_agg(e::text, ' ') FROM audit_entries e)
        || (SELECT string_agg(j::text, ' ') FROM staged_jobs j) AS all`,
    )
    expect(row!.all).not.toContain(key)
    expect(row!.all).not.toContain(Buffer.from(key).toString('hex'))
  })

  it('a site is known by its address, by its external id, or by both, and created once', async () => {
    await fresh()
    const byUrl = (await issue({ site: { url: 'https://a.example', client: 'A' } })).result.licenses[0]
    expect(byUrl).toMatchObject({
      state: 'assigned',
      assigned_at: byUrl.issued_at,
      site: { url: 'https://a.example', external_id: null, client: 'A' },
    })
    const byId = (await issue({ site: { external_id: '17' } })).result.licenses[0]
    expect(byId.site).toMatchObject({ url: null, external_id: '17', client: null })
    const both = (await issue({ quantity: 3, site: { url: 'b.example', external_id: '18' } })).result.licenses
    expect(new Set(both.map((license: { site: { id: string } }) => license.site.id)).size).toBe(1)
    expect(await sitesOf(world, account)).toHaveLength(3)

    const again = (await issue({ site: { external_id: '18' } })).result.licenses[0]
    expect(again.site).toEqual(both[0].site)
    const learned = (await issue({ site: { url: 'https://a.example', external_id: '16' } })).result.licenses[0]
    expect(learned.site).toEqual({ ...byUrl.site, external_id: '16' })
    expect(
      (await sitesOf(world, account)).map((site) => [site.url, site.external_id, site.client, site.licenses]),
    ).toEqual([
      ['https://b.example', '18', null, 4],
      [null, '17', null, 1],
      ['https://a.example', '16', 'A', 2],
    ])
  })

  it('one site has one spelling', async () => {
    await fresh()
    const spellings = [
      'https://C.example',
      'c.example/',
      ' https://c.example ',
      'https://c.example:443/',
      'https://c.example/#top',
      'HTTPS://c.example',
    ]
    for (const url of spellings) await issueOne({ url })
    const münchen = ['https://münchen.example', 'https://xn--mnchen-3ya.example/']
    for (const url of münchen) await issueOne({ url })
    expect((await sitesOf(world, account)).map((site) => [site.url, site.licenses])).toEqual([
      ['https://xn--mnchen-3ya.example', 2],
      ['https://c.example', 6],
    ])
  })

  it('url and external_id of two different sites are refused, and nothing is issued', async () => {
    await fresh()
    await issueOne({ url: 'a.example', external_id: '1' })
    await issueOne({ url: 'b.example', external_id: '2' })
    const before = [await licensesOf(world, account), await sitesOf(world, account)]
    for (const site of [
      { url: 'a.example', external_id: '2' },
      { url: 'a.example', external_id: '3' },
      { url: 'c.example', external_id: '1' },
    ]) {
      expect(await issue({ site })).toMatchObject(refusal('site_conflict', 'site'))
    }
    expect([await licensesOf(world, account), await sitesOf(world, account)]).toEqual(before)
  })

  it('a product without a price is refused: no_price', async () => {
    await fresh()
    await world.call('POST', '/v1/admin/products', { body: { slug: 'unpriced', name: 'x', family: 'test' } })
    expect(await issue({ product: 'unpriced' })).toMatchObject(refusal('no_price', 'product'))
    account = await world.account({ card_required: false, currency: 'eur' })
    expect(await issue()).toMatchObject(refusal('no_price', 'product'))
    expectProblem(
      await waited(world, '/v1/licenses', { key: account.key, body: { product: 'backup' } }),
      422,
      'no_price',
      'product',
    )
  })
})

describe('assigning, unassigning, revoking', () => {
  it('assigns to a new site, and once more to the same without a change', async () => {
    await fresh()
    const id = await issueOne()
    await world.at('2026-10-01T12:30:00Z')
    const first = await assign(id, { url: 'a.example', external_id: '1' })
    expect(first).toMatchObject({
      kind: 'license.assign',
      status: 'done',
      result: { license: { id, state: 'assigned' } },
    })
    await world.at('2026-10-01T12:40:00Z')
    for (const site of [{ url: 'a.example' }, { external_id: '1' }, { url: 'https://a.example/', external_id: '1' }]) {
      for (const more of [{}, { transfer: true }]) {
        expect((await assign(id, site, more)).result.license).toEqual(first.result.license)
      }
    }
    expect((await show(id)).history.map((entry: { event: string }) => entry.event)).toEqual([
      'license.issued',
      'license.assigned',
    ])
  })

  it('elsewhere only with transfer; a refused request creates no site', async () => {
    await fresh()
    const id = await issueOne({ url: 'a.example' })
    expect(await assign(id, { url: 'b.example' })).toMatchObject(refusal('license_assigned', 'transfer'))
    expect(await assign(id, { url: 'b.example' }, { transfer: false })).toMatchObject(
      refusal('license_assigned', 'transfer'),
    )
    expect((await sitesOf(world, account)).map((site) => site.url)).toEqual(['https://a.example'])
    await world.at('2026-10-01T13:00:00Z')
    const moved = await assign(id, { url: 'b.example' }, { transfer: true })
    expect(moved.result.license).toMatchObject({
      state: 'assigned',
      assigned_at: '2026-10-01T13:00:00.000Z',
      site: { url: 'https://b.example' },
    })
    expect((await sitesOf(world, account)).map((site) => [site.url, site.licenses])).toEqual([
      ['https://b.example', 1],
      ['https://a.example', 0],
    ])
    const past = await asSuperuser(world, `SELECT 1 FROM past_assignments WHERE account_id = $1`, [account.uuid])
    expect(past).toHaveLength(1)
  })

  it('to words of two sites is refused', async () => {
    await fresh()
    const id = await issueOne({ url: 'a.example' })
    await issueOne({ external_id: '2' })
    expect(await assign(id, { url: 'a.example', external_id: '2' }, { transfer: true })).toMatchObject(
      refusal('site_conflict', 'site'),
    )
  })

  it('unassigned twice: the second is refused; it stays active', async () => {
    await fresh()
    const id = await issueOne({ url: 'a.example' })
    expect((await unassign(id)).result.license).toMatchObject({
      state: 'unassigned',
      site: null,
      assigned_at: null,
      revoked_at: null,
    })
    expect(await unassign(id)).toMatchObject(refusal('license_not_assigned'))
    expect((await licensesOf(world, account)).total).toBe(1)
  })

  it('revoked twice: the second is refused and moves nothing; a revoked one is of no use', async () => {
    await fresh()
    const id = await issueOne({ url: 'a.example' })
    const first = (await revoke(id)).result.license
    expect(first).toMatchObject({ state: 'revoked', site: null, revoked_at: world.now().toISOString() })
    await world.at('2026-10-01T14:00:00Z')
    expect(await revoke(id)).toMatchObject(refusal('license_revoked'))
    expect(await unassign(id)).toMatchObject(refusal('license_revoked'))
    expect(await assign(id, { url: 'new.example' })).toMatchObject(refusal('license_revoked'))
    expect(await show(id)).toMatchObject(first)
    expect((await sitesOf(world, account)).map((site) => site.url)).toEqual(['https://a.example'])
  })

  it('what was accepted before any worker ran is carried out in the order of acceptance', async () => {
    await fresh()
    const id = await issueOne()
    const post = async (what: string, body?: unknown): Promise<string> => {
      const answer = await world.call('POST', `/v1/licenses/${id}/${what}`, { key: account.key, body })
      expect([answer.status, answer.body.status, answer.headers.get('location')]).toEqual([
        202,
        'queued',
        `/v1/actions/${answer.body.id}`,
      ])
      return answer.body.id
    }
    const asked = [
      await post('assign', { site: { url: 'a.example' } }),
      await post('revoke'),
      await post('assign', { site: { url: 'b.example' } }),
    ]
    // The worker hears of the last first.
    const jobs = await world.db.prisma.$queryRaw<{ action: string }[]>`
      SELECT payload ->> 'action' AS action FROM staged_jobs WHERE finished_at IS NULL ORDER BY created_at DESC`
    for (const { action } of jobs) await world.perform('licenses.apply-action', { action })
    await world.drain()
    const ends = await Promise.all(
      asked.map((action) => world.call('GET', `/v1/actions/${action}`, { key: account.key })),
    )
    expect(ends.map(({ body }) => [body.status, body.error?.code])).toEqual([
      ['done', undefined],
      ['done', undefined],
      ['refused', 'license_revoked'],
    ])
    const { state, history } = await show(id)
    expect([state, history.map((entry: { event: string }) => entry.event)]).toEqual([
      'revoked',
      ['license.issued', 'license.assigned', 'license.revoked'],
    ])
    expect((await sitesOf(world, account)).map((site) => site.url)).toEqual(['https://a.example'])
  })

  it('the history says what happened, when, by whom and where', async () => {
    await fresh()
    const id = await issueOne()
    await assign(id, { url: 'a.example' })
    await assign(id, { external_id: '7' }, { transfer: true })
    await unassign(id)
    await world.at('2026-10-01T15:00:00Z')
    await revoke(id)
    const { history } = await show(id)
    expect(history.map((entry: { event: string; site: string | null }) => [entry.event, entry.site])).toEqual([
      ['license.issued', null],
      ['license.assigned', 'https://a.example'],
      ['license.transferred', '7'],
      ['license.unassigned', '7'],
      ['license.revoked', null],
    ])
    for (const entry of history) expect(entry.actor).toMatch(/^key:/)
    expect(history.at(-1).at).toBe('2026-10-01T15:00:00.000Z')
  })
})
