// What the rows of a chunk come to: accounts to create, and licenses as they stand at the end of their events. Only
// reads, page by page: memory does not grow with the import.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

export interface NewImportedAccount {
  readonly account: string
  readonly details: AccountDetails
}

/** What a row of accounts.csv says, checked and converted. */
export interface AccountDetails {
  readonly name: string
  readonly currency: string
  readonly timezone: string
  readonly invoice_day: number
  readonly net_days: number
  /** Minor units as text; null: no cap. */
  readonly autopay_cap: string | null
  readonly card_required: boolean
  readonly billing_email: string | null
  readonly po_number: string | null
  readonly company: Record<string, string>
}

/** Accounts of a chunk that do not exist yet. At most some hundred: a chunk is that small. */
export async function accountsToCreate(tx: Tx, importId: string, chunk: number): Promise<NewImportedAccount[]> {
  return await tx.$queryRaw`
    SELECT t.account, a.details
    FROM import_targets t JOIN import_accounts a ON a.import_id = t.import_id AND a.account = t.account
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND t.account_id IS NULL
    ORDER BY t.account`
}

export interface ImportedPrice {
  readonly line: number
  readonly accountId: string | null
  readonly productId: string
  readonly currency: string
  readonly model: string
  readonly monthlyAmount: string
  readonly effectiveFrom: Day
}

/** Own prices of a chunk's accounts that are not set yet; the list's with chunk null. */
export async function pricesToSet(tx: Tx, importId: string, chunk: number | null): Promise<ImportedPrice[]> {
  return await tx.$queryRaw`
    SELECT DISTINCT ON (p.product, p.account, p.currency, p.effective_from) p.line, t.account_id AS "accountId",
           s.id AS "productId", p.currency, p.model, p.monthly_amount::text AS "monthlyAmount",
           to_char(p.effective_from, 'YYYY-MM-DD') AS "effectiveFrom"
    FROM import_prices p JOIN products s ON s.slug = p.product
    LEFT JOIN import_targets t ON t.import_id = p.import_id AND t.account = p.account AND t.outcome IS NULL
    WHERE p.import_id = ${importId}::uuid
      AND CASE WHEN ${chunk}::int IS NULL THEN p.account = '' ELSE t.chunk = ${chunk}::int END
      AND NOT EXISTS (SELECT 1 FROM prices k WHERE k.product_id = s.id AND k.currency = p.currency
                        AND k.account_id IS NOT DISTINCT FROM t.account_id AND k.effective_from = p.effective_from)
    ORDER BY p.product, p.account, p.currency, p.effective_from, p.line`
}

export interface ImportedLife {
  readonly account: string
  readonly accountId: string
  readonly license: string
  readonly line: number
  readonly productId: string
  readonly product: string
  readonly issuedAt: Date
  readonly revokedAt: Date | null
  /** Where it stands after its last event, and since when. */
  readonly siteId: string | null
  readonly assignedAt: Date | null
}

/** Licenses minted and inserted at a time: a statement of a few hundred kilobytes. */
const LIVES_PER_PAGE = 2_000

/** The next licenses to issue, by account and reference, after a given one. */
export async function livesAfter(
  tx: Tx,
  importId: string,
  chunk: number,
  after: { account: string; license: string },
): Promise<ImportedLife[]> {
  return await tx.$queryRaw`
    WITH span AS (
      SELECT min(account) AS first, max(account) AS last FROM import_targets
      WHERE import_id = ${importId}::uuid AND chunk = ${chunk}
    ), page AS MATERIALIZED (
      SELECT e.account, e.license, e.line, e.at, e.product, t.account_id
      FROM span JOIN import_events e ON e.import_id = ${importId}::uuid AND e.event = 'issue'
        AND (e.account, e.license) > (${after.account}, ${after.license})
        AND e.account >= span.first AND e.account <= span.last
      JOIN import_targets t ON t.import_id = e.import_id AND t.account = e.account AND t.outcome IS NULL
      ORDER BY e.account, e.license LIMIT ${LIVES_PER_PAGE}::int
    )
    SELECT p.account, p.account_id AS "accountId", p.license, p.line, r.id AS "productId", r.slug AS product,
           p.at AS "issuedAt", CASE WHEN last.event = 'revoke' THEN last.at END AS "revokedAt",
           CASE WHEN last.event IN ('assign', 'issue') THEN coalesce(su.id, sx.id) END AS "siteId",
           CASE WHEN last.event IN ('assign', 'issue') AND coalesce(su.id, sx.id) IS NOT NULL THEN last.at END
             AS "assignedAt"
    FROM page p JOIN products r ON r.slug = p.product
    CROSS JOIN LATERAL (
      SELECT e.event, e.at, e.site_url, e.site_external_id FROM import_events e
      WHERE e.import_id = ${importId}::uuid AND e.account = p.account AND e.license = p.license
      ORDER BY e.at DESC, e.line DESC LIMIT 1) AS last
    LEFT JOIN sites su ON su.account_id = p.account_id AND su.url = last.site_url
    LEFT JOIN sites sx ON sx.account_id = p.account_id AND sx.external_id = last.site_external_id
    ORDER BY p.account, p.license`
}

/** The earliest new fact of each account of a chunk that existed before. */
export async function earliestFacts(
  tx: Tx,
  importId: string,
  chunk: number,
): Promise<{ accountId: string; at: Date }[]> {
  return await tx.$queryRaw`
    SELECT t.account_id AS "accountId", min(e.at) AS at
    FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND t.account_id IS NOT NULL
    GROUP BY t.account_id`
}

export interface ClosedBook {
  readonly accountId: string
  readonly timezone: string
  readonly invoiceDay: number
  /** First of the last month with a final invoice. */
  readonly invoiced: Day | null
  /** Firsts of the last two months that were closed without one, newest first. */
  readonly empty: readonly Day[]
}

/** How far the books of a chunk's known accounts are closed; their drafts are locked, so that none is finalized now. */
export async function closedBooks(tx: Tx, importId: string, chunk: number): Promise<ClosedBook[]> {
  await tx.$queryRaw`
    SELECT 1 FROM invoices i JOIN import_targets t ON t.account_id = i.account_id
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND i.finalized_at IS NULL
    ORDER BY i.id FOR UPDATE OF i`
  return await tx.$queryRaw`
    SELECT a.id AS "accountId", a.timezone, a.invoice_day AS "invoiceDay",
           (SELECT to_char(max(i.period_start), 'YYYY-MM-DD') FROM invoices i
            WHERE i.account_id = a.id AND i.kind = 'usage' AND i.finalized_at IS NOT NULL) AS invoiced,
           ARRAY(SELECT to_char(m.month, 'YYYY-MM-DD') FROM closed_months m
                 WHERE m.account_id = a.id AND NOT EXISTS (
                   SELECT 1 FROM invoices i
                   WHERE i.account_id = a.id AND i.kind = 'usage' AND i.period_start = m.month)
                 ORDER BY m.month DESC LIMIT 2) AS empty
    FROM import_targets t JOIN accounts a ON a.id = t.account_id
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL`
}
