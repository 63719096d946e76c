// The days that are counted are the days that were lived: the set-based count, the second count before finalization and
// this file's own one-license-at-a-time recount agree, over random histories that crowd around midnight.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../apps/adapters/database.ts'
import { newId } from '../../apps/adapters/ids.ts'
import type { Tx } from '../../jobs/kit/ports.ts'
import { issueLicenses, revokeLicense, saveSite, standOn } from '../../jobs/licenses/licenses.store.ts'
import { addDays, daySpan, startOfDay, type Day } from '../../jobs/rules/period.ts'
import { recountDays } from '../../jobs/usage/recount.ts'
import { blockedByActions, countDay } from '../../jobs/usage/usage.store.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { naiveCount, type Fact } from '../support/naive-count.ts'

let database: TestDatabase
let db: ProcessDatabase
let owner: ProcessDatabase
const products = [newId(), newId()]

beforeAll(async () => {
  database = await createTestDatabase()
  db = connectDatabase({ url: database.workerUrl, max: 4 })
  owner = connectDatabase({ url: database.ownerUrl, max: 1 })
  for (const [n, id] of products.entries()) {
    await owner.prisma.$executeRaw`
      INSERT INTO products (id, slug, name, family, created_at) VALUES (${id}::uuid, ${`p${n}`}, 'P', 'test', now())`
  }
})
afterAll(async () => {
  await Promise.all([db.close(), owner.close()])
  await database.drop()
})

class Undo extends Error {}
/** Works in a transaction that is undone at its end: hundreds of histories leave nothing behind. */
async function undone(work: (tx: Tx) => Promise<void>): Promise<void> {
  const attempt = db.acrossAccounts(async (tx) => {
    await work(tx)
    throw new Undo()
  })
  await attempt.catch((error: unknown) => {
    if (!(error instanceof Undo)) throw error
  })
}

async function makeAccount(zone: string, from: Day): Promise<string> {
  const id = newId()
  await owner.prisma.$executeRaw`
    INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
    VALUES (${id}::uuid, 'A', 'usd', ${zone}, ${from}::date, '2026-01-01')`
  return id
}

async function makeSites(tx: Tx, account: string): Promise<string[]> {
  const sites = [newId(), newId()]
  for (const id of sites) await saveSite(tx, account, id, { url: `https://${id}.example` }, new Date('2026-01-01'))
  return sites
}

let keys = 0
/** Writes a license's history through the store, as the actions do, in the order of the facts. */
async function live(tx: Tx, account: string, sites: readonly string[], facts: readonly Fact[]): Promise<void> {
  const [birth, ...rest] = facts
  if (birth?.kind !== 'issue') throw new Error('a history begins with the issue')
  keys += 1
  const bytes = new Uint8Array(Buffer.from(String(keys)))
  const license = { id: newId(), key: { key: '', cipher: bytes, hash: bytes, hint: 'x' } }
  const siteId = birth.site === null ? null : sites[birth.site]!
  const productId = products[birth.product]!
  const action = { accountId: account, productId, actionId: newId(), at: birth.at }
  await issueLicenses(tx, { ...action, siteId, licenses: [license] })
  for (const fact of rest) {
    if (fact.kind === 'revoke') await revokeLicense(tx, account, license.id, fact.at)
    if (fact.kind === 'stand') {
      await standOn(tx, account, license.id, fact.site === null ? null : sites[fact.site]!, fact.at)
    }
  }
}

const ZONES: [zone: string, first: Day, what: string][] = [
  ['UTC', '2026-02-26', 'the end of February'],
  ['UTC', '2028-02-27', 'February 29'],
  ['Europe/Berlin', '2026-10-23', 'a day of 25 hours'],
  ['America/New_York', '2026-03-06', 'a day of 23 hours'],
  ['Australia/Lord_Howe', '2026-10-02', 'half an hour less'],
  ['America/Santiago', '2026-09-04', 'a day without midnight'],
  ['Pacific/Kiritimati', '2026-12-30', '14 hours ahead, over new year'],
]
const DAYS = 5

/** Instants that crowd at the edges of days: exactly at one, a moment before or after, or anywhere. */
const instants = (edges: readonly Date[]): fc.Arbitrary<Date> =>
  fc
    .tuple(fc.constantFrom(...edges), fc.constantFrom(0, 0, 0, -1, 1, -1_000, 3_600_000, 45_000_000))
    .map(([edge, shift]) => new Date(edge.getTime() + shift))

const sitesOrNone = fc.constantFrom<(number | null)[]>(null, 0, 1)
/** A license's life: issued, moved about, perhaps revoked; several things may fall into one instant. */
const history = (edges: readonly Date[]): fc.Arbitrary<Fact[]> =>
  fc
    .record({
      product: fc.constantFrom(0, 1),
      site: sitesOrNone,
      revoked: fc.boolean(),
      times: fc.array(instants(edges), { minLength: 2, maxLength: 6 }),
      stands: fc.array(sitesOrNone, { minLength: 4, maxLength: 4 }),
    })
    .map(({ product, site, revoked, times, stands }) => {
      const [birth, ...rest] = [...times].sort((a, b) => a.getTime() - b.getTime())
      const last = revoked ? rest.length - 1 : rest.length
      return [
        { kind: 'issue', at: birth!, product, site },
        ...rest.map((at, index): Fact =>
          index === last ? { kind: 'revoke', at } : { kind: 'stand', at, site: stands[index % 4]! },
        ),
      ]
    })

