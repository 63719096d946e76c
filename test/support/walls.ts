// The walls of the database that Prisma cannot say, each with an attempt that it must refuse. constraints.test.ts holds
// this list against the catalog of the database, so that a wall without an attempt fails the test.
import { finality, ID, uuid, VALID, type Row } from './rows.ts'

/** A change that makes the table's valid row one that the named constraint refuses. */
export type Wall = readonly [constraint: string, table: string, change: Row]

export const CHECKS: readonly Wall[] = [
  ['accounts_autopay_cap_check', 'accounts', { autopay_cap: -1 }],
  ['accounts_currency_check', 'accounts', { currency: 'USD' }],
  ['accounts_currency_check', 'accounts', { currency: 'usd\n' }],
  ['accounts_invoice_day_check', 'accounts', { invoice_day: 0 }],
  ['accounts_invoice_day_check', 'accounts', { invoice_day: 9 }],
  ['accounts_name_check', 'accounts', { name: '' }],
  ['accounts_name_check', 'accounts', { name: 'x'.repeat(201) }],
  ['accounts_net_days_check', 'accounts', { net_days: 366 }],
  ['api_keys_check', 'api_keys', { scopes: ['operator'] }],
  ['api_keys_check', 'api_keys', { account_id: null }],
  ['api_keys_scopes_check', 'api_keys', { scopes: ['owner', 'root'] }],
  ['api_keys_scopes_check', 'api_keys', { scopes: [] }],
  ['prices_check', 'prices', { ends_on: '2026-06-01' }],
  ['prices_model_check', 'prices', { model: 'per_hour' }],
  ['prices_monthly_amount_check', 'prices', { monthly_amount: -0.01 }],
  ['sites_check', 'sites', { url: null }],
  ['licenses_check', 'licenses', { revoked_at: '2026-10-02T11:59:59Z' }],
  ['licenses_check1', 'licenses', { site_id: ID.firstSite }],
  ['licenses_check1', 'licenses', { assigned_at: '2026-10-02T12:00:00Z' }],
  [
    'licenses_check2',
    'licenses',
    {
      revoked_at: '2026-10-03T00:00:00Z',
      site_id: ID.firstSite,
      assigned_at: '2026-10-02T12:00:00Z',
    },
  ],
  ['past_assignments_check', 'past_assignments', { unassigned_at: '2026-10-02T11:59:59Z' }],
  ['actions_check', 'actions', { status: 'done' }],
  ['actions_check', 'actions', { ended_at: '2026-10-02T12:00:00Z' }],
  ['actions_check1', 'actions', { status: 'refused', ended_at: '2026-10-02T12:00:00Z' }],
  ['actions_check1', 'actions', { status: 'done', ended_at: '2026-10-02T12:00:00Z', error: {} }],
  ['actions_status_check', 'actions', { status: 'lost', ended_at: '2026-10-02T12:00:00Z' }],
  ['staged_jobs_check', 'staged_jobs', { outcome: 'done' }],
  ['staged_jobs_check', 'staged_jobs', { finished_at: '2026-10-02T12:00:00Z' }],
  ['staged_jobs_outcome_check', 'staged_jobs', { outcome: 'later', finished_at: '2026-10-02T12:00:00Z' }],
  ['counted_days_check', 'counted_days', { starts_at: '2026-10-04T00:00:00Z' }],
  ['counted_days_check1', 'counted_days', { counted_at: '2026-10-02T23:59:59Z' }],
  ['usage_days_check', 'usage_days', { days: -1 }],
  ['usage_days_check', 'usage_days', { unassigned: -1 }],
  ['usage_days_paused_days_check', 'usage_days', { paused_days: -1 }],
  ['closed_months_month_check', 'closed_months', { month: '2026-10-02' }],
  ['invoices_check', 'invoices', { tax: 1 }],
  ['invoices_check1', 'invoices', { period_end: '2026-09-30' }],
  // All of what makes an invoice final, or nothing of it.
  ...Object.keys(finality(9))
    .filter((column) => column !== 'due_on')
    .map((column): Wall => ['invoices_check2', 'invoices', { ...finality(9), [column]: null }]),
  ['invoices_check3', 'invoices', { ...finality(9), parked_reason: 'recount_differs' }],
  ['invoices_collection_check', 'invoices', { ...finality(9), collection: 'maybe' }],
  ['invoices_kind_check', 'invoices', { kind: 'gift' }],
  ['invoices_total_check', 'invoices', { subtotal: -1, total: -1 }],
  ['invoice_states_check', 'invoice_states', { paid: -1 }],
  ['invoice_states_check', 'invoice_states', { credited: -1 }],
  ['invoice_states_check1', 'invoice_states', { status: 'paid' }],
  ['invoice_states_check1', 'invoice_states', { paid_at: '2026-10-02T12:00:00Z' }],
  ['invoice_states_status_check', 'invoice_states', { status: 'draft' }],
  ['payments_amount_check', 'payments', { amount: 0 }],
  ['payments_status_check', 'payments', { status: 'maybe' }],
  ['documents_kind_check', 'documents', { kind: 'reminder' }],
  ['vendor_settings_id_check', 'vendor_settings', { id: 2 }],
  ['holds_source_check', 'holds', { source: 'whim' }],
  ['holds_check', 'holds', { until: '2026-10-02T11:59:59.999Z' }],
  ['imports_status_check', 'imports', { status: 'lost', ended_at: '2026-10-02T12:00:00Z' }],
  ['imports_bill_from_check', 'imports', { bill_from: '2026-10-02' }],
  ['imports_check', 'imports', { status: 'done' }],
  ['imports_check', 'imports', { status: 'refused' }],
  ['imports_check', 'imports', { ended_at: '2026-10-02T12:00:00Z' }],
  ['imports_check', 'imports', { status: 'applying', ended_at: '2026-10-02T12:00:00Z' }],
  ['imports_chunks_left_check', 'imports', { chunks_left: -1 }],
  ['import_events_event_check', 'import_events', { event: 'transfer' }],
  ['import_targets_outcome_check', 'import_targets', { outcome: 'perhaps' }],
  ['import_failures_file_check', 'import_failures', { file: 'sites.csv' }],
]

