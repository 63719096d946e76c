// One history twice: lived through the API, each event an action at its instant, and imported when it was over. Both
// worlds come to the same invoices.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesOf } from '../support/history-files.ts'
import { makeHistory, type VendorEvent } from '../support/history.ts'
import { recount } from '../support/import-facts.ts'
import { runImport } from '../support/imports.ts'
import { invoiceWords } from '../support/invoice-words.ts'
import { liveUntil } from '../support/midnights.ts'
import { act, createWorld, type TestAccount, type World } from '../support/world.ts'

/** Within the first of the month in all six zones, so that all of March is billed in both worlds. */
const BEGINS = '2026-03-01T09:00:00Z'
const ENDS = '2026-05-09T12:00:00Z'

// The clocks change in March and April in four of the six zones.
const history = makeHistory({ seed: 3, from: BEGINS, until: '2026-05-01T20:00:00Z', licenses: 45 })
const zones = history.accounts.map(({ zone }) => zone)

const made = async (world: World, path: string, body: object): Promise<void> => {
  const { status, body: answer } = await world.call('POST', path, { body })
  if (status !== 201 && status !== 409) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`)
}

async function openShop(world: World): Promise<Map<string, TestAccount>> {
  const accounts = new Map<string, TestAccount>()
  for (const { account, name, currency, zone, invoiceDay } of history.accounts) {
    // Nobody pays here, and an invoice past due would refuse what follows.
    const terms = { currency, timezone: zone, invoice_day: invoiceDay, card_required: false, net_days: 90 }
    accounts.set(account, await world.account({ name, external_id: account, ...terms }))
  }
  for (const { product, currency, monthly, from, account } of history.prices) {
    await made(world, '/v1/admin/products', { slug: product, name: `The ${product}`, family: 'test' })
    const price = { product, currency, model: 'per_day', monthly_amount: monthly, effective_from: from }
    await made(world, '/v1/admin/prices', account === '' ? price : { ...price, account: accounts.get(account)!.id })
  }
  return accounts
}

/** Asks for one event, and gives the id of the license it issued. */
async function live(world: World, account: TestAccount, one: VendorEvent, id: string | undefined): Promise<string> {
  const words = one.site && {
    ...(one.site.url && { url: one.site.url }),
    ...(one.site.externalId && { external_id: one.site.externalId }),
    ...(one.client && { client: one.client }),
  }
  const site = words ? { site: words } : {}
  const [path, body] =
    one.event === 'issue'
      ? ['/v1/licenses', { product: one.product, ...site }]
      : [`/v1/licenses/${id}/${one.event}`, one.event === 'assign' ? site : undefined]
  const action = await act(world, account, path, body)
  if (action.status !== 'done') throw new Error(`${JSON.stringify(one)}: ${JSON.stringify(action)}`)
  return id ?? action.result.licenses[0].id
}

describe('a history lived, and the same one imported', () => {
  let lived: World
  let imported: World

  beforeAll(async () => {
    lived = await createWorld(BEGINS)
    imported = await createWorld(ENDS)
  })
  afterAll(() => Promise.all([lived.close(), imported.close()]))

  it('every event is an action that is done, midnights going by between them', async () => {
    const accounts = await openShop(lived)
    const licenses = new Map<string, string>()
    for (const one of history.events) {
      await liveUntil(lived, zones, new Date(one.at).toISOString())
      const id = await live(lived, accounts.get(one.account)!, one, licenses.get(one.license))
      licenses.set(one.license, id)
    }
    await liveUntil(lived, zones, ENDS)
    expect(licenses.size).toBe(45)
  }, 300_000)

  it('the import of it is taken whole', async () => {
    const { outcomes, failures } = await runImport(imported, filesOf(history), '2026-03')
    await imported.tick()
    expect(failures).toEqual([])
    expect(new Set(Object.values(outcomes))).toEqual(new Set(['done']))
  })

  it('both come to the same invoices: account, month, kind, lines and totals', async () => {
    const invoices = await invoiceWords(lived)
    expect(invoices).toHaveLength(6 * 2)
    expect(await invoiceWords(imported)).toEqual(invoices)
  })

  it('which are those of a plain count', async () => {
    for (const world of [lived, imported]) expect(await recount(world, history, ['2026-03', '2026-04'])).toEqual([])
  })
})