interface Usage {
  product: number
  days: number
  peak: number
  assigned: number
  unassigned: number
}

async function countedRows(tx: Tx, account: string, day: Day): Promise<Usage[]> {
  const rows = await tx.$queryRaw<(Omit<Usage, 'product'> & { id: string })[]>`
    SELECT product_id AS id, days, peak, assigned, unassigned FROM usage_days
    WHERE account_id = ${account}::uuid AND day = ${day}::date`
  const usage = rows.map(({ id, ...rest }) => ({ product: products.indexOf(id), ...rest }))
  return usage.sort((a, b) => a.product - b.product)
}

/** Counts every day, and holds both counts of the product against the naive one. */
async function compare(tx: Tx, account: string, zone: string, first: Day, lives: readonly Fact[][]): Promise<void> {
  const days = Array.from({ length: DAYS }, (_, n) => addDays(first, n))
  const edges = [...days, addDays(first, DAYS)].map((day) => startOfDay(day, zone))
  const totals = new Map<string, bigint>()
  for (const [n, day] of days.entries()) {
    const [startsAt, endsAt] = [edges[n]!, edges[n + 1]!]
    expect(daySpan(day, zone)).toEqual({ day, startsAt, endsAt })
    await countDay(tx, { accounts: [account], day, startsAt, endsAt, at: edges[DAYS]! })
    const expected = naiveCount(lives, startsAt, endsAt)
    expect([day, await countedRows(tx, account, day)]).toEqual([day, expected])
    for (const { product, days: count } of expected) {
      totals.set(products[product]!, (totals.get(products[product]!) ?? 0n) + BigInt(count))
    }
  }
  const period = { zone, first, last: days.at(-1)!, breaks: [first] }
  const again = (await recountDays(tx, [account], period)).get(account) ?? []
  expect(new Map(again.map((span) => [span.productId, span.days] as const).sort())).toEqual(new Map([...totals].sort()))
}

describe('the count of a day', () => {
  it.each(ZONES)('%s from %s, %s: agrees with a recount license by license', async (zone, first) => {
    const account = await makeAccount(zone, first)
    const edges = Array.from({ length: DAYS + 1 }, (_, n) => startOfDay(addDays(first, n), zone))
    await fc.assert(
      fc.asyncProperty(fc.array(history(edges), { maxLength: 5 }), (lives) =>
        undone(async (tx) => {
          const sites = await makeSites(tx, account)
          for (const life of lives) await live(tx, account, sites, life)
          await compare(tx, account, zone, first, lives)
        }),
      ),
      { numRuns: 40 },
    )
  })

  const midnight = new Date('2026-03-02T00:00:00Z')
  const noon = new Date('2026-03-01T12:00:00Z')
  const at = (text: string) => new Date(text)
  const issue = (when: Date, site: number | null = null): Fact => ({ kind: 'issue', at: when, product: 0, site })
  const revoke = (when: Date): Fact => ({ kind: 'revoke', at: when })
  const stand = (when: Date, site: number | null): Fact => ({ kind: 'stand', at: when, site })
  // Worked out by hand for March 1 and March 2 in UTC: [days, peak, assigned, unassigned], null where there is no row.
  const CASES: [what: string, life: Fact[], march1: number[] | null, march2: number[] | null][] = [
    ['issued at midnight', [issue(midnight)], null, [1, 1, 0, 1]],
    ['revoked exactly at midnight: that day is its last', [issue(noon), revoke(midnight)], [1, 1, 0, 1], [1, 0, 0, 0]],
    ['revoked a moment before', [issue(noon), revoke(at('2026-03-01T23:59:59.999Z'))], [1, 1, 0, 0], null],
    ['issued and revoked in one instant', [issue(noon), revoke(noon)], [1, 0, 0, 0], null],
    ['issued and revoked at midnight', [issue(midnight), revoke(midnight)], null, [1, 0, 0, 0]],
    ['issued and revoked on one day', [issue(noon), revoke(at('2026-03-01T13:00:00Z'))], [1, 1, 0, 0], null],
    ['assigned at midnight', [issue(noon), stand(midnight, 0)], [1, 1, 0, 1], [1, 1, 1, 0]],
    ['unassigned at midnight', [issue(noon, 0), stand(midnight, null)], [1, 1, 1, 0], [1, 1, 0, 1]],
    ['transferred at midnight', [issue(noon, 0), stand(midnight, 1)], [1, 1, 1, 0], [1, 1, 1, 0]],
    ['on and off in one instant', [issue(noon), stand(midnight, 0), stand(midnight, null)], [1, 1, 0, 1], [1, 1, 0, 1]],
  ]
  it.each(CASES)('%s', async (_, life, march1, march2) => {
    const account = await makeAccount('UTC', '2026-03-01')
    await undone(async (tx) => {
      await live(tx, account, await makeSites(tx, account), life)
      await compare(tx, account, 'UTC', '2026-03-01', [life])
      const row = async (day: Day) => {
        const [found] = await countedRows(tx, account, day)
        return found ? [found.days, found.peak, found.assigned, found.unassigned] : null
      }
      expect([await row('2026-03-01'), await row('2026-03-02')]).toEqual([march1, march2])
    })
  })

  it('requests recorded out of the order of their acceptance never count a license twice', async () => {
    const account = await makeAccount('UTC', '2026-03-01')
    const [before, after] = [new Date(midnight.getTime() - 1), new Date(midnight.getTime() + 1)]
    // The second assignment was accepted a moment before midnight, and recorded after the unassignment just past it.
    const life = [issue(noon, 0), stand(after, null), stand(before, 1), stand(at('2026-03-02T09:00:00Z'), null)]
    await undone(async (tx) => {
      await live(tx, account, await makeSites(tx, account), life)
      await countDay(tx, { accounts: [account], ...daySpan('2026-03-01', 'UTC'), at: after })
      const once = { product: 0, days: 1, peak: 1, assigned: 1, unassigned: 0 }
      expect(await countedRows(tx, account, '2026-03-01')).toEqual([once])
    })
  })
})