const nobody = uuid(99)

/** A row may only speak of what there is, and only of what is its own account's. */
export const REFERENCES: readonly Wall[] = [
  ...[
    'api_keys',
    'prices',
    'sites',
    'licenses',
    'actions',
    'counted_days',
    'closed_months',
    'invoices',
    'stripe_customers',
    'payment_methods',
    'messages',
    'holds',
    'import_targets',
  ].map((table): Wall => [`${table}_account_id_fkey`, table, { account_id: nobody }]),
  ['prices_product_id_fkey', 'prices', { product_id: nobody }],
  ['licenses_product_id_fkey', 'licenses', { product_id: nobody }],
  ['licenses_account_id_site_id_fkey', 'licenses', { site_id: ID.secondSite, assigned_at: '2026-10-02T12:00:00Z' }],
  ['past_assignments_account_id_license_id_fkey', 'past_assignments', { license_id: ID.secondLicense }],
  ['past_assignments_account_id_site_id_fkey', 'past_assignments', { site_id: ID.secondSite }],
  ['usage_days_account_id_day_fkey', 'usage_days', { day: '2026-10-05' }],
  ['usage_days_account_id_day_fkey', 'usage_days', { account_id: ID.second }],
  ['invoice_lines_account_id_invoice_id_fkey', 'invoice_lines', { account_id: ID.second }],
  ['invoice_claims_account_id_invoice_id_fkey', 'invoice_claims', { account_id: ID.second }],
  ['invoice_states_account_id_invoice_id_fkey', 'invoice_states', { invoice_id: ID.secondFinal }],
  ['invoice_mirrors_account_id_invoice_id_fkey', 'invoice_mirrors', { invoice_id: ID.secondFinal }],
  ['payments_account_id_invoice_id_fkey', 'payments', { invoice_id: ID.secondFinal }],
  ['payments_account_id_payment_method_id_fkey', 'payments', { payment_method_id: ID.secondCard }],
  ['documents_account_id_invoice_id_fkey', 'documents', { invoice_id: ID.secondFinal }],
  ['invoice_lines_product_id_fkey', 'invoice_lines', { product_id: nobody }],
  ['invoice_lines_price_id_fkey', 'invoice_lines', { price_id: nobody }],
  ['hold_members_account_id_hold_id_fkey', 'hold_members', { hold_id: ID.secondHold }],
  ['hold_members_account_id_license_id_fkey', 'hold_members', { license_id: ID.secondLicense }],
  ...['import_accounts', 'import_prices', 'import_targets', 'import_failures'].map((table): Wall => [
    `${table}_import_id_fkey`,
    table,
    { import_id: nobody },
  ]),
]

