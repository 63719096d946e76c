// I11: nothing of one account can be read or changed with the credentials of another. Tables are found in the database,
// so that a new one is covered by itself; the proof at the end takes the walls away and must see the probe find rows.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { placeHold } from '../../jobs/licenses/holds.store.ts'
import {
  breaches,
  foreignRows,
  name,
  operatorBreaches,
  OPERATOR_ONLY,
  ownedTables,
  unguarded,
  type OwnedTable,
} from '../support/probe.ts'
import { act, createProduct, createWorld, type TestAccount, type World } from '../support/world.ts'

let world: World
let first: TestAccount
let second: TestAccount
let superuser: pg.Client
let api: pg.Client
let tables: OwnedTable[]
/** A row of the second account's in each table. */
let theirs: Map<string, string>
/** A row of each table that is for operators alone. */
let histories: Map<string, string>

/** Licenses, sites, moves between them, a hold, an own price, a card: something in every table, a month later. */
async function live(account: TestAccount, n: number): Promise<void> {
  await world.call('POST', '/v1/admin/prices', {
    body: {
      product: 'backup',
      currency: 'usd',
      model: 'per_day',
      monthly_amount: '12.00',
      effective_from: '2026-02-01',
      account: account.id,
    },
  })
  await world.card(account)
  const site = { url: `https://${n}.example`, external_id: `blog-${n}`, client: 'Client' }
  const issued = await act(world, account, '/v1/licenses', { product: 'backup', quantity: 2, site })
  const license = issued.result.licenses[0].id
  const uuid = license.replace(/^lic_(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  const hold = { id: world.ports.newId(), accountId: account.uuid, source: 'operator', reason: 'asked for' } as const
  await world.db.acrossAccounts((tx) => placeHold(tx, { ...hold, since: world.now(), licenses: [uuid] }))
  const elsewhere = { site: { url: `https://${n}b.example` }, transfer: true }
  await act(world, account, `/v1/licenses/${license}/assign`, elsewhere)
  const company = { name: `Company ${n}`, country: 'DE' }
  await world.call('PUT', '/v1/company', { key: account.key, body: company })
}

/** An import of both accounts that is being applied: a row in each of its tables. */
async function sendHistory(): Promise<void> {
  const { rows } = await superuser.query(`
    INSERT INTO imports (id, bill_from, status, actor, created_at)
    VALUES (gen_random_uuid(), '2026-10-01', 'applying', 'test', now()) RETURNING id`)
  for (const sql of [
    `import_accounts VALUES ($1, 2, 'old-1', '{}')`,
    `import_prices VALUES ($1, 2, '', 'backup', 'Backup', 'test', 'usd', 'per_day', 10, '2026-10-01')`,
    `import_events VALUES ($1, 'old-1', 'a', 2, now(), 'issue', 'backup')`,
    `import_failures VALUES ($1, 'events.csv', 2, 'at', 'old-1', 'is missing')`,
  ]) {
    await superuser.query(`INSERT INTO ${sql}`, [rows[0].id])
  }
  for (const { uuid } of [first, second]) {
    await superuser.query(`INSERT INTO import_targets VALUES ($1, $2::text, 0, 1, $2::text::uuid)`, [rows[0].id, uuid])
  }
  histories = new Map()
  for (const table of OPERATOR_ONLY) {
    const found = await superuser.query(`SELECT to_jsonb(t)::text AS row FROM ${table} t LIMIT 1`)
    histories.set(table, found.rows[0].row)
  }
}

beforeAll(async () => {
  world = await createWorld('2026-10-01T12:00:00Z')
  superuser = new pg.Client({ connectionString: world.database.superuserUrl })
  api = new pg.Client({ connectionString: world.database.apiUrl })
  await Promise.all([superuser.connect(), api.connect()])
  await createProduct(world, 'backup', '10.00')
  first = await world.account()
  second = await world.account()
  await live(first, 1)
  await live(second, 2)
  for (const instant of ['2026-11-01T00:00:00Z', '2026-11-03T00:00:00Z']) {
    await world.at(instant)
    await world.tick()
  }
  for (const { uuid } of [first, second]) {
    await superuser.query(`INSERT INTO idempotency_records VALUES ($1, 'kept', '\\x01', 200, '\\x02', now())`, [uuid])
  }
  await sendHistory()
  tables = await ownedTables(superuser)
  theirs = new Map()
  for (const { table, column } of tables) {
    const { rows } = await superuser.query(
      `SELECT to_jsonb(t)::text AS row FROM ${table} t WHERE ${column} = $1 LIMIT 1`,
      [second.uuid],
    )
    if (rows[0]) theirs.set(table, rows[0].row)
  }
})
afterAll(async () => {
  await Promise.all([superuser.end(), api.end()])
  await world.close()
})

/** A transaction that is undone whatever came of it. */
async function undone<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    return await work()
  } finally {
    await client.query('ROLLBACK')
  }
}

