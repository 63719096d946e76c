// Lists of licenses and sites: filters, counts, pages. The rest of licenses.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type TestAccount, type World } from '../../support/world.ts'
import { licensesOf, sitesOf } from './support.ts'

let world: World
let account: TestAccount
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
  await createProduct(world, 'security', '24.95')
})
afterAll(() => world.close())

const issue = async (body: object = {}) => await act(world, account, '/v1/licenses', { product: 'backup', ...body })
const issueOne = async (site?: object): Promise<string> => (await issue(site && { site })).result.licenses[0].id
const revoke = (id: string) => act(world, account, `/v1/licenses/${id}/revoke`)

describe('lists', () => {
  interface Listed {
    id: string
    product: string
    state: string
  }
  let shown: Listed[]
  beforeAll(async () => {
    account = await world.account({ card_required: false })
    const first = (await issue({ quantity: 3 })).result.licenses as Listed[]
    await world.at('2026-10-01T16:00:00Z')
    await issue({ product: 'security', quantity: 2, site: { url: 'a.example' } })
    await issue({ quantity: 2, site: { url: 'b.example' } })
    await revoke(first[0]!.id)
    shown = (await licensesOf(world, account)).data
  })

  it('active ones, newest first, unless asked otherwise', async () => {
    expect(shown.map(({ product, state }) => `${product} ${state}`)).toEqual([
      'backup assigned',
      'backup assigned',
      'security assigned',
      'security assigned',
      'backup unassigned',
      'backup unassigned',
    ])
  })

  it('by state, product and site, alone and together', async () => {
    const [b, a] = await sitesOf(world, account)
    const queries: [string, number][] = [
      ['?state=active', 6],
      ['?state=assigned', 4],
      ['?state=unassigned', 2],
      ['?state=revoked', 1],
      ['?product=backup', 4],
      ['?product=security', 2],
      ['?product=none', 0],
      [`?site=${a.id}`, 2],
      [`?site=${b.id}`, 2],
      ['?state=assigned&product=backup', 2],
      [`?site=${a.id}&product=backup`, 0],
      [`?site=site_${'0'.repeat(32)}`, 0],
    ]
    for (const [query, count] of queries) {
      const { data, total } = await licensesOf(world, account, query)
      expect([query, data.length, total]).toEqual([query, count, count])
    }
  })

  it('the counts agree: issued = assigned + unassigned', async () => {
    const { body } = await world.call('GET', '/v1/licenses/counts', { key: account.key })
    expect(body).toEqual({ issued: 6, active: 6, assigned: 4, unassigned: 2, revoked: 1, all: 7 })
  })

  it.each([1, 2, 4, 100])('page by page, %i at a time, every row once though new ones come', async (limit) => {
    const before: Listed[] = (await licensesOf(world, account, '?limit=100')).data
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { data, next_cursor: next } = await licensesOf(
        world,
        account,
        `?limit=${limit}${cursor && `&cursor=${cursor}`}`,
      )
      expect(data.length).toBeLessThanOrEqual(limit)
      seen.push(...data.map((license: Listed) => license.id))
      cursor = next
      // Only the first page may be disturbed by what is issued in between, and it was already read.
      if (seen.length === limit) await issueOne()
    }
    expect(seen).toEqual(before.map(({ id }) => id))
  })

  it('sites, page by page, every row once', async () => {
    const all = (await sitesOf(world, account)).map((site) => site.id)
    const first = (await world.call('GET', '/v1/sites?limit=1', { key: account.key })).body
    const second = (await world.call('GET', `/v1/sites?limit=1&cursor=${first.next_cursor}`, { key: account.key })).body
    expect([first.data[0].id, second.data[0].id, second.next_cursor, first.total]).toEqual([...all, null, 2])
  })
})
