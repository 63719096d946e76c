// Rows written straight into the tables, for tests of the database's own walls: one valid row of each table, two seeded
// accounts they belong to, and attempts that are always rolled back.
import pg from 'pg'

export type Row = Record<string, unknown>

/** The nth id of a test. */
export const uuid = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`

export const ID = {
  first: uuid(1),
  second: uuid(2),
  product: uuid(3),
  firstSite: uuid(11),
  secondSite: uuid(12),
  firstLicense: uuid(21),
  secondLicense: uuid(22),
  firstCard: uuid(31),
  secondCard: uuid(32),
  draft: uuid(41),
  final: uuid(42),
  secondFinal: uuid(43),
  firstHold: uuid(61),
  secondHold: uuid(62),
  import: uuid(71),
  fresh: uuid(90),
} as const

const AT = '2026-10-02T12:00:00Z'
const DAY = '2026-10-01'

const line = {
  product_id: ID.product,
  description: 'backup',
  quantity: 41,
  unit: 'days',
  unit_rate: '0.328767',
  starts_on: DAY,
  ends_on: '2026-10-31',
}
const draft = {
  kind: 'usage',
  period_start: DAY,
  period_end: '2026-10-31',
  currency: 'usd',
  subtotal: 1000,
  tax: 0,
  total: 1000,
  drafted_at: AT,
  finalize_at: AT,
}
/** What finalization sets on a draft. */
export const finality = (sequence: number): Row => ({
  number: `PD-00000${sequence}`,
  series: 'PD',
  sequence,
  issued_on: '2026-11-03',
  due_on: '2026-11-17',
  bill_to: {},
  issuer: {},
  collection: 'charge',
  finalized_at: AT,
})

/** One row of each table that the seeded database takes. */
export const VALID: Record<string, Row> = {
  accounts: { id: ID.fresh, name: 'Third', currency: 'usd', timezone: 'UTC', bill_from: DAY, created_at: AT },
  api_keys: {
    id: ID.fresh,
    account_id: ID.first,
    name: 'key',
    secret_hash: '\\x09',
    hint: 'abcd',
    scopes: ['owner'],
    created_at: AT,
  },
  prices: {
    id: ID.fresh,
    product_id: ID.product,
    account_id: null,
    currency: 'usd',
    model: 'per_day',
    monthly_amount: 10,
    effective_from: '2026-06-01',
    created_at: AT,
  },
  sites: { id: ID.fresh, account_id: ID.first, url: 'https://fresh.example', created_at: AT },
  licenses: {
    id: ID.fresh,
    account_id: ID.first,
    product_id: ID.product,
    key_cipher: '\\x01',
    key_hash: '\\x99',
    key_hint: 'WXYZ',
    issued_at: AT,
    issued_by: ID.fresh,
    issued_index: 1,
  },
  past_assignments: {
    id: ID.fresh,
    account_id: ID.first,
    license_id: ID.firstLicense,
    site_id: ID.firstSite,
    assigned_at: AT,
    unassigned_at: AT,
  },
  actions: { id: ID.fresh, account_id: ID.first, kind: 'license.issue', input: {}, actor: 'key:x', accepted_at: AT },
  staged_jobs: { id: ID.fresh, name: 'test.fact', payload: {}, key: 'fresh' },
  counted_days: {
    account_id: ID.first,
    day: '2026-10-02',
    starts_at: '2026-10-02T00:00:00Z',
    ends_at: '2026-10-03T00:00:00Z',
    counted_at: '2026-10-03T00:00:00Z',
  },
  usage_days: { account_id: ID.first, day: DAY, product_id: ID.product, days: 1, peak: 1, assigned: 0, unassigned: 1 },
  closed_months: { account_id: ID.first, month: '2026-10-01', closed_at: AT },
  invoices: { id: ID.fresh, account_id: ID.first, ...draft },
  invoice_lines: { invoice_id: ID.draft, position: 2, account_id: ID.first, amount: 0, ...line },
  invoice_claims: { account_id: ID.first, kind: 'usage', period_start: '2026-10-01', invoice_id: ID.draft },
  invoice_states: { invoice_id: ID.final, account_id: ID.first, status: 'open' },
  stripe_customers: { account_id: ID.first, customer_id: 'cus_1', created_at: AT },
  payment_methods: {
    id: ID.fresh,
    account_id: ID.first,
    stripe_id: 'pm_fresh',
    brand: 'visa',
    last4: '4242',
    exp_month: 12,
    exp_year: 2038,
    primary: false,
    added_at: AT,
  },
  invoice_mirrors: { invoice_id: ID.final, account_id: ID.first, stripe_invoice_id: 'in_1', created_at: AT },
  payments: {
    id: ID.fresh,
    account_id: ID.first,
    invoice_id: ID.final,
    payment_method_id: ID.firstCard,
    amount: 1000,
    currency: 'usd',
    status: 'sent',
    created_at: AT,
  },
  documents: {
    invoice_id: ID.final,
    kind: 'invoice',
    account_id: ID.first,
    file: 'a.pdf',
    sha256: 'x',
    bytes: 1,
    rendered_at: AT,
  },
  messages: {
    id: ID.fresh,
    account_id: ID.first,
    reason: 'fresh',
    message_id: '<x>',
    recipients: ['a@b.example'],
    subject: 's',
  },
  holds: { id: ID.fresh, account_id: ID.first, source: 'operator', reason: 'asked for', since: AT },
  hold_members: { hold_id: ID.firstHold, account_id: ID.first, license_id: ID.firstLicense },
  imports: { id: ID.fresh, bill_from: DAY, actor: 'test', created_at: AT },
  import_accounts: { import_id: ID.import, line: 2, account: 'old-1', details: {} },
  import_prices: {
    import_id: ID.import,
    line: 2,
    account: '',
    product: 'backup',
    name: 'Backup',
    family: 'test',
    currency: 'usd',
    model: 'per_day',
    monthly_amount: 10,
    effective_from: DAY,
  },
  import_events: { import_id: ID.import, account: 'old-1', license: 'a', line: 2, at: AT, event: 'issue' },
  import_targets: { import_id: ID.import, account: 'old-1', chunk: 0, events: 1, account_id: ID.first },
  import_failures: { import_id: ID.import, file: 'events.csv', line: 2, field: 'at', message: 'is missing' },
  audit_entries: { account_id: ID.first, at: AT, actor: 'test', action: 'test', subject: 'x' },
  vendor_settings: { id: 1, issuer: {}, series: 'PD' },
}

/** Inserts a row whose columns are given as JSON; columns left out take their default. */
export async function insertRow(client: pg.Client, table: string, row: Row): Promise<void> {
  const columns = Object.keys(row)
    .map((name) => pg.escapeIdentifier(name))
    .join(', ')
  await client.query(
    `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM jsonb_populate_record(NULL::${table}, $1::jsonb)`,
    [JSON.stringify(row)],
  )
}

/** Two accounts, each with a site, a license, a card, a hold and a final invoice; the first has a draft too. */
export async function seedRows(owner: pg.Client): Promise<void> {
  const add = (table: string, row: Row): Promise<void> => insertRow(owner, table, row)
  await add('products', { id: ID.product, slug: 'backup', name: 'Backup', family: 'test', created_at: AT })
  await add('imports', { ...VALID.imports, id: ID.import })
  for (const [index, id] of [ID.first, ID.second].entries()) {
    const own = { account_id: id }
    const card = [ID.firstCard, ID.secondCard][index]!
    const site = [ID.firstSite, ID.secondSite][index]!
    await add('accounts', { ...VALID.accounts, id, name: `Account ${index}` })
    await add('sites', { ...VALID.sites, ...own, id: site, url: `https://${index}.example` })
    await add('licenses', {
      ...VALID.licenses,
      ...own,
      id: [ID.firstLicense, ID.secondLicense][index],
      key_hash: `\\x0${index}`,
      issued_by: uuid(80),
      issued_index: index,
    })
    await add('holds', { ...VALID.holds, ...own, id: [ID.firstHold, ID.secondHold][index] })
    const stripe_id = `pm_${index}`
    await add('payment_methods', { ...VALID.payment_methods, ...own, id: card, stripe_id, primary: true })
    await addInvoice(add, [ID.final, ID.secondFinal][index]!, id)
  }
  await owner.query(
    `UPDATE invoices SET number = 'PD-00000' || n, series = 'PD', sequence = n, issued_on = '2026-11-03',
       bill_to = '{}', issuer = '{}', collection = 'charge', finalized_at = drafted_at
     FROM (VALUES ($1::uuid, 1), ($2::uuid, 2)) AS final (of, n) WHERE id = of`,
    [ID.final, ID.secondFinal],
  )
  await addInvoice(add, ID.draft, ID.first)
  await add('counted_days', {
    account_id: ID.first,
    day: DAY,
    counted_at: AT,
    starts_at: '2026-10-01T00:00:00Z',
    ends_at: '2026-10-02T00:00:00Z',
  })
}