const probe = (client: pg.Client, of: readonly OwnedTable[] = tables) =>
  breaches(client, of, first.uuid, second.uuid, theirs)

/** The same look through the API's role, after the superuser has changed the walls; everything is undone. */
const withWalls = <T>(change: string, look: () => Promise<T>): Promise<T> =>
  undone(superuser, async () => {
    await superuser.query(change)
    await superuser.query('SET LOCAL ROLE perdiem_api')
    await name(superuser, first.uuid)
    return await look()
  })

describe('two accounts that have lived a month', () => {
  it('each has rows in every table of accounts, so that there is something to be seen', async () => {
    for (const { uuid } of [first, second]) {
      const empty: string[] = []
      for (const { table, column } of tables) {
        const { rows } = await superuser.query(`SELECT 1 FROM ${table} WHERE ${column} = $1 LIMIT 1`, [uuid])
        if (rows.length === 0) empty.push(table)
      }
      expect(empty).toEqual([])
    }
    expect(tables.length).toBeGreaterThan(20)
  })

  it('every table of accounts has row-level security and a policy for the API', async () => {
    expect(await unguarded(superuser, tables)).toEqual([])
    const others = OPERATOR_ONLY.map((table) => ({ table }))
    expect(await unguarded(superuser, others)).toEqual([])
  })

  it('no table hides an account under another name', async () => {
    const { rows } = await superuser.query(`
      SELECT DISTINCT conrelid::regclass::text AS table FROM pg_constraint
      WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND confrelid <> 'products'::regclass`)
    const known = [...tables.map(({ table }) => table), ...OPERATOR_ONLY]
    expect(rows.map((row) => row.table).filter((table) => !known.includes(table))).toEqual([])
  })

  it('the roles of the processes own nothing and pass by no policy', async () => {
    const { rows } = await superuser.query(`
      SELECT rolname FROM pg_roles WHERE rolname IN ('perdiem_api', 'perdiem_worker', 'perdiem_queue')
        AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb
             OR EXISTS (SELECT 1 FROM pg_class
                        WHERE relowner = pg_roles.oid AND relnamespace = 'public'::regnamespace))`)
    expect(rows).toEqual([])
  })
})

describe('signed in as the API, on behalf of one account', () => {
  it('it sees its own rows in every table it may read', async () => {
    await undone(api, async () => {
      await name(api, first.uuid)
      const blind: string[] = []
      for (const { table, column } of tables) {
        const { rows } = await api.query(`SELECT 1 FROM ${table} WHERE ${column} = $1 LIMIT 1`, [first.uuid])
        if (rows.length === 0) blind.push(table)
      }
      expect(blind).toEqual([])
    })
  })

  it('it reads, changes, deletes, takes over, gives away and forges nothing of another', async () => {
    const before = await everything(second.uuid)
    const found = await undone(api, async () => {
      await name(api, first.uuid)
      return await probe(api)
    })
    expect(found).toEqual([])
    expect(await everything(second.uuid)).toEqual(before)
  })

  it('the same through withAccount', async () => {
    for (const { table, column } of tables.filter((of) => of.table !== 'idempotency_records')) {
      const whose = await world.apiDb.withAccount(first.uuid, (tx) =>
        tx.$queryRawUnsafe<{ whose: string | null }[]>(`SELECT DISTINCT ${column} AS whose FROM ${table}`),
      )
      expect([table, whose.map((row) => row.whose).filter((id) => id !== null)]).toEqual([table, [first.uuid]])
    }
  })

  it('naming nobody it sees nobody', async () => {
    await undone(api, async () => {
      for (const of of tables) expect([of.table, await foreignRows(api, of, null)]).toEqual([of.table, 0])
    })
    for (const of of tables.filter(({ table }) => table !== 'prices')) {
      const rows = await world.apiDb.withNobody((tx) => tx.$queryRawUnsafe<unknown[]>(`SELECT 1 FROM ${of.table}`))
      expect([of.table, rows.length]).toEqual([of.table, 0])
    }
  })

  it('an account named in one transaction is forgotten in the next', async () => {
    await undone(api, () => name(api, first.uuid))
    for (const of of tables) expect([of.table, await foreignRows(api, of, null)]).toEqual([of.table, 0])
  })

  it('an account that does not exist sees nobody either, and a name that is no id is refused', async () => {
    await undone(api, async () => {
      await name(api, '00000000-0000-7000-8000-000000000000')
      for (const of of tables) expect([of.table, await foreignRows(api, of, null)]).toEqual([of.table, 0])
    })
    await expect(
      undone(api, async () => {
        await name(api, "' OR true --")
        await api.query('SELECT 1 FROM licenses')
      }),
    ).rejects.toMatchObject({ code: '22P02' })
  })

  it("an account's transaction prices nothing, for itself or for everybody", async () => {
    const price = (account: string | null) =>
      undone(api, async () => {
        await name(api, first.uuid)
        await api.query(
          `INSERT INTO prices (id, product_id, account_id, currency, model, monthly_amount, effective_from, created_at)
         SELECT gen_random_uuid(), id, $1::uuid, 'usd', 'per_day', 0, '2026-12-01', now() FROM products`,
          [account],
        )
      })
    for (const account of [first.uuid, second.uuid, null]) {
      await expect(price(account)).rejects.toMatchObject({ code: '42501' })
    }
  })
})