export interface Unique {
  readonly index: string
  readonly table: string
  /** Rows that may stand beside each other. */
  readonly rows: readonly Row[]
  /** The one too many. */
  readonly refused: Row
}

const row = (table: string, n: number, change: Row): Row => ({ ...VALID[table], id: uuid(n), ...change })
const site = (n: number, change: Row): Row => row('sites', n, { url: null, ...change })
const license = (n: number, change: Row): Row => row('licenses', n, { key_hash: `\\x${n}`, issued_index: n, ...change })
const job = (n: number, change: Row): Row => row('staged_jobs', n, { key: 'fact', ...change })
const card = (n: number, change: Row): Row =>
  row('payment_methods', n, { stripe_id: `pm_${n}`, primary: true, ...change })
const payment = (n: number, status: string): Row => row('payments', n, { status })
const history = (n: number, status: string, ended_at: string | null = null): Row =>
  row('imports', n, { status, ended_at })
const ended = { outcome: 'done', finished_at: '2026-10-02T12:00:00Z' }
const IN_FLIGHT = ['created', 'sent', 'processing', 'unknown'] as const

export const UNIQUES: readonly Unique[] = [
  {
    index: 'prices_fact',
    table: 'prices',
    refused: row('prices', 53, {}),
    rows: [row('prices', 51, {}), row('prices', 52, { account_id: ID.first }), row('prices', 54, { currency: 'eur' })],
  },
  {
    index: 'prices_fact',
    table: 'prices',
    refused: row('prices', 52, { account_id: ID.first }),
    rows: [row('prices', 51, { account_id: ID.first }), row('prices', 53, { account_id: ID.second })],
  },
  {
    index: 'sites_url',
    table: 'sites',
    refused: site(53, { url: 'https://x.example' }),
    rows: [
      site(51, { url: 'https://x.example' }),
      site(52, { url: 'https://x.example', account_id: ID.second }),
      site(54, { external_id: '1' }),
      site(55, { external_id: '2' }),
    ],
  },
  {
    index: 'sites_external_id',
    table: 'sites',
    refused: site(53, { external_id: '1' }),
    rows: [
      site(51, { external_id: '1' }),
      site(52, { external_id: '1', account_id: ID.second }),
      site(54, { url: 'https://x.example' }),
      site(55, { url: 'https://y.example' }),
    ],
  },
  {
    index: 'licenses_external_ref',
    table: 'licenses',
    refused: license(53, { external_ref: 'r' }),
    rows: [license(51, { external_ref: 'r' }), license(52, { external_ref: 'r', account_id: ID.second })],
  },
  {
    index: 'staged_jobs_fact',
    table: 'staged_jobs',
    refused: job(53, {}),
    rows: [job(51, {}), job(52, { key: 'other' }), job(54, { name: 'test.other' })],
  },
  // The third of one fact is allowed once the first has finished, and then again there is one unfinished.
  {
    index: 'staged_jobs_fact',
    table: 'staged_jobs',
    refused: job(54, {}),
    rows: [job(51, ended), job(52, ended), job(53, {})],
  },
  // The seeded account has its primary; a removed one does not count.
  {
    index: 'payment_methods_primary',
    table: 'payment_methods',
    refused: card(53, {}),
    rows: [card(51, { primary: false }), card(52, { removed_at: '2026-10-02T12:00:00Z' })],
  },
  ...IN_FLIGHT.flatMap((first) =>
    IN_FLIGHT.map((second): Unique => ({
      index: 'payments_in_flight',
      table: 'payments',
      refused: payment(53, second),
      rows: [payment(51, 'failed'), payment(52, first)],
    })),
  ),
  {
    index: 'payments_succeeded',
    table: 'payments',
    refused: payment(54, 'succeeded'),
    rows: [payment(51, 'failed'), payment(52, 'failed'), payment(53, 'succeeded')],
  },
  {
    index: 'imports_applying',
    table: 'imports',
    refused: history(55, 'applying'),
    rows: [
      history(51, 'receiving'),
      history(52, 'done', '2026-10-02T12:00:00Z'),
      history(53, 'refused', '2026-10-02T12:00:00Z'),
      history(54, 'applying'),
    ],
  },
]