async function addInvoice(add: (table: string, row: Row) => Promise<void>, id: string, account: string): Promise<void> {
  await add('invoices', { ...draft, id, account_id: account })
  await add('invoice_lines', { ...line, invoice_id: id, account_id: account, position: 1, amount: 1000 })
}

/** Makes a draft final, as the finalization does. */
export function finalize(client: pg.Client, id: string, change: Row = {}): Promise<unknown> {
  const entries = Object.entries({ ...finality(9), ...change })
  const sets = entries.map(([column], index) => `${column} = $${index + 2}`).join(', ')
  return client.query(`UPDATE invoices SET ${sets} WHERE id = $1`, [id, ...entries.map(([, value]) => value)])
}

/** Puts a row into its table. An invoice begins as a draft, so that a final one is the seeded draft made final. */
export async function placeRow(client: pg.Client, table: string, row: Row): Promise<void> {
  if (table !== 'invoices' || !row.finalized_at) return await insertRow(client, table, row)
  const { id: _, ...rest } = row
  await finalize(client, ID.draft, rest)
}

/** Undoes a finalization, past all triggers: only for the superuser, to tidy up after a test. */
export async function makeDraftAgain(superuser: pg.Client, id: string): Promise<void> {
  const nulls = Object.keys(finality(9))
    .map((column) => `${column} = NULL`)
    .join(', ')
  await superuser.query('SET session_replication_role = replica')
  await superuser.query('DELETE FROM invoice_lines WHERE invoice_id = $1 AND position > 1', [id])
  await superuser.query(`UPDATE invoices SET ${nulls} WHERE id = $1`, [id])
  await superuser.query('SET session_replication_role = origin')
}

export interface Refusal {
  readonly code: string | undefined
  readonly constraint: string | undefined
  readonly message: string
}

/** What the database said to an attempt, which is undone whatever came of it; null when nothing was refused. */
export async function attempt(client: pg.Client, work: () => Promise<unknown>): Promise<Refusal | null> {
  await client.query('BEGIN')
  try {
    await client.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    await work()
    return null
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    return { code: error.code, constraint: error.constraint, message: error.message }
  } finally {
    await client.query('ROLLBACK')
  }
}