describe('who is counted', () => {
  const day = '2026-03-01'
  const span = daySpan(day, 'UTC')
  const later = new Date('2026-03-05T00:00:00Z')
  const order = (accounts: string[]) => ({ accounts, ...span, at: later })
  const countedOf = async (tx: Tx, accounts: string[]): Promise<string[]> => {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      SELECT account_id AS id FROM counted_days WHERE account_id = ANY(${accounts}::uuid[]) ORDER BY 1`
    return rows.map(({ id }) => id)
  }
  const bornAtStart = (product: number): Fact => ({ kind: 'issue', at: span.startsAt, product, site: null })
  const addAction = (tx: Tx, account: string, at: Date, status: string) => tx.$executeRaw`
    INSERT INTO actions (id, account_id, kind, input, actor, accepted_at, status, ended_at, error)
    VALUES (${newId()}::uuid, ${account}::uuid, 'license.issue', '{}', 'test', ${at}::timestamptz, ${status},
            ${['queued', 'running'].includes(status) ? null : at}::timestamptz,
            ${status === 'refused' || status === 'failed' ? '{}' : null}::jsonb)`

  it('an account with an action of that day still open is left out, and named', async () => {
    const before = new Date(span.endsAt.getTime() - 1)
    const cases: [at: Date, status: string, counted: boolean][] = [
      [before, 'queued', false],
      [before, 'running', false],
      [span.startsAt, 'queued', false],
      [new Date('2026-02-01T00:00:00Z'), 'queued', false],
      [span.endsAt, 'queued', true],
      [before, 'done', true],
      [before, 'refused', true],
      [before, 'failed', true],
    ]
    const accounts = await Promise.all(cases.map(() => makeAccount('UTC', day)))
    await undone(async (tx) => {
      for (const [n, [at, status]] of cases.entries()) await addAction(tx, accounts[n]!, at, status)
      for (const account of accounts) await live(tx, account, [], [bornAtStart(0)])
      await countDay(tx, order(accounts))
      const expected = accounts.filter((_, n) => cases[n]![2])
      expect(await countedOf(tx, accounts)).toEqual([...expected].sort())
      const blocked = accounts.filter((_, n) => !cases[n]![2])
      expect((await blockedByActions(tx, accounts, day)).sort()).toEqual(blocked.sort())
      for (const [n, account] of accounts.entries()) {
        expect([cases[n], (await countedRows(tx, account, day)).length]).toEqual([cases[n], cases[n]![2] ? 1 : 0])
      }
    })
  })

  it('two workers that count the same day at once give the rows that one gives', async () => {
    const accounts = await Promise.all(Array.from({ length: 20 }, () => makeAccount('UTC', day)))
    await db.acrossAccounts(async (tx) => {
      for (const [n, account] of accounts.entries()) {
        for (let times = 0; times <= n % 4; times += 1) {
          await live(tx, account, [], [bornAtStart(n % 2)])
        }
      }
    })
    const rows = () => db.prisma.$queryRaw<unknown[]>`
      SELECT account_id, product_id, days, peak, assigned, unassigned FROM usage_days
      WHERE account_id = ANY(${accounts}::uuid[]) ORDER BY account_id, product_id`
    const reversed = [...accounts].reverse()
    const workers = [accounts, reversed, accounts]
    await Promise.all(workers.map((list) => db.acrossAccounts((tx) => countDay(tx, order(list)))))
    const together = await rows()
    expect(together).toHaveLength(accounts.length)
    await db.acrossAccounts((tx) => countDay(tx, order(accounts)))
    expect(await rows()).toEqual(together)
    for (const [n, account] of accounts.entries()) {
      const count = (n % 4) + 1
      expect(await db.acrossAccounts((tx) => countedRows(tx, account, day))).toEqual([
        { product: n % 2, days: count, peak: count, assigned: 0, unassigned: count },
      ])
    }
  })
})
