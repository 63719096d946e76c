// The walls that stand behind the code: what the database refuses whoever asks, by SQLSTATE and constraint.
// 23505 unique, 23503 foreign key, 23514 check (and our triggers), 42501 no right to.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import {
  attempt,
  finality,
  finalize,
  ID,
  insertRow,
  makeDraftAgain,
  placeRow,
  seedRows,
  uuid,
  VALID,
  type Refusal,
  type Row,
} from '../support/rows.ts'
import { waitUntil } from '../support/wait.ts'
import {
  API_MAY_CHANGE,
  BORN_BY_API,
  CHECKS,
  FORBIDDEN_TO_API,
  NOT_BORN_BY_API,
  REFERENCES,
  UNIQUES,
} from '../support/walls.ts'

let database: TestDatabase
let superuser: pg.Client
let owner: pg.Client
let worker: pg.Client
let api: pg.Client
const clients: pg.Client[] = []

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  clients.push(client)
  return client
}

beforeAll(async () => {
  database = await createTestDatabase()
  superuser = await connect(database.superuserUrl)
  owner = await connect(database.ownerUrl)
  worker = await connect(database.workerUrl)
  api = await connect(database.apiUrl)
  await seedRows(owner)
})
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await database.drop()
})

/** Who may write a table: the worker where its grants allow, else the API for an operator, else nobody but us. */
async function writerOf(table: string): Promise<pg.Client> {
  const { rows } = await superuser.query(
    `SELECT has_table_privilege('perdiem_worker', $1, 'INSERT') AS worker,
            has_table_privilege('perdiem_api', $1, 'INSERT') AS api`,
    [table],
  )
  if (rows[0].worker) return worker
  return rows[0].api ? api : superuser
}

const refusedRow = async (table: string, row: Row): Promise<Refusal | null> => {
  const writer = await writerOf(table)
  return await attempt(writer, () => placeRow(writer, table, row))
}

const names = async (sql: string): Promise<string[]> => (await superuser.query(sql)).rows.map((row) => row.name)
const constraints = (contype: string): Promise<string[]> =>
  names(
    `SELECT conname AS name FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = '${contype}'`,
  )
const distinct = (list: readonly string[]): string[] => [...new Set(list)].sort()

describe('the list of walls is whole', () => {
  it('every check of the database is tried', async () => {
    expect(distinct(CHECKS.map(([name]) => name))).toEqual(distinct(await constraints('c')))
  })
  it('every foreign key is tried', async () => {
    expect(distinct(REFERENCES.map(([name]) => name))).toEqual(distinct(await constraints('f')))
  })
  it('every partial or null-aware unique is tried', async () => {
    const found = await names(`
      SELECT indexrelid::regclass::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE c.relnamespace = 'public'::regnamespace AND indisunique AND (indpred IS NOT NULL OR indnullsnotdistinct)`)
    expect(distinct(UNIQUES.map(({ index }) => index))).toEqual(distinct(found))
  })
  it('every trigger is one that is tried below', async () => {
    const sql = "SELECT tgrelid::regclass || '.' || tgname AS name FROM pg_trigger WHERE NOT tgisinternal"
    const found = await names(sql)
    expect(found.sort()).toEqual([
      'audit_entries.append_only',
      'invoice_lines.final_lines_after',
      'invoice_lines.final_lines_before',
      'invoice_lines.final_lines_deleted',
      'invoice_lines.final_lines_inserted',
      'invoice_lines.never_emptied',
      'invoices.born_drafts',
      'invoices.final_invoices',
      'invoices.never_emptied',
    ])
  })
})

describe('checks', () => {
  // The settings are one row that is there already.
  const changed = distinct(CHECKS.map(([, table]) => table)).filter((table) => table !== 'vendor_settings')
  it.each(changed)('the row of %s that the attempts change is itself accepted', async (table) =>
    expect(await refusedRow(table, VALID[table]!)).toBeNull(),
  )
  it.each(CHECKS)('%s refuses %s with %j', async (constraint, table, change) => {
    expect(await refusedRow(table, { ...VALID[table], ...change })).toMatchObject({ code: '23514', constraint })
  })
})

describe('references', () => {
  it.each(REFERENCES)('%s refuses %s with %j', async (constraint, table, change) => {
    expect(await refusedRow(table, VALID[table]!)).toBeNull()
    expect(await refusedRow(table, { ...VALID[table], ...change })).toMatchObject({ code: '23503', constraint })
  })

  it('a license cannot be moved onto a site of another account', async () => {
    const move = (site: string) =>
      attempt(worker, () =>
        worker.query('UPDATE licenses SET site_id = $1, assigned_at = issued_at WHERE id = $2', [
          site,
          ID.firstLicense,
        ]),
      )
    expect(await move(ID.firstSite)).toBeNull()
    expect(await move(ID.secondSite)).toMatchObject({ code: '23503', constraint: 'licenses_account_id_site_id_fkey' })
  })
})

