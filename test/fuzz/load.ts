// Histories into the tables, in bulk: one history is one account. What a history calls A or 0 gets an id here.
import type pg from 'pg'
import type { History } from '../support/naive/history.ts'

const hex = (number: number): string => number.toString(16).padStart(6, '0')

/** Ids that say what they are of: a history, and which of its things. */
const id = (kind: number, history: number, nth = 0): string =>
  `0000000${kind}-0000-7000-8000-${hex(history)}${hex(nth)}`

export const ids = {
  account: (history: number): string => id(1, history),
  product: (history: number, name: string): string => id(2, history, name.charCodeAt(0)),
  price: (history: number, nth: number): string => id(3, history, nth),
  license: (history: number, nth: number): string => id(4, history, nth),
  hold: (history: number, nth: number): string => id(5, history, nth),
  /** What an id stands for. */
  read: (text: string): { history: number; nth: number } => ({
    history: Number.parseInt(text.slice(24, 30), 16),
    nth: Number.parseInt(text.slice(30), 16),
  }),
}

const time = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

/** Inserts rows into columns that are given with their types, as in `id uuid, name text`. */
async function insert(
  client: pg.Client,
  table: string,
  typed: string,
  rows: readonly (readonly unknown[])[],
): Promise<void> {
  if (rows.length === 0) return
  const columns = typed.split(', ').map((one) => one.split(' ') as [name: string, type: string])
  const names = columns.map(([name]) => name).join(', ')
  const given = columns.map(([, type], n) => `$${n + 1}::${type}[]`).join(', ')
  const values = columns.map((_, n) => rows.map((row) => row[n]))
  await client.query(`INSERT INTO ${table} (${names}) SELECT * FROM unnest(${given})`, values)
}

const FILLED = [
  ...['accounts', 'products', 'prices', 'licenses', 'holds', 'hold_members', 'counted_days', 'usage_days'],
  ...['closed_months', 'invoices', 'invoice_lines', 'invoice_claims', 'invoice_states', 'number_series'],
  ...['staged_jobs', 'audit_entries'],
]

/** Empties the tables that a scene fills. Only a superuser gets past the triggers that forbid it. */
export async function clear(client: pg.Client): Promise<void> {
  await client.query(`SET session_replication_role = replica`)
  await client.query(FILLED.map((table) => `DELETE FROM ${table}`).join(';'))
  await client.query(`SET session_replication_role = origin`)
}

export async function load(client: pg.Client, histories: readonly History[]): Promise<void> {
  const rows = <T>(pick: (history: History, n: number) => T[]): T[] => histories.flatMap(pick)
  await loadAccounts(client, histories)
  const prices = rows((history, n) =>
    history.prices.map((one, nth) => [
      ...[ids.price(n, nth), ids.product(n, one.product), one.own ? ids.account(n) : null, one.currency, 'per_day'],
      ...[one.monthly, one.from, one.endsOn, one.billWhilePaused, '2000-01-01T00:00:00Z'],
    ]),
  )
  const columns =
    'id uuid, product_id uuid, account_id uuid, currency text, model text, monthly_amount numeric, ' +
    'effective_from date, ends_on date, bill_while_paused bool, created_at timestamptz'
  await insert(client, 'prices', columns, prices)
  await loadLicenses(client, histories)
}

async function loadAccounts(client: pg.Client, histories: readonly History[]): Promise<void> {
  await insert(
    client,
    'accounts',
    'id uuid, name text, currency text, timezone text, bill_from date, created_at timestamptz',
    histories.map(({ currency, zone, billFrom }, n) => [
      ...[ids.account(n), `History ${n}`, currency, zone, billFrom, '2000-01-01T00:00:00Z'],
    ]),
  )
  await insert(
    client,
    'products',
    'id uuid, slug text, name text, family text, created_at timestamptz',
    histories.flatMap(({ products }, n) =>
      products.map((name) => [ids.product(n, name), `${name}-${n}`, name, 'test', '2000-01-01T00:00:00Z']),
    ),
  )
}

async function loadLicenses(client: pg.Client, histories: readonly History[]): Promise<void> {
  await insert(
    client,
    'licenses',
    'id uuid, account_id uuid, product_id uuid, key_cipher bytea, key_hash bytea, key_hint text, ' +
      'issued_at timestamptz, issued_by uuid, issued_index int, revoked_at timestamptz',
    histories.flatMap(({ licenses }, n) =>
      licenses.map((one, nth) => {
        const bytes = Buffer.from(`${n}.${nth}`)
        const birth = [time(one.issued), ids.account(n), nth, time(one.revoked)]
        return [ids.license(n, nth), ids.account(n), ids.product(n, one.product), bytes, bytes, 'test', ...birth]
      }),
    ),
  )
  await insert(
    client,
    'holds',
    'id uuid, account_id uuid, source text, reason text, since timestamptz, until timestamptz',
    histories.flatMap(({ holds }, n) =>
      holds.map((one, nth) => [ids.hold(n, nth), ids.account(n), 'operator', 'test', time(one.since), time(one.until)]),
    ),
  )
  await insert(
    client,
    'hold_members',
    'hold_id uuid, account_id uuid, license_id uuid',
    histories.flatMap(({ holds }, n) =>
      holds.flatMap(({ members }, nth) =>
        members.map((member) => [ids.hold(n, nth), ids.account(n), ids.license(n, member)]),
      ),
    ),
  )
}
