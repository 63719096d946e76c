// What the database holds, read whole: rows as they are, by the names of their columns. Dates are `YYYY-MM-DD`,
// instants are text, to be compared as milliseconds; amounts of these small worlds fit a number exactly.

/** What this oracle needs of a connection: a pg.Client, or a transaction of one. */
export interface Queries {
  query(sql: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

export interface AccountRow {
  readonly id: string
  readonly external_id: string | null
  readonly currency: string
  readonly timezone: string
  readonly billing_email: string | null
  readonly autopay: boolean
  readonly autopay_cap: number | null
  readonly card_required: boolean
  readonly net_days: number
  readonly invoice_day: number
  readonly bill_from: string
  readonly created_at: string
  readonly closed_at: string | null
}
export interface ProductRow {
  readonly id: string
  readonly slug: string
}
export interface PriceRow {
  readonly id: string
  readonly product_id: string
  readonly account_id: string | null
}
export interface SiteRow {
  readonly id: string
  readonly account_id: string
  readonly url: string | null
  readonly external_id: string | null
  readonly client: string | null
  readonly created_at: string
}
export interface LicenseRow {
  readonly id: string
  readonly account_id: string
  readonly product_id: string
  readonly issued_at: string
  readonly issued_by: string
  readonly issued_index: number
  readonly revoked_at: string | null
  readonly site_id: string | null
  readonly assigned_at: string | null
}
export interface PastAssignmentRow {
  readonly id: string
  readonly account_id: string
  readonly license_id: string
  readonly site_id: string
  readonly assigned_at: string
  readonly unassigned_at: string
}
export interface ActionRow {
  readonly id: string
  readonly account_id: string
  readonly kind: string
  readonly status: string
  readonly input: { readonly license?: string }
  readonly error: { readonly code: string } | null
  readonly idempotency_key: string | null
  readonly accepted_at: string
  readonly ended_at: string | null
}
export interface JobRow {
  readonly id: string
  readonly name: string
  readonly payload: { readonly invoice?: string; readonly action?: string }
  readonly account_id: string | null
  readonly due_at: string | null
  readonly outcome: string | null
  readonly reason: string | null
  readonly finished_at: string | null
}
export interface CountedDayRow {
  readonly account_id: string
  readonly day: string
  readonly starts_at: string
  readonly ends_at: string
}
export interface UsageDayRow {
  readonly account_id: string
  readonly day: string
  readonly product_id: string
  readonly days: number
  readonly paused_days: number
  readonly peak: number
  readonly assigned: number
  readonly unassigned: number
}
export interface ClosedMonthRow {
  readonly account_id: string
  readonly month: string
}
export interface InvoiceRow {
  readonly id: string
  readonly account_id: string
  readonly kind: string
  readonly period_start: string
  readonly period_end: string
  readonly currency: string
  readonly subtotal: number
  readonly tax: number
  readonly total: number
  readonly parked_reason: string | null
  readonly number: string | null
  readonly series: string | null
  readonly sequence: number | null
  readonly issued_on: string | null
  readonly due_on: string | null
  readonly collection: string | null
  readonly finalized_at: string | null
}
export interface LineRow {
  readonly invoice_id: string
  readonly position: number
  readonly account_id: string
  readonly product_id: string | null
  readonly price_id: string | null
  readonly quantity: number
  readonly unit: string
  readonly unit_rate: string
  readonly amount: number
}
export interface StateRow {
  readonly invoice_id: string
  readonly account_id: string
  readonly status: string
  readonly paid: number
  readonly credited: number
  readonly paid_at: string | null
  readonly unsent: string | null
}
export interface PaymentRow {
  readonly id: string
  readonly account_id: string
  readonly invoice_id: string
  readonly payment_method_id: string | null
  readonly amount: number
  readonly currency: string
  readonly status: string
  readonly provider_id: string | null
  readonly code: string | null
  readonly ended_at: string | null
}
export interface DocumentRow {
  readonly invoice_id: string
  readonly account_id: string
  readonly kind: string
  readonly file: string
  readonly sha256: string
  readonly bytes: number
}
export interface MessageRow {
  readonly account_id: string
  readonly reason: string
  readonly message_id: string
  readonly recipients: readonly string[]
  readonly sent_at: string | null
}
export interface AuditRow {
  readonly account_id: string | null
  readonly at: string
  readonly actor: string
  readonly action: string
  readonly subject: string
}
interface OfAccount {
  readonly account_id: string
}

export interface Facts {
  readonly accounts: readonly AccountRow[]
  readonly products: readonly ProductRow[]
  readonly prices: readonly PriceRow[]
  readonly sites: readonly SiteRow[]
  readonly licenses: readonly LicenseRow[]
  readonly past_assignments: readonly PastAssignmentRow[]
  readonly holds: readonly (OfAccount & { readonly id: string })[]
  readonly hold_members: readonly (OfAccount & { readonly license_id: string })[]
  readonly actions: readonly ActionRow[]
  readonly staged_jobs: readonly JobRow[]
  readonly counted_days: readonly CountedDayRow[]
  readonly usage_days: readonly UsageDayRow[]
  readonly closed_months: readonly ClosedMonthRow[]
  readonly invoices: readonly InvoiceRow[]
  readonly invoice_lines: readonly LineRow[]
  readonly invoice_claims: readonly (OfAccount & { readonly invoice_id: string })[]
  readonly invoice_states: readonly StateRow[]
  readonly number_series: readonly { readonly series: string; readonly next: number }[]
  readonly stripe_customers: readonly (OfAccount & { readonly customer_id: string })[]
  readonly payment_methods: readonly (OfAccount & { readonly id: string; readonly stripe_id: string })[]
  readonly invoice_mirrors: readonly (OfAccount & { readonly invoice_id: string; readonly stripe_invoice_id: string })[]
  readonly payments: readonly PaymentRow[]
  readonly documents: readonly DocumentRow[]
  readonly messages: readonly MessageRow[]
  readonly audit_entries: readonly AuditRow[]
}

const TABLES: { readonly [Table in keyof Facts]: true } = {
  accounts: true,
  products: true,
  prices: true,
  sites: true,
  licenses: true,
  past_assignments: true,
  holds: true,
  hold_members: true,
  actions: true,
  staged_jobs: true,
  counted_days: true,
  usage_days: true,
  closed_months: true,
  invoices: true,
  invoice_lines: true,
  invoice_claims: true,
  invoice_states: true,
  number_series: true,
  stripe_customers: true,
  payment_methods: true,
  invoice_mirrors: true,
  payments: true,
  documents: true,
  messages: true,
  audit_entries: true,
}

/** In one statement, and so of one moment. */
export async function readFacts(db: Queries): Promise<Facts> {
  const columns = Object.keys(TABLES).map(
    (table) => `(SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM ${table} t) AS ${table}`,
  )
  const { rows } = await db.query(`SELECT ${columns.join(', ')}`)
  return rows[0] as unknown as Facts
}

export const ms = (instant: string): number => Date.parse(instant)
export const msOrNull = (instant: string | null): number | null => (instant === null ? null : Date.parse(instant))