describe('at most one', () => {
  const cases = UNIQUES.map((wall) => [wall.index, wall.refused, wall] as const)
  it.each(cases)('%s refuses %j beside its like', async (_, __, wall) => {
    const writer = await writerOf(wall.table)
    const insertAll = async (rows: readonly Row[]) => {
      for (const row of rows) await insertRow(writer, wall.table, row)
    }
    expect(await attempt(writer, () => insertAll(wall.rows))).toBeNull()
    expect(await attempt(writer, () => insertAll([...wall.rows, wall.refused]))).toMatchObject({
      code: '23505',
      constraint: wall.index,
    })
  })

  it('one live invoice of an account, kind and month; voided, its claim is free for another', async () => {
    const again = { ...VALID.invoice_claims, invoice_id: ID.final }
    const claim = (row: Row) => insertRow(worker, 'invoice_claims', row)
    expect(
      await attempt(worker, async () => {
        await claim(VALID.invoice_claims!)
        await claim(again)
      }),
    ).toMatchObject({ code: '23505', constraint: 'invoice_claims_pkey' })
    expect(
      await attempt(worker, async () => {
        await claim(VALID.invoice_claims!)
        await claim({ ...again, kind: 'overage' })
      }),
    ).toBeNull()
    expect(
      await attempt(worker, async () => {
        await claim(VALID.invoice_claims!)
        await worker.query('DELETE FROM invoice_claims WHERE invoice_id = $1', [ID.draft])
        await claim(again)
      }),
    ).toBeNull()
  })

  it('one invoice holds one claim, a number is given once, and a place in a series too', async () => {
    expect(
      await attempt(worker, async () => {
        await insertRow(worker, 'invoice_claims', VALID.invoice_claims!)
        await insertRow(worker, 'invoice_claims', { ...VALID.invoice_claims, kind: 'overage' })
      }),
    ).toMatchObject({ code: '23505', constraint: 'invoice_claims_invoice_id_key' })
    const numbered = (change: Row) => refusedRow('invoices', { ...VALID.invoices, ...finality(9), ...change })
    expect(await numbered({})).toBeNull()
    expect(await numbered({ number: 'PD-000001' })).toMatchObject({ code: '23505', constraint: 'invoices_number_key' })
    expect(await numbered({ sequence: 1 })).toMatchObject({ code: '23505', constraint: 'invoices_series_sequence_key' })
  })
})

const FINAL = /final and never changes|lines of a final invoice never change/

