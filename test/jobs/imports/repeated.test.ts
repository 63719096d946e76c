// What is imported again says the same as before, or more: no row that was once taken is refused the second time.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runImport } from '../../support/imports.ts'
import { snapshot } from '../../support/ledger.ts'
import { createProduct, createWorld, type World } from '../../support/world.ts'
import { accountRow, eventRow, filesWith, type Rows } from './support.ts'

let world: World
beforeAll(async () => {
  world = await createWorld('2026-03-10T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
})
afterAll(() => world.close())

const told = (account: string, ...events: string[]): Rows => ({
  accounts: [accountRow(account)],
  events: events.map((text) => eventRow(`2026-03-${text.slice(0, 2)}T10:00:00Z ${account} ${text.slice(3)}`)),
})
const A = 'https://a.example'
const B = 'https://b.example'

const REPEATED: Record<string, string[]> = {
  'a license that was moved about': [
    '01 L1 issue',
    `02 L1 assign backup ${A}`,
    '03 L1 unassign',
    `04 L1 assign backup ${B}`,
  ],
  'an assignment to where it stands already': ['01 L1 issue', `02 L1 assign backup ${A}`, `03 L1 assign backup ${A}`],
  'an assignment to where it was issued': [`01 L1 issue backup ${A}`, `03 L1 assign backup ${A}`],
  'an idle assignment, the license gone since': [
    '01 L1 issue',
    `02 L1 assign backup ${A}`,
    `03 L1 assign backup ${A}`,
    '04 L1 revoke',
  ],
  'an idle assignment by the site’s other name': [
    `01 L1 issue backup ${A} 17`,
    '03 L1 assign backup - 17',
    '04 L1 unassign',
  ],
  'everything in one instant': [
    '01 L1 issue',
    `01 L1 assign backup ${A}`,
    '01 L1 unassign',
    `01 L1 assign backup ${B}`,
    '01 L1 revoke',
  ],
  'on and off one site in one instant': [
    '01 L1 issue',
    `02 L1 assign backup ${A}`,
    '02 L1 unassign',
    `02 L1 assign backup ${A}`,
  ],
  'a site named by its url, then by both, then by its id': [
    `01 L1 issue backup ${A}`,
    `02 L2 issue backup ${A} 17`,
    '03 L3 issue backup - 17',
  ],
  'no product where none is needed': ['01 L1 issue', '02 L1 revoke -'],
}

describe('the same rows again are unchanged', () => {
  it.each(Object.entries(REPEATED))('%s', async (name, events) => {
    const account = name.replaceAll(' ', '-')
    const files = filesWith(told(account, ...events))
    expect(await runImport(world, files, '2026-03')).toMatchObject({ outcomes: { [account]: 'done' }, failures: [] })
    const { licenses, sites, past_assignments, audit_entries } = await snapshot(world)
    expect(await runImport(world, files, '2026-03')).toMatchObject({
      outcomes: { [account]: 'unchanged' },
      failures: [],
    })
    expect(await snapshot(world)).toMatchObject({ licenses, sites, past_assignments, audit_entries })
  })

  it.each(Object.entries(REPEATED))('%s, its last row coming later', async (name, events) => {
    const account = `${name.replaceAll(' ', '-')}-later`
    const files = filesWith(told(account, ...events))
    expect(await runImport(world, filesWith(told(account, ...events.slice(0, -1))), '2026-03')).toMatchObject({
      failures: [],
    })
    expect(await runImport(world, files, '2026-03')).toMatchObject({ failures: [] })
    expect(await runImport(world, files, '2026-03')).toMatchObject({
      outcomes: { [account]: 'unchanged' },
      failures: [],
    })
  })
})

describe('a license that leaves a site and comes back', () => {
  it.each([
    ['days later', ['05 L1 unassign', `06 L1 assign backup ${A}`], 2],
    ['in one instant', ['05 L1 unassign', `05 L1 assign backup ${A}`], 2],
    ['in the instant it came', ['02 L1 unassign', `06 L1 assign backup ${A}`], 2],
  ])('%s: it stood there twice', async (name, events, stays) => {
    const account = `back-${name.replaceAll(' ', '-')}`
    const known = ['01 L1 issue', `02 L1 assign backup ${A}`]
    expect((await runImport(world, filesWith(told(account, ...known)), '2026-03')).failures).toEqual([])
    for (const outcome of ['done', 'unchanged']) {
      const { outcomes, failures } = await runImport(world, filesWith(told(account, ...known, ...events)), '2026-03')
      expect([outcomes, failures]).toEqual([{ [account]: outcome }, []])
      const rows = await world.db.prisma.$queryRaw<unknown[]>`
        SELECT 1 FROM (SELECT account_id FROM licenses WHERE site_id IS NOT NULL
                       UNION ALL SELECT account_id FROM past_assignments) AS stays
        JOIN accounts a ON a.id = stays.account_id WHERE a.external_id = ${account}`
      expect(rows).toHaveLength(stays)
    }
  })
})

describe('only the rows that are new', () => {
  it.each(Object.entries(REPEATED))('%s', async (name, events) => {
    const account = `${name.replaceAll(' ', '-')}-new`
    const files = filesWith(told(account, ...events))
    const outcomes = async (rows: Rows) => {
      const imported = await runImport(world, filesWith(rows), '2026-03')
      expect(imported.failures).toEqual([])
      return imported.outcomes[account]
    }
    expect(await outcomes(told(account, ...events.slice(0, -1)))).toBe('done')
    await outcomes({ events: told(account, events.at(-1)!).events! })
    // They came to the same: the whole of it says nothing new.
    expect(await runImport(world, files, '2026-03')).toMatchObject({
      outcomes: { [account]: 'unchanged' },
      failures: [],
    })
  })
})

describe('the month from which an account is billed', () => {
  const billFromOf = async (account: string) =>
    await world.db.prisma.$queryRaw<unknown[]>`
      SELECT to_char(bill_from, 'YYYY-MM-DD') AS "from" FROM accounts WHERE external_id = ${account}`

  it('moves to an earlier one while none of its months is closed, and never to a later one', async () => {
    const files = filesWith(told('m1', '01 L1 issue'))
    expect((await runImport(world, files, '2026-03')).outcomes).toEqual({ m1: 'done' })
    expect((await runImport(world, files, '2026-02')).outcomes).toEqual({ m1: 'done' })
    expect(await billFromOf('m1')).toEqual([{ from: '2026-02-01' }])
    expect((await runImport(world, files, '2026-03')).outcomes).toEqual({ m1: 'unchanged' })
    expect(await billFromOf('m1')).toEqual([{ from: '2026-02-01' }])
  })

  it('stays when a month is closed: an earlier one refuses the account', async () => {
    const files = filesWith(told('m2', '01 L1 issue'))
    expect((await runImport(world, files, '2026-02')).outcomes).toEqual({ m2: 'done' })
    const { outcomes, failures } = await runImport(world, files, '2026-01')
    expect(outcomes).toEqual({ m2: 'refused' })
    const message = expect.stringContaining('is billed from 2026-02 and has closed months')
    expect(failures).toEqual([{ file: 'accounts.csv', line: 2, account: 'm2', field: 'account', message }])
    expect(await billFromOf('m2')).toEqual([{ from: '2026-02-01' }])
  })
})

describe('a site', () => {
  it.each(['its url', 'its id'])('bears the client that was named last, when that was by %s', async (way) => {
    const account = way.replace(' ', '-')
    const issued = (n: number, site: string) =>
      eventRow(`2026-03-0${n}T10:00:00Z ${account} L${n} issue backup ${site}`, { client: `client ${n}` })
    const accounts = [accountRow(account)]
    const first = [issued(1, `${A} 17`)]
    await runImport(world, filesWith({ accounts, events: first }), '2026-03')
    const ways = way === 'its url' ? ['- 17', A] : [A, '- 17']
    const events = [...first, ...[2, 3, 4, 5].map((n) => issued(n, ways[n % 2]!))]
    expect(await runImport(world, filesWith({ accounts, events }), '2026-03')).toMatchObject({ failures: [] })
    const rows = await world.db.prisma.$queryRaw<{ client: string }[]>`
      SELECT client FROM sites s JOIN accounts a ON a.id = s.account_id WHERE a.external_id = ${account}`
    expect(rows).toEqual([{ client: 'client 5' }])
  })
})
