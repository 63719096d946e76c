// Writes invoices, invoice_states and number_series.
import type { Tx } from '../kit/ports.ts'
import type { Collection } from '../rules/invoice-plan.ts'
import type { Day } from '../rules/period.ts'
import type { Line } from '../rules/rating.ts'

export interface Draft {
  readonly id: string
  readonly accountId: string
  readonly currency: string
  /** Minor units. */
  readonly total: bigint
  readonly finalizeAt: Date
  readonly parkedReason: string | null
  readonly lines: readonly (Line & { description: string })[]
}

/** The rows of drafts of kind `usage`, without their lines and claims: see insertDrafts. */
export async function insertDraftRows(
  tx: Tx,
  drafts: readonly Draft[],
  first: Day,
  last: Day,
  at: Date,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO invoices (id, account_id, kind, period_start, period_end, currency, subtotal, tax, total, drafted_at,
                          finalize_at, parked_reason)
    SELECT id, account_id, 'usage', ${first}::date, ${last}::date, currency, total, 0, total, ${at}::timestamptz,
           finalize_at, parked_reason
    FROM unnest(${drafts.map((d) => d.id)}::uuid[], ${drafts.map((d) => d.accountId)}::uuid[],
                ${drafts.map((d) => d.currency)}::text[], ${drafts.map((d) => String(d.total))}::bigint[],
                ${drafts.map((d) => d.finalizeAt.toISOString())}::timestamptz[],
                ${drafts.map((d) => d.parkedReason)}::text[])
      AS given (id, account_id, currency, total, finalize_at, parked_reason)`
}

/** Sets what drawing a draft anew may change. */
export async function updateDraftRows(tx: Tx, drafts: readonly Draft[]): Promise<void> {
  if (drafts.length === 0) return
  await tx.$executeRaw`
    UPDATE invoices i SET currency = d.currency, subtotal = d.total, total = d.total, finalize_at = d.finalize_at,
      parked_reason = d.parked_reason
    FROM unnest(${drafts.map((d) => d.id)}::uuid[], ${drafts.map((d) => d.currency)}::text[],
                ${drafts.map((d) => String(d.total))}::bigint[],
                ${drafts.map((d) => d.finalizeAt.toISOString())}::timestamptz[],
                ${drafts.map((d) => d.parkedReason)}::text[]) AS d (id, currency, total, finalize_at, parked_reason)
    WHERE i.id = d.id`
}

/** Removes drafts that have neither lines nor claim any more. The database refuses to remove a final invoice. */
export async function deleteDraftRows(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.$executeRaw`DELETE FROM invoices WHERE id = ANY(${ids}::uuid[])`
}

/** The account's earliest draft that is due to be made final before an invoice; null when that comes first itself. */
export async function earlierDraftDue(tx: Tx, accountId: string, invoice: string, at: Date): Promise<string | null> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM invoices WHERE account_id = ${accountId}::uuid AND finalized_at IS NULL AND parked_reason IS NULL
      AND finalize_at <= ${at}::timestamptz AND period_start < (
        SELECT period_start FROM invoices WHERE account_id = ${accountId}::uuid AND id = ${invoice}::uuid)
    ORDER BY period_start LIMIT 1`
  return rows[0]?.id ?? null
}

/** The account's next draft that is due to be made final, after this month. */
export async function nextDraftDue(tx: Tx, accountId: string, periodStart: Day, at: Date): Promise<string | null> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM invoices WHERE account_id = ${accountId}::uuid AND finalized_at IS NULL AND parked_reason IS NULL
      AND period_start > ${periodStart}::date AND finalize_at <= ${at}::timestamptz ORDER BY period_start LIMIT 1`
  return rows[0]?.id ?? null
}

/** Drafts whose review has ended and that no one has parked. */
export async function draftsToFinalize(tx: Tx, at: Date): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM invoices
    WHERE finalized_at IS NULL AND parked_reason IS NULL AND finalize_at <= ${at}::timestamptz
    ORDER BY finalize_at, account_id`
  return rows.map((row) => row.id)
}

export interface DraftInvoice {
  readonly id: string
  readonly accountId: string
  readonly periodStart: Day
  readonly periodEnd: Day
  readonly currency: string
  readonly total: bigint
  readonly finalizeAt: Date
  readonly finalized: boolean
  readonly parkedReason: string | null
}

