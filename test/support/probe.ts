// Looks at every table that belongs to accounts the way the API's role does, for rows of an account not its own.
import pg from 'pg'

export interface OwnedTable {
  readonly table: string
  /** The column that says whose row it is. */
  readonly column: string
}

/** A vendor's histories, of many accounts at once: for operators alone, so that no account sees even its own. */
export const OPERATOR_ONLY = [
  'import_accounts',
  'import_events',
  'import_failures',
  'import_prices',
  'import_targets',
  'imports',
] as const

/** Every table of an account's data: whatever has an account_id, the accounts themselves, and kept answers. */
export async function ownedTables(client: pg.Client): Promise<OwnedTable[]> {
  const { rows } = await client.query<OwnedTable>(
    `
    SELECT c.table_name AS table, c.column_name AS column FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'account_id'
      AND NOT c.table_name = ANY($1) ORDER BY 1`,
    [OPERATOR_ONLY],
  )
  return [...rows, { table: 'accounts', column: 'id' }, { table: 'idempotency_records', column: 'scope' }]
}

/** Tables whose rows nothing holds back from the API: no row-level security, or no policy for its role. */
export async function unguarded(client: pg.Client, tables: readonly { table: string }[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY($1)
       AND (NOT c.relrowsecurity OR NOT EXISTS (
         SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND 'perdiem_api'::regrole::oid = ANY(p.polroles)))
     ORDER BY 1`,
    [tables.map(({ table }) => table)],
  )
  return rows.map(({ name }) => name)
}

/** Names the account of the transaction, as withAccount does; null names nobody. */
export async function name(client: pg.Client, account: string | null): Promise<void> {
  for (const setting of ['perdiem.account', 'perdiem.scope']) {
    await client.query('SELECT set_config($1, $2, true)', [setting, account ?? ''])
  }
}

/** Runs one statement that may be refused without ending the transaction. */
async function tryOut(
  client: pg.Client,
  sql: string,
  values: unknown[],
): Promise<{ code: string | null; rows: number }> {
  await client.query('SAVEPOINT probe')
  try {
    const { rowCount } = await client.query(sql, values)
    return { code: null, rows: rowCount ?? 0 }
  } catch (error) {
    return { code: (error as pg.DatabaseError).code ?? 'unknown', rows: 0 }
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT probe')
  }
}

/** How many rows of a table, visible without any WHERE, belong to an account other than the one that is named. */
export async function foreignRows(client: pg.Client, of: OwnedTable, own: string | null): Promise<number> {
  const { rows } = await client.query(`SELECT ${of.column} AS whose FROM ${of.table}`)
  return rows.filter(({ whose }) => whose !== null && whose !== own).length
}

export interface Breach {
  readonly table: string
  readonly how: string
}

/** The refusals that mean "not yours": no right to the statement, or a policy against the row. */
const REFUSED = '42501'

/**
 * Tries, in the present transaction, to read, change, delete, take over and forge rows of another account.
 * @param theirs a row of the other account's in each table, as JSON
 */
export async function breaches(
  client: pg.Client,
  tables: readonly OwnedTable[],
  own: string,
  other: string,
  theirs: ReadonlyMap<string, string>,
): Promise<Breach[]> {
  const found: Breach[] = []
  for (const { table, column } of tables) {
    const report = (how: string): void => void found.push({ table, how })
    if ((await foreignRows(client, { table, column }, own)) > 0) report('read')
    const touch = async (how: string, sql: string, values: unknown[]): Promise<void> => {
      const { code, rows } = await tryOut(client, sql, values)
      if (code !== REFUSED && (code !== null || rows > 0)) report(`${how}: ${code ?? `${rows} rows`}`)
    }
    await touch('update', `UPDATE ${table} SET ${column} = ${column} WHERE ${column} = $1`, [other])
    await touch('delete', `DELETE FROM ${table} WHERE ${column} = $1`, [other])
    await touch('take over', `UPDATE ${table} SET ${column} = $2 WHERE ${column} = $1`, [other, own])
    await touch('give away', `UPDATE ${table} SET ${column} = $2 WHERE ${column} = $1`, [own, other])
    const forged = `INSERT INTO ${table} SELECT (jsonb_populate_record(NULL::${table}, $1)).*`
    await touch('forge', forged, [theirs.get(table)])
  }
  return found
}

/**
 * How a present transaction that is no operator's can read or write the tables that are for operators alone. A row it
 * forges is a copy of one that is there, which only the primary key would refuse.
 * @param rows a row of each table, as JSON
 */
export async function operatorBreaches(client: pg.Client, rows: ReadonlyMap<string, string>): Promise<Breach[]> {
  const found: Breach[] = []
  for (const table of OPERATOR_ONLY) {
    const forged = `INSERT INTO ${table} SELECT (jsonb_populate_record(NULL::${table}, $1)).*`
    const tries: [how: string, sql: string, values: unknown[]][] = [
      ['read', `SELECT * FROM ${table}`, []],
      ['update', `UPDATE ${table} SET ${table === 'imports' ? 'id = id' : 'import_id = import_id'}`, []],
      ['delete', `DELETE FROM ${table}`, []],
      ['forge', forged, [rows.get(table)]],
    ]
    for (const [how, sql, values] of tries) {
      const { code, rows: touched } = await tryOut(client, sql, values)
      if (code !== REFUSED && (code !== null || touched > 0)) found.push({ table, how })
    }
  }
  return found
}
