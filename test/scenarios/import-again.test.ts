// A history that is imported again, grown longer: what is new is added, late facts rebuild what is not invoiced yet,
// and what is invoiced stays as it is.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesOf, lineOfRow, type Files } from '../support/history-files.ts'
import { before, makeHistory, type VendorEvent, type VendorHistory } from '../support/history.ts'
import {
  expectedLives,
  expectedSites,
  foundLives,
  foundSites,
  monthsBetween,
  recount,
} from '../support/import-facts.ts'
import { runImport } from '../support/imports.ts'
import { allInvoices, invoiceWords } from '../support/invoice-words.ts'
import { snapshot } from '../support/ledger.ts'
import { liveUntil } from '../support/midnights.ts'
import { createWorld, type World } from '../support/world.ts'

const history = makeHistory({
  seed: 31,
  from: '2025-12-10T00:00:00Z',
  until: '2026-05-20T11:00:00Z',
  licenses: 80,
})
const zones = history.accounts.map(({ zone }) => zone)

describe('a longer history, imported later', () => {
  const FIRST = '2026-05-02T12:00:00Z'
  const LATER = '2026-05-20T12:00:00Z'
  const shorter = before(history, FIRST)
  let stepwise: World
  let atOnce: World

  beforeAll(async () => {
    stepwise = await createWorld(FIRST)
    atOnce = await createWorld(LATER)
  })
  afterAll(() => Promise.all([stepwise.close(), atOnce.close()]))

  it('adds just what is new, account by account', async () => {
    await runImport(stepwise, filesOf(shorter), '2026-02')
    await liveUntil(stepwise, zones, LATER)
    const earlier = (await snapshot(stepwise)).invoices
    const grown = new Set(history.events.slice(shorter.events.length).map(({ account }) => account))
    const { outcomes, failures } = await runImport(stepwise, filesOf(history), '2026-02')
    expect(failures).toEqual([])
    expect(outcomes).toEqual(
      Object.fromEntries(history.accounts.map(({ account }) => [account, grown.has(account) ? 'done' : 'unchanged'])),
    )
    expect((await snapshot(stepwise)).invoices).toEqual(earlier)
    expect(await foundLives(stepwise)).toEqual(expectedLives(history))
    expect(await foundSites(stepwise)).toEqual(expectedSites(history))
  })

  it('and comes to the same as the longer one at once, invoices included', async () => {
    await runImport(atOnce, filesOf(history), '2026-02')
    for (const world of [stepwise, atOnce]) await liveUntil(world, zones, '2026-06-10T12:00:00Z')
    expect(await foundLives(stepwise)).toEqual(await foundLives(atOnce))
    expect(await foundSites(stepwise)).toEqual(await foundSites(atOnce))
    const invoices = await invoiceWords(stepwise)
    expect(invoices).toHaveLength(6 * 4)
    expect(invoices).toEqual(await invoiceWords(atOnce))
    expect(await recount(stepwise, history, monthsBetween('2026-02', '2026-05'))).toEqual([])
  })
})

const known = before(history, '2026-04-01T00:00:00Z')
/** A life of ten days that nobody had told of. */
const lateLife = (account: string, from: string, until: string): VendorEvent[] => {
  const base = { account, license: 'late', product: 'security', site: null, client: null }
  return [
    { ...base, at: Date.parse(from), event: 'issue' },
    { ...base, at: Date.parse(until), event: 'revoke' },
  ]
}
const plus = (more: readonly VendorEvent[]): { grown: VendorHistory; files: Files } => {
  const grown = { ...known, events: [...known.events, ...more] }
  return { grown, files: filesOf(grown) }
}
const MONTHS = monthsBetween('2026-01', '2026-04')