describe('a final invoice and its lines never change (I7)', () => {
  const columns = [...Object.keys(VALID.invoices!), ...Object.keys(finality(9)), 'parked_reason', 'po_number']
  const set = (column: string): [string, string] => [
    `set ${column}`,
    `UPDATE invoices SET ${column} = ${column} WHERE id = '${ID.final}'`,
  ]
  const attempts: [string, string][] = [
    ...columns.map(set),
    [
      'take back its finality',
      `UPDATE invoices SET finalized_at = NULL, number = NULL, series = NULL, sequence = NULL,
      issued_on = NULL, bill_to = NULL, issuer = NULL, collection = NULL WHERE id = '${ID.final}'`,
    ],
    ['delete it', `DELETE FROM invoices WHERE id = '${ID.final}'`],
    ['change a line', `UPDATE invoice_lines SET amount = amount - 1 WHERE invoice_id = '${ID.final}'`],
    [
      'move a line away',
      `UPDATE invoice_lines SET invoice_id = '${ID.draft}', position = 7 WHERE invoice_id = '${ID.final}'`,
    ],
    [
      'move a line in',
      `UPDATE invoice_lines SET invoice_id = '${ID.final}', position = 7 WHERE invoice_id = '${ID.draft}'`,
    ],
    ['delete a line', `DELETE FROM invoice_lines WHERE invoice_id = '${ID.final}'`],
  ]
  it.each(attempts)('not by the worker, not by the owner: %s', async (_, sql) => {
    for (const client of [worker, owner]) {
      const refusal = await attempt(client, () => client.query(sql))
      expect(refusal).toMatchObject({ code: '23514', message: expect.stringMatching(FINAL) })
    }
  })

  it('a line cannot be added', async () => {
    const added = await refusedRow('invoice_lines', { ...VALID.invoice_lines, invoice_id: ID.final, amount: 0 })
    expect(added).toMatchObject({ code: '23514', message: expect.stringMatching(FINAL) })
  })

  it('a line cannot slip in while the invoice is being finalized', async () => {
    const other = await connect(database.workerUrl)
    await worker.query('BEGIN')
    try {
      await finalize(worker, ID.draft)
      await other.query('BEGIN')
      const pid = (await other.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
      let ended = false
      const late = insertRow(other, 'invoice_lines', { ...VALID.invoice_lines, amount: 5 })
        .then(
          () => null,
          (error: pg.DatabaseError) => error.code ?? 'unknown',
        )
        .finally(() => (ended = true))
      await waitUntil('the line waits for the finalization, or has been answered', async () => {
        const { rows } = await superuser.query('SELECT wait_event_type w FROM pg_stat_activity WHERE pid = $1', [pid])
        return ended || rows[0].w === 'Lock'
      })
      await worker.query('COMMIT')
      expect(await late).toBe('23514')
    } finally {
      await worker.query('ROLLBACK')
      await other.query('ROLLBACK')
      await makeDraftAgain(superuser, ID.draft)
    }
  })

  it.each(['invoices', 'invoice_lines'])('%s cannot be emptied, not even by the owner', async (table) => {
    const refusal = await attempt(owner, () => owner.query(`TRUNCATE ${table} CASCADE`))
    expect(refusal).toMatchObject({ code: '23514', message: expect.stringMatching(/append-only/) })
    expect(await attempt(worker, () => worker.query(`TRUNCATE ${table} CASCADE`))).toMatchObject({ code: '42501' })
  })

  it('a draft becomes final only when its lines add up to its subtotal', async () => {
    expect(await attempt(worker, () => finalize(worker, ID.draft))).toBeNull()
    const short = await attempt(worker, async () => {
      await worker.query('UPDATE invoice_lines SET amount = amount - 1 WHERE invoice_id = $1', [ID.draft])
      await finalize(worker, ID.draft)
    })
    expect(short).toMatchObject({ code: '23514', message: expect.stringMatching(/do not add up/) })
    const other = await attempt(worker, () => finalize(worker, ID.draft, { subtotal: 999, total: 999 }))
    expect(other).toMatchObject({ code: '23514', message: expect.stringMatching(/do not add up/) })
    const none = await attempt(worker, async () => {
      await worker.query('DELETE FROM invoice_lines WHERE invoice_id = $1', [ID.draft])
      await finalize(worker, ID.draft)
    })
    expect(none).toMatchObject({ code: '23514', message: expect.stringMatching(/do not add up/) })
  })

  it('an invoice cannot be born final, past its lines', async () => {
    const born = { ...VALID.invoices, ...finality(9) }
    expect(await attempt(worker, () => insertRow(worker, 'invoices', born))).toMatchObject({ code: '23514' })
  })
})

describe('the audit log only grows (I10)', () => {
  const changes = ["UPDATE audit_entries SET actor = 'me'", 'DELETE FROM audit_entries', 'TRUNCATE audit_entries']
  it.each(changes)('not by its owner: %s', async (sql) => {
    const refusal = await attempt(owner, () => owner.query(sql))
    expect(refusal).toMatchObject({ code: '23514', message: expect.stringMatching(/append-only/) })
    for (const client of [worker, api]) {
      expect(await attempt(client, () => client.query(sql))).toMatchObject({ code: '42501' })
    }
  })
  it('and grows: both processes append to it', async () => {
    for (const client of [worker, api]) {
      expect(await attempt(client, () => insertRow(client, 'audit_entries', VALID.audit_entries!))).toBeNull()
    }
  })
})

describe('rights', () => {
  const rightOf = (role: string, right: string) =>
    names(`
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND has_table_privilege('${role}', oid, '${right}')
    ORDER BY 1`)

  it('the API writes what people ask for, and nothing else', async () => {
    expect(await rightOf('perdiem_api', 'INSERT')).toEqual(BORN_BY_API)
    // Of no table everything; of three the columns that people may change.
    expect(await rightOf('perdiem_api', 'UPDATE')).toEqual([])
    const { rows } = await superuser.query(`
      SELECT table_name || '.' || column_name AS name FROM information_schema.column_privileges
      WHERE grantee = 'perdiem_api' AND privilege_type = 'UPDATE' AND table_schema = 'public' ORDER BY 1`)
    expect(rows.map((row) => row.name)).toEqual(API_MAY_CHANGE)
    expect(await rightOf('perdiem_api', 'DELETE')).toEqual(['idempotency_records'])
  })
  it('neither process empties a table, or reads the migrations', async () => {
    for (const role of ['perdiem_api', 'perdiem_worker']) {
      expect(await rightOf(role, 'TRUNCATE')).toEqual([])
      expect(await rightOf(role, 'SELECT')).not.toContain('_prisma_migrations')
    }
  })

  it.each(FORBIDDEN_TO_API)('the API cannot %s', async (_, sql) => {
    expect(await attempt(api, () => api.query(sql))).toMatchObject({ code: '42501' })
  })
  it.each(NOT_BORN_BY_API)('the API cannot insert into %s', async (table) => {
    expect(await attempt(api, () => insertRow(api, table, VALID[table]!))).toMatchObject({ code: '42501' })
  })
  it('the worker cannot change keys, prices, products or the settings', async () => {
    for (const table of ['api_keys', 'prices', 'products', 'vendor_settings']) {
      expect(await attempt(worker, () => worker.query(`DELETE FROM ${table}`))).toMatchObject({ code: '42501' })
    }
    for (const table of ['api_keys', 'prices', 'vendor_settings']) {
      const born = { ...VALID[table], id: table === 'vendor_settings' ? 2 : uuid(91) }
      expect(await attempt(worker, () => insertRow(worker, table, born))).toMatchObject({ code: '42501' })
    }
  })
})