describe('what is for operators alone', () => {
  it('an account, and nobody, reads, changes, deletes and forges nothing of it', async () => {
    for (const who of [first.uuid, null]) {
      const found = await undone(api, async () => {
        await name(api, who)
        return await operatorBreaches(api, histories)
      })
      expect(found).toEqual([])
    }
  })

  it('an operator adds to it, and reads what came of it, but not what was sent', async () => {
    const found = await undone(api, async () => {
      await api.query(`SELECT set_config('perdiem.operator', 'on', true)`)
      return await operatorBreaches(api, histories)
    })
    expect(found.map(({ table, how }) => `${table}: ${how}`).sort()).toEqual([
      'import_accounts: forge',
      'import_events: forge',
      'import_failures: forge',
      'import_failures: read',
      'import_prices: forge',
      'import_targets: read',
      'imports: forge',
      'imports: read',
    ])
  })

  it('the probe would see it: row-level security switched off, table by table', async () => {
    for (const table of OPERATOR_ONLY) {
      // What was sent cannot even be read by right: that wall is taken down as well.
      const opened = `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY; GRANT SELECT ON ${table} TO perdiem_api`
      const found = await withWalls(opened, () => operatorBreaches(superuser, histories))
      expect(found).toContainEqual({ table, how: 'read' })
      if (table !== 'import_targets') expect(found).toContainEqual({ table, how: 'forge' })
      expect(new Set(found.map((breach) => breach.table))).toEqual(new Set([table]))
    }
  })
})

/** Every row of an account, with the system columns that any change of it would change. */
async function everything(account: string): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {}
  for (const { table, column } of tables) {
    const { rows } = await superuser.query(
      `SELECT xmin::text, ctid::text, to_jsonb(t) AS row FROM ${table} t WHERE ${column} = $1 ORDER BY ctid`,
      [account],
    )
    all[table] = rows
  }
  return all
}

describe('the proof that the probe would see it', () => {
  it('with every wall in place it finds nothing, seen from here too', async () => {
    expect(await withWalls('SELECT 1', () => probe(superuser))).toEqual([])
  })

  it('row-level security switched off, table by table: read, every time', async () => {
    for (const of of tables) {
      const found = await withWalls(`ALTER TABLE ${of.table} DISABLE ROW LEVEL SECURITY`, () => probe(superuser, [of]))
      expect(found).toContainEqual({ table: of.table, how: 'read' })
      const missing = await undone(superuser, async () => {
        await superuser.query(`ALTER TABLE ${of.table} DISABLE ROW LEVEL SECURITY`)
        return await unguarded(superuser, tables)
      })
      expect(missing).toEqual([of.table])
    }
  })

  it('a policy dropped is missed', async () => {
    const missing = await undone(superuser, async () => {
      await superuser.query('DROP POLICY account ON licenses')
      return await unguarded(superuser, tables)
    })
    expect(missing).toEqual(['licenses'])
  })

  it('a policy that lets everything through: read, updated and forged', async () => {
    // The API may not write this table at all: that wall is taken down as well.
    const opened = `ALTER POLICY account ON payment_methods USING (true);
      GRANT INSERT, UPDATE ON payment_methods TO perdiem_api`
    const of = tables.filter(({ table }) => table === 'payment_methods')
    const found = await withWalls(opened, () => probe(superuser, of))
    expect(found.map(({ how }) => how)).toEqual([
      'read',
      'update: 1 rows',
      'take over: 23505',
      'give away: 23505',
      'forge: 23505',
    ])
  })

  it('a policy that guards reading only: what is written is found', async () => {
    const half = 'CREATE POLICY half ON audit_entries FOR INSERT TO perdiem_api WITH CHECK (true)'
    const of = tables.filter(({ table }) => table === 'audit_entries')
    expect(await withWalls(half, () => probe(superuser, of))).toEqual([{ table: 'audit_entries', how: 'forge: 23505' }])
  })
})
