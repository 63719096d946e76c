// Days of licenses that are paused, worked out by hand: a day is paused when one run of holds covers the whole of it,
// and active otherwise. Both counts of the product must say so.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type ProcessDatabase } from '../../apps/adapters/database.ts'
import { newId } from '../../apps/adapters/ids.ts'
import type { Tx } from '../../jobs/kit/ports.ts'
import { liftHold, placeHold } from '../../jobs/licenses/holds.store.ts'
import { issueLicenses, revokeLicense, saveSite } from '../../jobs/licenses/licenses.store.ts'
import { daySpan, type Day } from '../../jobs/rules/period.ts'
import { recountDays } from '../../jobs/usage/recount.ts'
import { countDay } from '../../jobs/usage/usage.store.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let db: ProcessDatabase
let owner: ProcessDatabase
const product = newId()

beforeAll(async () => {
  database = await createTestDatabase()
  db = connectDatabase({ url: database.workerUrl, max: 2 })
  owner = connectDatabase({ url: database.ownerUrl, max: 1 })
  await owner.prisma.$executeRaw`
    INSERT INTO products (id, slug, name, family, created_at) VALUES (${product}::uuid, 'p', 'P', 'test', now())`
})
afterAll(async () => {
  await Promise.all([db.close(), owner.close()])
  await database.drop()
})

/** Instants of March as DDThh:mm…; a day alone is its midnight. */
const march = (text: string): Date => {
  const [day, time = '00:00'] = text.split('T')
  return new Date(`2026-03-${day}T${time}Z`)
}

interface Life {
  /** Long before March, unless said. */
  readonly issued?: string
  readonly revoked?: string
  readonly onSite?: boolean
  /** From, and to where it has ended. */
  readonly holds: readonly (readonly [since: string, until?: string])[]
}

let keys = 0
async function live(tx: Tx, accountId: string, { issued, revoked, onSite, holds }: Life): Promise<void> {
  keys += 1
  const bytes = new Uint8Array(Buffer.from(String(keys)))
  const license = { id: newId(), key: { key: '', cipher: bytes, hash: bytes, hint: 'x' } }
  const at = issued === undefined ? new Date('2026-02-20T12:00:00Z') : march(issued)
  const siteId = onSite ? newId() : null
  if (siteId !== null) await saveSite(tx, accountId, siteId, { url: `https://${siteId}.example` }, at)
  await issueLicenses(tx, { accountId, productId: product, actionId: newId(), at, siteId, licenses: [license] })
  for (const [since, until] of holds) {
    const hold = { id: newId(), accountId, source: 'operator', reason: 'asked for' } as const
    await placeHold(tx, { ...hold, since: march(since), licenses: [license.id] })
    if (until !== undefined) await liftHold(tx, accountId, hold.id, march(until))
  }
  if (revoked !== undefined) await revokeLicense(tx, accountId, license.id, march(revoked))
}

/** Days, paused days, peak, assigned and unassigned at the day's end; null where there is no row. */
type Counted = readonly [days: number, paused: number, peak: number, assigned: number, unassigned: number] | null

async function count(tx: Tx, account: string, day: Day): Promise<Counted> {
  await countDay(tx, { accounts: [account], ...daySpan(day, 'UTC'), at: march('20') })
  const rows = await tx.$queryRaw<{ counted: number[] }[]>`
    SELECT ARRAY[days, paused_days, peak, assigned, unassigned] AS counted FROM usage_days
    WHERE account_id = ${account}::uuid AND day = ${day}::date`
  return (rows[0]?.counted ?? null) as Counted
}

const FREE: Counted = [1, 0, 1, 0, 1]
/** Active at some time of the day, paused at its end. */
const HELD_AT_END: Counted = [1, 0, 1, 0, 0]
const PAUSED: Counted = [0, 1, 1, 0, 0]