describe('a fact that comes late', () => {
  let world: World
  const inApril = lateLife('p3', '2026-04-10T08:00:00Z', '2026-04-19T08:00:00Z')
  beforeAll(async () => {
    world = await createWorld('2026-05-04T12:00:00Z')
    await runImport(world, filesOf(known), '2026-01')
    await world.tick()
  })
  afterAll(() => world.close())

  const draftOf = async (account: string) =>
    await world.db.prisma.$queryRaw<{ id: string; total: bigint; number: string | null }[]>`
      SELECT i.id, i.total, i.number FROM invoices i JOIN accounts a ON a.id = i.account_id
      WHERE a.external_id = ${account} AND i.period_start = '2026-04-01'`

  it('in a month that is closed, not invoiced, rebuilds its days and its draft, which stays the same', async () => {
    const [was] = await draftOf('p3')
    expect(was).toMatchObject({ number: null })
    const { grown, files } = plus(inApril)
    const { outcomes, failures } = await runImport(world, files, '2026-01')
    expect([outcomes, failures]).toEqual([
      { p1: 'unchanged', p2: 'unchanged', p3: 'done', p4: 'unchanged', p5: 'unchanged', p6: 'unchanged' },
      [],
    ])
    await world.tick()
    const all = await draftOf('p3')
    // Ten days at 24.95 × 12 / 365, on a line of its own or within one: 8.20 and a half cent to either side.
    expect(all).toHaveLength(1)
    expect(all[0]).toMatchObject({ id: was!.id, number: null })
    expect([819n, 820n, 821n]).toContain(all[0]!.total - was!.total)
    expect(await recount(world, grown, MONTHS)).toEqual([])
  })

  it('in an invoiced month refuses its account, naming line and field, and changes nothing of it', async () => {
    const { files } = plus([...inApril, ...lateLife('p1', '2026-04-10T08:00:00Z', '2026-04-19T08:00:00Z')])
    const was = await snapshot(world)
    const { outcomes, failures } = await runImport(world, files, '2026-01')
    const { length } = files['events.csv']!.rows
    expect(outcomes).toMatchObject({ p1: 'refused', p2: 'unchanged', p3: 'unchanged' })
    expect(failures).toEqual(
      [length - 2, length - 1].map((row) => ({
        ...{ file: 'events.csv', line: lineOfRow(row), account: 'p1', field: 'at' },
        message: expect.stringContaining('month_closed'),
      })),
    )
    await world.tick()
    const is = await snapshot(world)
    for (const table of [
      'accounts',
      'licenses',
      'usage_days',
      'closed_months',
      'invoices',
      'invoice_lines',
      'audit_entries',
    ]) {
      expect([table, is[table]]).toEqual([table, was[table]])
    }
  })

  it('in the last second of an invoiced month is refused, and in the first of the next it is taken', async () => {
    // Midnight of May in Berlin.
    const late = (at: string) =>
      runImport(world, plus([...inApril, ...lateLife('p1', at, '2026-05-02T08:00:00Z')]).files, '2026-01')
    expect((await late('2026-04-30T21:59:59Z')).outcomes).toMatchObject({ p1: 'refused' })
    expect((await late('2026-04-30T22:00:00Z')).outcomes).toMatchObject({ p1: 'done', p2: 'unchanged' })
  })

  it('and every invoice goes out as usual', async () => {
    await liveUntil(world, zones, '2026-05-09T12:00:00Z')
    const { grown } = plus(inApril)
    expect(await recount(world, grown, MONTHS)).toEqual([])
    for (const { invoices } of await allInvoices(world))
      expect(invoices.map(({ number }) => number)).not.toContain(null)
  })
})

describe('a fact that comes late into a month of nothing', () => {
  const accounts = history.accounts
    .filter(({ account }) => account === 'p3' || account === 'p6')
    .map((one) => ({ ...one, zone: 'UTC' }))
  let world: World
  beforeAll(async () => {
    world = await createWorld('2026-05-03T00:00:00Z')
    await runImport(world, filesOf({ ...history, accounts, prices: list, events: [] }), '2026-03')
  })
  afterAll(() => world.close())
  const list = history.prices.filter(({ account }) => account === '')

  it('is drafted until the invoice day begins, and refused from then on', async () => {
    const late = (account: string): VendorEvent[] => lateLife(account, '2026-04-10T08:00:00Z', '2026-04-19T08:00:00Z')
    // The invoice day of p3 is the 8th, that of p6 the 3rd, which has just begun.
    const grown = { accounts, prices: list, events: late('p3') }
    const files = filesOf({ ...grown, events: [...grown.events, ...late('p6')] })
    const { outcomes, failures } = await runImport(world, files, '2026-03')
    expect(outcomes).toEqual({ p3: 'done', p6: 'refused' })
    expect(failures).toMatchObject([3, 4].map((row) => ({ line: row + 1, account: 'p6', field: 'at' })))
    await world.tick()
    expect((await allInvoices(world)).map(({ invoices }) => invoices.map(({ period }) => period))).toEqual([
      ['2026-04'],
      [],
    ])
    expect(await recount(world, grown, ['2026-03', '2026-04'])).toEqual([])
  })
})
