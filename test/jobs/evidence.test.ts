// Which site a billed day belongs to: the one the license stood on last that day (domain.md, Evidence).
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidence } from '../../jobs/usage/evidence.ts'
import { act, createProduct, createWorld, type TestAccount, type World } from '../support/world.ts'

describe('a billed day belongs to the site the license stood on last that day', () => {
  let world: World
  let account: TestAccount
  const site = (name: string) => ({ url: `https://${name}.example` })
  const move = (license: string, to: string) =>
    act(world, account, `/v1/licenses/${license}/assign`, { site: site(to), transfer: true })

  beforeAll(async () => {
    world = await createWorld('2026-10-29T12:00:00Z')
    await createProduct(world, 'backup', '4.95')
    account = await world.account({ card_required: false })
  })
  afterAll(() => world.close())

  it('moved in the instant it was assigned, revoked at midnight: each day has one site', async () => {
    const issued = await act(world, account, '/v1/licenses', { product: 'backup', quantity: 12, site: site('p') })
    const ids: string[] = issued.result.licenses.map((license: { id: string }) => license.id)
    // The clock stands still: p, q and r all begin in one instant. Each of twelve, so that chance cannot pass.
    for (const id of ids) await move(id, 'q')
    for (const id of ids.slice(0, 6)) await move(id, 'r')
    await world.at('2026-10-30T00:00:00Z')
    for (const id of ids.slice(6)) await act(world, account, `/v1/licenses/${id}/revoke`)
    await world.at('2026-11-01T00:00:00Z')
    await world.tick()
    const rows = await world.db.withAccount(account.uuid, (tx) =>
      evidence(tx, account.uuid, '2026-10-01', '2026-10-31'),
    )
    const sums = Map.groupBy(rows, (row) => row.site)
    const days = [...sums].map(([where, list]) => [where, list.reduce((sum, row) => sum + Number(row.days), 0)])
    // Six on r: the 29th to the 31st, 6 × 3 = 18. Six on q, revoked at 00:00:00 on the 30th: the 29th and the 30th, 12.
    expect(days.sort()).toEqual([
      ['https://q.example', 12],
      ['https://r.example', 18],
    ])
  })
})