/** What March 1, 2 and 3 count. */
const CASES: [what: string, lives: Life[], days: [Counted, Counted, Counted]][] = [
  ['within a day', [{ holds: [['02T06:00', '02T18:00']] }], [FREE, FREE, FREE]],
  ['over one midnight', [{ holds: [['01T18:00', '02T06:00']] }], [HELD_AT_END, FREE, FREE]],
  ['over two', [{ holds: [['01T18:00', '03T06:00']] }], [HELD_AT_END, PAUSED, FREE]],
  ['from midnight to midnight: it begins in that day', [{ holds: [['02', '03']] }], [FREE, HELD_AT_END, FREE]],
  ['from a moment before', [{ holds: [['01T23:59:59.999', '03']] }], [HELD_AT_END, PAUSED, FREE]],
  ['to a moment before', [{ holds: [['01T18:00', '02T23:59:59.999']] }], [HELD_AT_END, FREE, FREE]],
  ['to a moment after', [{ holds: [['01T18:00', '03T00:00:00.001']] }], [HELD_AT_END, PAUSED, FREE]],
  ['open', [{ holds: [['01T18:00']] }], [HELD_AT_END, PAUSED, PAUSED]],
  ['open, another within it', [{ holds: [['01'], ['02T12:00', '02T13:00']] }], [HELD_AT_END, PAUSED, PAUSED]],
  ['that ended in the instant it began', [{ holds: [['02T12:00', '02T12:00']] }], [FREE, FREE, FREE]],
  ['that ended at midnight as it began', [{ holds: [['02', '02']] }], [FREE, FREE, FREE]],
  ['lifted before it began', [{ holds: [['02T12:00', '01T12:00']] }], [FREE, FREE, FREE]],
  [
    'two that touch',
    [
      {
        holds: [
          ['01T18:00', '02T12:00'],
          ['02T12:00', '03T06:00'],
        ],
      },
    ],
    [HELD_AT_END, PAUSED, FREE],
  ],
  [
    'two that touch at midnight',
    [
      {
        holds: [
          ['01T18:00', '02'],
          ['02', '03T06:00'],
        ],
      },
    ],
    [HELD_AT_END, PAUSED, FREE],
  ],
  [
    'two with a moment between them',
    [
      {
        holds: [
          ['01T18:00', '02T12:00'],
          ['02T12:00:00.001', '03T06:00'],
        ],
      },
    ],
    [HELD_AT_END, HELD_AT_END, FREE],
  ],
  [
    'two that overlap, the later one told first',
    [
      {
        holds: [
          ['02T11:00', '03T06:00'],
          ['01T18:00', '02T12:00'],
        ],
      },
    ],
    [HELD_AT_END, PAUSED, FREE],
  ],
  [
    'one within another that goes on',
    [{ holds: [['01T18:00'], ['01T19:00', '01T20:00'], ['02T19:00', '02T20:00']] }],
    [HELD_AT_END, PAUSED, PAUSED],
  ],
  [
    'an empty one where two do not touch',
    [
      {
        holds: [
          ['01T18:00', '02T12:00'],
          ['02T12:30', '02T12:30'],
          ['02T13:00', '03T06:00'],
        ],
      },
    ],
    [HELD_AT_END, HELD_AT_END, FREE],
  ],
  ['from the instant of issue', [{ issued: '02T12:00', holds: [['02T12:00']] }], [null, HELD_AT_END, PAUSED]],
  ['from before the issue', [{ issued: '02T12:00', holds: [['02T11:59']] }], [null, PAUSED, PAUSED]],
  [
    'from before the issue, over on that day',
    [{ issued: '02T12:00', holds: [['01', '02T13:00']] }],
    [null, FREE, FREE],
  ],
  [
    'that ends with the revocation',
    [{ revoked: '02T12:00', holds: [['01T18:00', '02T12:00']] }],
    [HELD_AT_END, HELD_AT_END, null],
  ],
  ['that ends after it', [{ revoked: '02T12:00', holds: [['01T18:00', '02T12:01']] }], [HELD_AT_END, PAUSED, null]],
  ['open, revoked in it', [{ revoked: '02T12:00', holds: [['01T18:00']] }], [HELD_AT_END, PAUSED, null]],
  // The instant of midnight belongs to the day it begins, though nothing of that day was active.
  ['open, revoked at midnight', [{ revoked: '02', holds: [['01T18:00']] }], [HELD_AT_END, [0, 1, 0, 0, 0], null]],
  [
    'issued and revoked within one',
    [{ issued: '02T12:00', revoked: '02T13:00', holds: [['01']] }],
    [null, PAUSED, null],
  ],
  [
    'on a site: it stands nowhere while it is paused, and there again after',
    [{ onSite: true, holds: [['01T18:00', '03T06:00']] }],
    [HELD_AT_END, PAUSED, [1, 0, 1, 1, 0]],
  ],
  [
    'of one license and not of the other: both count for the peak',
    [{ holds: [['01T18:00', '03T06:00']] }, { onSite: true, holds: [] }],
    [
      [2, 0, 2, 1, 0],
      [1, 1, 2, 1, 0],
      [2, 0, 2, 1, 1],
    ],
  ],
  [
    'of one license, while the other comes and goes',
    [{ holds: [['01']] }, { issued: '02T10:00', revoked: '02T11:00', holds: [] }],
    [HELD_AT_END, [1, 1, 2, 0, 0], PAUSED],
  ],
]

describe('a hold', () => {
  const days = ['2026-03-01', '2026-03-02', '2026-03-03']

  it.each(CASES)('%s', async (_, lives, expected) => {
    const account = newId()
    await owner.prisma.$executeRaw`
      INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
      VALUES (${account}::uuid, 'A', 'usd', 'UTC', '2026-03-01', '2026-01-01')`
    await db.acrossAccounts(async (tx) => {
      for (const life of lives) await live(tx, account, life)
      const counted: Counted[] = []
      for (const day of days) counted.push(await count(tx, account, day))
      expect(counted).toEqual(expected)
      // The second count, of all three days and of each alone, by other SQL.
      const sum = (of: readonly Counted[]) => [0, 1].map((n) => of.reduce((total, one) => total + (one?.[n] ?? 0), 0))
      const again = async (first: Day, last: Day) => {
        const spans = await recountDays(tx, [account], { zone: 'UTC', first, last, breaks: [first] })
        const [span] = spans.get(account) ?? []
        return [Number(span?.days ?? 0), Number(span?.pausedDays ?? 0)]
      }
      expect(await again('2026-03-01', '2026-03-03')).toEqual(sum(expected))
      for (const [n, day] of days.entries()) expect([day, await again(day, day)]).toEqual([day, sum([expected[n]!])])
    })
  })
})