/** The tables into which the API inserts. */
export const BORN_BY_API = [
  'accounts',
  'api_keys',
  'audit_entries',
  'idempotency_records',
  'import_accounts',
  'import_events',
  'import_failures',
  'import_prices',
  'imports',
  'products',
  'stripe_customers',
]

/** The columns that the API changes. */
export const API_MAY_CHANGE = [
  'accounts.autopay',
  'accounts.autopay_cap',
  'accounts.billing_email',
  'accounts.card_required',
  'accounts.closed_at',
  'accounts.company',
  'accounts.invoice_day',
  'accounts.name',
  'accounts.net_days',
  'accounts.po_number',
  'api_keys.revoked_at',
  'vendor_settings.issuer',
  'vendor_settings.series',
]

/** What the API may not do: the rest of the world does it, or a function that checks. */
export const FORBIDDEN_TO_API: readonly [what: string, sql: string][] = [
  ['finalize an invoice', `UPDATE invoices SET finalized_at = now() WHERE id = '${ID.draft}'`],
  ['mark one paid', `UPDATE invoice_states SET status = 'paid'`],
  ['update a license', `UPDATE licenses SET revoked_at = now() WHERE id = '${ID.firstLicense}'`],
  ['end an action', `UPDATE actions SET status = 'done', ended_at = now()`],
  ['read the next number', 'SELECT next FROM number_series'],
  ['take a number', `UPDATE number_series SET next = next + 1`],
  ['read the webhooks', 'SELECT * FROM stripe_events'],
  ['rewrite a job', `UPDATE staged_jobs SET payload = '{}'`],
  ['lift a hold', `UPDATE holds SET until = since`],
  ['take a license out of a hold', `DELETE FROM hold_members`],
  ['open a closed month', 'DELETE FROM closed_months'],
  ['change a price', 'UPDATE prices SET monthly_amount = 0'],
  ['apply an import past its function', `UPDATE imports SET status = 'applying'`],
  ['read the histories that were sent', 'SELECT * FROM import_events'],
  ['read the accounts that were sent', 'SELECT * FROM import_accounts'],
  ['read the prices that were sent', 'SELECT * FROM import_prices'],
  ['take back a failure', 'DELETE FROM import_failures'],
]

/** Tables into which the API inserts nothing, not even for an operator. */
export const NOT_BORN_BY_API = [
  'payments',
  'usage_days',
  'counted_days',
  'closed_months',
  'invoices',
  'invoice_lines',
  'licenses',
  'documents',
  'messages',
  'prices',
  'holds',
  'hold_members',
  'import_targets',
]
