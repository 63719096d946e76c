// A vendor's history is imported through the API, and becomes invoices: as many, of as many days and to the cent what a
// plain count of its events says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesOf } from '../support/history-files.ts'
import { makeHistory } from '../support/history.ts'
import {
  expectedLives,
  expectedSites,
  foundLives,
  foundSites,
  monthsBetween,
  recount,
} from '../support/import-facts.ts'
import { runImport, type Imported } from '../support/imports.ts'
import { allInvoices } from '../support/invoice-words.ts'
import { snapshot } from '../support/ledger.ts'
import { liveUntil } from '../support/midnights.ts'
import { createWorld, type World } from '../support/world.ts'

const history = makeHistory({
  seed: 20260502,
  from: '2025-10-03T00:00:00Z',
  until: '2026-05-02T11:00:00Z',
  licenses: 120,
})
const MONTHS = monthsBetween('2026-01', '2026-04')
const files = filesOf(history)
const zones = history.accounts.map(({ zone }) => zone)
const names = history.accounts.map(({ account }) => account)

/** What an import leaves of itself, beside what it was about. */
const OF_IMPORTS = ['imports', 'import_targets', 'import_failures', 'staged_jobs']
const business = (all: Record<string, string[]>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(all).filter(([table]) => !OF_IMPORTS.includes(table)))

describe('a history of months', () => {
  let world: World
  let imported: Imported

  beforeAll(async () => {
    world = await createWorld('2026-05-02T12:00:00Z')
    imported = await runImport(world, files, '2026-01')
    await liveUntil(world, zones, '2026-05-10T12:00:00Z')
  })
  afterAll(() => world.close())

  it('holds what makes it worth importing', () => {
    const { events } = history
    const local = events.map(({ at }) => new Date(at).toISOString())
    expect(new Set(zones).size).toBe(6)
    expect(local.filter((at) => at < '2026').length).toBeGreaterThan(30)
    expect(local.filter((at) => /[03]0:00\.000Z$/.test(at)).length).toBeGreaterThan(30)
    expect(local.filter((at) => /[25]9:59\.000Z$/.test(at)).length).toBeGreaterThan(30)
    expect(Object.keys(Object.groupBy(events, ({ event }) => event)).sort()).toEqual([
      ...['assign', 'issue', 'revoke', 'unassign'],
    ])
    const sites = events.flatMap(({ site }) => (site ? [Object.keys(site).sort().join()] : []))
    expect([...new Set(sites)].sort()).toEqual(['externalId', 'externalId,url', 'url'])
  })

  it('is taken whole: no row fails, every account is done', () => {
    expect(imported).toMatchObject({
      status: 'done',
      failures: [],
      outcomes: Object.fromEntries(names.map((name) => [name, 'done'])),
    })
  })

  it('licenses stand where their events left them, and stood where they were before', async () => {
    expect(await foundLives(world)).toEqual(expectedLives(history))
    expect(await foundSites(world)).toEqual(expectedSites(history))
  })

  it('each account has one final invoice per ended month, and their numbers rise with the months', async () => {
    for (const { account, invoices } of await allInvoices(world)) {
      expect([account, ...invoices.map(({ period }) => period)]).toEqual([account, ...MONTHS])
      const numbers = invoices.map(({ number }) => number)
      expect(numbers).toEqual(numbers.map(() => expect.stringMatching(/^PD-\d{6}$/)))
      expect(numbers).toEqual([...numbers].sort())
    }
  })

  it('numbers have no gap and no repeat over all accounts', async () => {
    const numbers = (await allInvoices(world)).flatMap(({ invoices }) => invoices.map(({ number }) => number)).sort()
    expect(numbers).toEqual(numbers.map((_, n) => `PD-${String(n + 1).padStart(6, '0')}`))
  })

  it('each account’s months were closed in order', async () => {
    const rows = await world.db.prisma.$queryRaw<{ account: string; months: string[] }[]>`
      SELECT a.external_id AS account, array_agg(e.details ->> 'month' ORDER BY e.seq) AS months
      FROM audit_entries e JOIN accounts a ON a.id = e.account_id WHERE e.action = 'invoice.drafted' GROUP BY 1
      ORDER BY 1`
    expect(rows).toEqual(names.map((account) => ({ account, months: MONTHS })))
  })

  it('days, lines and totals are what a plain count of the events says', async () => {
    expect(await recount(world, history, MONTHS)).toEqual([])
    // It would have noticed a single second that puts an end on another day.
    const ends = history.events.find(
      ({ event, at }) => event === 'revoke' && at % 900_000 === 0 && at > Date.parse('2026-01-03'),
    )!
    const events = history.events.map((one) => (one === ends ? { ...one, at: one.at - 1000 } : one))
    expect(await recount(world, { ...history, events }, MONTHS)).toHaveLength(3)
  })

  it('nothing before bill_from is counted, closed or billed', async () => {
    const rows = await world.db.prisma.$queryRaw<{ first: string | null }[]>`
      SELECT to_char(min(day), 'YYYY-MM-DD') AS first FROM (
        SELECT day FROM usage_days UNION ALL SELECT day FROM counted_days UNION ALL SELECT month FROM closed_months
        UNION ALL SELECT period_start FROM invoices UNION ALL SELECT starts_on FROM invoice_lines) AS days`
    expect(rows).toEqual([{ first: '2026-01-01' }])
  })

  it('every event has its line in the audit log, at its own instant', async () => {
    const rows = await world.db.prisma.$queryRaw<{ told: string }[]>`
      SELECT a.external_id || ' ' || l.external_ref || ' ' || e.action || ' '
             || to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS told
      FROM audit_entries e JOIN accounts a ON a.id = e.account_id JOIN licenses l ON l.id::text = e.subject`
    const done = { issue: 'issued', assign: 'assigned', unassign: 'unassigned', revoke: 'revoked' }
    const expected = history.events.map(
      ({ account, license, event, at }) => `${account} ${license} license.${done[event]} ${new Date(at).toISOString()}`,
    )
    expect(rows.map(({ told }) => told).sort()).toEqual(expected.sort())
  })

  it('imported again changes nothing: every account is unchanged, every other table as it was', async () => {
    const was = business(await snapshot(world))
    const again = await runImport(world, files, '2026-01')
    await world.tick()
    expect(again).toMatchObject({
      status: 'done',
      failures: [],
      outcomes: Object.fromEntries(names.map((name) => [name, 'unchanged'])),
    })
    const is = business(await snapshot(world))
    for (const [table, rows] of Object.entries(is)) expect([table, rows]).toEqual([table, was[table]])
  })
})
