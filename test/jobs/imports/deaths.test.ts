// Jobs of an import that die: half of a chunk is none of it. And chunks with more wrong rows, or more licenses, than
// one statement takes.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Ports, Tx } from '../../../jobs/kit/ports.ts'
import { workStaged } from '../../../apps/adapters/outbox.ts'
import { applyImport, lookAt, runImport, sendFiles } from '../../support/imports.ts'
import { snapshot } from '../../support/ledger.ts'
import { dueJobs } from '../../support/walk.ts'
import { createProduct, createWorld, type World } from '../../support/world.ts'
import { accountRow, eventRow, filesWith, priceRow, type Rows } from './support.ts'

let world: World
beforeEach(async () => {
  world = await createWorld('2026-03-10T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
})
afterEach(() => world.close())

/** The staged job of this name; those before it are worked. */
async function reach(name: string): Promise<string> {
  for (;;) {
    const [next] = await dueJobs(world)
    if (!next) throw new Error(`${name} is not due`)
    if (next.name === name) return next.id
    await workStaged(next.id, world.db, world.ports)
  }
}

const licenses = (account: string, count: number) =>
  Array.from({ length: count }, (_, n) =>
    eventRow(`2026-03-01T10:00:00Z ${account} L${n} issue backup https://s${n}.example`),
  )
const two: Rows = {
  accounts: [accountRow('a'), accountRow('b'), accountRow('c'), accountRow('d')],
  prices: [priceRow('backup', { account: 'a', monthly_amount: '9.00' })],
  // c and d have no events: what becomes of them is told, too.
  events: [...licenses('a', 3), ...licenses('b', 3)],
}

/** Ports whose key mint breaks from its nth call on. */
function breakingMint(nth: number): Ports {
  let calls = 0
  const mint: Ports['keys']['mint'] = (product) => {
    calls += 1
    if (calls >= nth) throw new Error('the mint is broken')
    return world.ports.keys.mint(product)
  }
  return { ...world.ports, keys: { ...world.ports.keys, mint } }
}

describe('a chunk that dies half way', () => {
  it('leaves nothing, and completes when it is done again', async () => {
    const id = await sendFiles(world, filesWith(two), '2026-03')
    await applyImport(world, id)
    const job = await reach('imports.apply-chunk')
    const was = await snapshot(world)
    await expect(workStaged(job, world.db, breakingMint(5))).rejects.toThrow('the mint is broken')
    expect(await snapshot(world)).toEqual(was)
    expect((await lookAt(world, id)).status).toBe('applying')
    await world.drain()
    expect(await lookAt(world, id)).toMatchObject({
      status: 'done',
      outcomes: { a: 'done', b: 'done', c: 'done', d: 'done' },
      failures: [],
    })
    const counts = await world.db.prisma.$queryRaw<{ n: number }[]>`
      SELECT count(*)::int AS n FROM licenses UNION ALL SELECT count(*)::int FROM sites`
    expect(counts).toEqual([{ n: 6 }, { n: 6 }])
  })

  it('for good refuses each of its accounts with the reason, and the import ends', async () => {
    const id = await sendFiles(world, filesWith(two), '2026-03')
    await applyImport(world, id)
    const job = await reach('imports.apply-chunk')
    const was = await snapshot(world)
    for (let tries = 1; tries <= 6; tries += 1) {
      await expect(workStaged(job, world.db, breakingMint(5))).rejects.toThrow('the mint is broken')
    }
    const { status, outcomes, failures } = await lookAt(world, id)
    expect({ status, outcomes }).toEqual({
      ...{ status: 'done', outcomes: { a: 'refused', b: 'refused', c: 'refused', d: 'refused' } },
    })
    expect(failures.map(({ account }) => account).sort()).toEqual(['a', 'b', 'c', 'd'])
    for (const { message } of failures) expect(message).toMatch(/^could not be applied: the dead job/)
    const is = await snapshot(world)
    const OWN = ['imports', 'import_targets', 'import_failures', 'import_accounts', 'import_prices', 'import_events']
    const changed = Object.keys(is).filter((table) => String(is[table]) !== String(was[table]))
    expect(changed.filter((table) => !OWN.includes(table))).toEqual([])
    // The cause mended, the same files are taken.
    expect(await runImport(world, filesWith(two), '2026-03')).toMatchObject({
      ...{ outcomes: { a: 'done', b: 'done', c: 'done', d: 'done' }, failures: [] },
    })
  })

  it('a job that prepares an import and dies for good refuses the whole of it', async () => {
    const id = await sendFiles(world, filesWith({ ...two, prices: [priceRow('new')] }), '2026-03')
    await applyImport(world, id)
    const job = await reach('imports.apply-import')
    const newId = (): string => {
      throw new Error('no ids today')
    }
    for (let tries = 1; tries <= 6; tries += 1) {
      await expect(workStaged(job, world.db, { ...world.ports, newId })).rejects.toThrow('no ids today')
    }
    expect(await lookAt(world, id)).toMatchObject({
      status: 'refused',
      outcomes: {},
      failures: [{ message: expect.stringMatching(/^nothing could be applied: the dead job/) }],
    })
    expect(await world.db.prisma.$queryRaw`SELECT 1 FROM products WHERE slug = 'new'`).toEqual([])
  })
})

describe('more than a thousand wrong rows', () => {
  it('refuse every account that has one, those behind the thousandth too, and no other', async () => {
    const unissued = (account: string, count: number) =>
      Array.from({ length: count }, (_, n) => eventRow(`2026-03-01T10:00:00Z ${account} X${n} revoke`))
    const rows: Rows = {
      accounts: ['first', 'last', 'middle', 'well'].map((account) => accountRow(account)),
      events: [
        ...unissued('first', 1_500),
        ...licenses('well', 3),
        ...unissued('middle', 1_100),
        ...unissued('last', 1),
      ],
    }
    const { status, outcomes, accounts } = await runImport(world, filesWith(rows), '2026-03')
    expect({ status, outcomes }).toEqual({
      ...{ status: 'done', outcomes: { first: 'refused', last: 'refused', middle: 'refused', well: 'done' } },
    })
    expect(accounts).toEqual({ total: 4, done: 1, unchanged: 0, refused: 3 })
    const named = await world.db.prisma.$queryRaw<{ account: string; rows: number }[]>`
      SELECT account, count(*)::int AS rows FROM import_failures GROUP BY account`
    const rowsOf = new Map(named.map((one) => [one.account, one.rows]))
    expect([...rowsOf.keys()].sort()).toEqual(['first', 'last', 'middle'])
    // A check names a thousand rows at a time: who mends these is told of the rest by the next import.
    expect(rowsOf.get('first')).toBeGreaterThanOrEqual(1_000)
    expect(rowsOf.get('last')).toBe(1)
  })
})

/** Ports that count the statements of their transactions. */
function counting(statements: { count: number }): Ports {
  const counted = (tx: Tx): Tx =>
    new Proxy(tx, {
      get(target, field) {
        const found: unknown = Reflect.get(target, field)
        if (field !== '$queryRaw' && field !== '$executeRaw') return found
        return (...values: unknown[]) => {
          statements.count += 1
          return (found as (...all: unknown[]) => unknown).apply(target, values)
        }
      },
    })
  const { db } = world.ports
  return {
    ...world.ports,
    db: { ...db, acrossAccounts: (work) => db.acrossAccounts((tx) => work(counted(tx))) },
  }
}

describe('the statements of a chunk', () => {
  it('are as many for ten licenses as for 1,900; from there a page and an insert for each 2,000', async () => {
    const found: number[] = []
    for (const [n, count] of [10, 1_900, 2_100, 4_100].entries()) {
      const account = `n${n}`
      const id = await sendFiles(
        world,
        filesWith({ accounts: [accountRow(account)], events: licenses(account, count) }),
        '2026-03',
      )
      await applyImport(world, id)
      const statements = { count: 0 }
      await workStaged(await reach('imports.apply-chunk'), world.db, counting(statements))
      await world.drain()
      expect((await lookAt(world, id)).outcomes).toEqual({ [account]: 'done' })
      found.push(statements.count)
    }
    const [ten] = found
    expect(found).toEqual([ten, ten, ten! + 2, ten! + 4])
    expect(ten).toBeLessThan(50)
  })
})