export async function accountOfInvoice(tx: Tx, id: string): Promise<string | null> {
  const rows = await tx.$queryRaw<{ accountId: string }[]>`
    SELECT account_id AS "accountId" FROM invoices WHERE id = ${id}::uuid`
  return rows[0]?.accountId ?? null
}

export async function lockInvoice(tx: Tx, accountId: string, id: string): Promise<DraftInvoice | null> {
  const rows = await tx.$queryRaw<DraftInvoice[]>`
    SELECT id, account_id AS "accountId", to_char(period_start, 'YYYY-MM-DD') AS "periodStart",
           to_char(period_end, 'YYYY-MM-DD') AS "periodEnd", currency, total, finalize_at AS "finalizeAt",
           finalized_at IS NOT NULL AS finalized, parked_reason AS "parkedReason"
    FROM invoices WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid FOR UPDATE`
  return rows[0] ?? null
}

/** What a finalization copies and decides by, as it stands now. */
export interface Terms {
  readonly timezone: string
  readonly name: string
  readonly company: Record<string, unknown>
  readonly poNumber: string | null
  readonly autopay: boolean
  readonly autopayCap: bigint | null
  readonly netDays: number
  readonly issuer: Record<string, unknown>
  readonly series: string
}

export async function terms(tx: Tx, accountId: string): Promise<Terms> {
  const rows = await tx.$queryRaw<Terms[]>`
    SELECT timezone, name, company, po_number AS "poNumber", autopay,
           autopay_cap AS "autopayCap", net_days AS "netDays", v.issuer, v.series
    FROM accounts, vendor_settings v WHERE accounts.id = ${accountId}::uuid`
  const found = rows[0]
  if (!found) throw new Error('the vendor settings or the account are missing')
  return found
}

export interface DraftLine {
  readonly productId: string | null
  readonly priceId: string | null
  readonly quantity: bigint
  readonly amount: bigint
}

/** The lines as they were drafted, in order. */
export async function draftedLines(tx: Tx, accountId: string, invoiceId: string): Promise<DraftLine[]> {
  return await tx.$queryRaw`
    SELECT product_id AS "productId", price_id AS "priceId", quantity, amount FROM invoice_lines
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid ORDER BY position`
}

/** Puts a draft aside for a person, with the reason. Nothing of it is billed meanwhile. */
export async function parkDraft(tx: Tx, accountId: string, id: string, reason: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE invoices SET parked_reason = ${reason} WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid`
}

/** The next number of a series. The row stays locked until the transaction ends: no gap, no repeat (I4). */
export async function takeNumber(tx: Tx, series: string): Promise<bigint> {
  const rows = await tx.$queryRaw<{ taken: bigint }[]>`
    INSERT INTO number_series (series, next) VALUES (${series}, 2)
    ON CONFLICT (series) DO UPDATE SET next = number_series.next + 1
    RETURNING next - 1 AS taken`
  return rows[0]!.taken
}

export interface Finalization {
  readonly invoiceId: string
  readonly accountId: string
  readonly number: string
  readonly series: string
  readonly sequence: bigint
  readonly issuedOn: Day
  readonly dueOn: Day
  readonly billTo: Record<string, unknown>
  readonly issuer: Record<string, unknown>
  readonly poNumber: string | null
  readonly collection: Collection
  readonly at: Date
}

export async function finalize(tx: Tx, f: Finalization): Promise<void> {
  await tx.$executeRaw`
    UPDATE invoices SET number = ${f.number}, series = ${f.series}, sequence = ${f.sequence},
      issued_on = ${f.issuedOn}::date, due_on = ${f.dueOn}::date, bill_to = ${JSON.stringify(f.billTo)}::jsonb,
      issuer = ${JSON.stringify(f.issuer)}::jsonb, po_number = ${f.poNumber}, collection = ${f.collection},
      finalized_at = ${f.at}::timestamptz
    WHERE account_id = ${f.accountId}::uuid AND id = ${f.invoiceId}::uuid`
}

export type OpenState = { status: 'open' } | { status: 'paid'; credited: bigint; paidAt: Date }

/** What a finalized invoice starts as: open, or paid at once where nothing is to be collected. */
export async function openInvoice(tx: Tx, accountId: string, invoiceId: string, state: OpenState): Promise<void> {
  const settled = state.status === 'paid' ? state : null
  await tx.$executeRaw`
    INSERT INTO invoice_states (invoice_id, account_id, status, credited, paid_at)
    VALUES (${invoiceId}::uuid, ${accountId}::uuid, ${state.status}, ${settled?.credited ?? 0n},
            ${settled?.paidAt ?? null}::timestamptz)`
}

/**
 * Settles an invoice in full. Absolute, not added to; an invoice that is not open (any more) is left as it is.
 * @returns whether this call was the one that settled it
 */
export async function settleInvoice(tx: Tx, accountId: string, invoiceId: string, at: Date): Promise<boolean> {
  const settled = await tx.$executeRaw`
    UPDATE invoice_states s SET status = 'paid', paid = i.total - s.credited, paid_at = ${at}::timestamptz
    FROM invoices i WHERE i.id = s.invoice_id AND s.account_id = ${accountId}::uuid
      AND s.invoice_id = ${invoiceId}::uuid AND s.status IN ('open', 'uncollectible')`
  return settled === 1
}

export async function markUnsent(tx: Tx, accountId: string, invoiceId: string, reason: string | null): Promise<void> {
  await tx.$executeRaw`
    UPDATE invoice_states SET unsent = ${reason}
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid`
}

export interface FinalLine {
  readonly productId: string | null
  readonly description: string
  readonly quantity: bigint
  readonly unit: string
  readonly unitRate: string
  readonly amount: bigint
  readonly startsOn: Day
  readonly endsOn: Day
}

export interface FinalInvoice {
  readonly id: string
  readonly accountId: string
  readonly kind: 'usage' | 'contract' | 'overage' | 'renewal' | 'proration'
  readonly periodStart: Day
  readonly periodEnd: Day
  readonly currency: string
  readonly subtotal: bigint
  readonly tax: bigint
  readonly total: bigint
  readonly number: string
  readonly issuedOn: Day
  readonly dueOn: Day | null
  readonly billTo: Record<string, unknown>
  readonly issuer: Record<string, unknown>
  readonly poNumber: string | null
  readonly collection: Collection
  readonly status: 'open' | 'paid' | 'void' | 'uncollectible'
  readonly paid: bigint
  readonly credited: bigint
  readonly paidAt: Date | null
  readonly timezone: string
  readonly billingEmail: string | null
  readonly accountName: string
  readonly lines: readonly FinalLine[]
}

/** A finalized invoice as it stands, with its lines; null while it is a draft. */
export async function finalInvoice(tx: Tx, accountId: string, id: string): Promise<FinalInvoice | null> {
  const rows = await tx.$queryRaw<Omit<FinalInvoice, 'lines'>[]>`
    SELECT i.id, i.account_id AS "accountId", i.kind, to_char(i.period_start, 'YYYY-MM-DD') AS "periodStart",
           to_char(i.period_end, 'YYYY-MM-DD') AS "periodEnd", i.currency, i.subtotal, i.tax, i.total, i.number,
           to_char(i.issued_on, 'YYYY-MM-DD') AS "issuedOn", to_char(i.due_on, 'YYYY-MM-DD') AS "dueOn",
           i.bill_to AS "billTo", i.issuer, i.po_number AS "poNumber", i.collection, s.status, s.paid, s.credited,
           s.paid_at AS "paidAt", a.timezone, a.billing_email AS "billingEmail", a.name AS "accountName"
    FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id JOIN accounts a ON a.id = i.account_id
    WHERE i.account_id = ${accountId}::uuid AND i.id = ${id}::uuid`
  const invoice = rows[0]
  if (!invoice) return null
  const lines = await tx.$queryRaw<FinalLine[]>`
    SELECT product_id AS "productId", description, quantity, unit, unit_rate AS "unitRate", amount,
           to_char(starts_on, 'YYYY-MM-DD') AS "startsOn", to_char(ends_on, 'YYYY-MM-DD') AS "endsOn"
    FROM invoice_lines WHERE account_id = ${accountId}::uuid AND invoice_id = ${id}::uuid ORDER BY position`
  return { ...invoice, lines }
}
