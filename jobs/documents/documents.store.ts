// Writes documents: where an invoice's files are, and their hashes.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

export type DocumentKind = 'invoice' | 'paid_copy'

export interface StoredDocument {
  readonly file: string
  readonly sha256: string
  readonly bytes: number
}

export async function findDocument(
  tx: Tx,
  accountId: string,
  invoiceId: string,
  kind: DocumentKind,
): Promise<StoredDocument | null> {
  const rows = await tx.$queryRaw<StoredDocument[]>`
    SELECT file, sha256, bytes FROM documents
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid AND kind = ${kind}`
  return rows[0] ?? null
}

export async function saveDocument(
  tx: Tx,
  accountId: string,
  invoiceId: string,
  kind: DocumentKind,
  document: StoredDocument,
  at: Date,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO documents (invoice_id, kind, account_id, file, sha256, bytes, rendered_at)
    VALUES (${invoiceId}::uuid, ${kind}, ${accountId}::uuid, ${document.file}, ${document.sha256}, ${document.bytes},
            ${at}::timestamptz)
    ON CONFLICT (invoice_id, kind) DO NOTHING`
}

export interface EvidenceRow {
  readonly productId: string
  readonly product: string
  readonly licenseId: string
  readonly hint: string
  /** Null: not assigned on those days. */
  readonly site: string | null
  readonly client: string | null
  readonly days: bigint
}

/** More licenses than this are not listed one by one on paper: 2,000 rows are some forty pages. */
export const MAX_LICENSES_ON_PAPER = 2_000

export async function countBilledLicenses(tx: Tx, accountId: string, startsAt: Date, endsAt: Date): Promise<number> {
  const rows = await tx.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM licenses
    WHERE account_id = ${accountId}::uuid AND issued_at < ${endsAt}::timestamptz
      AND (revoked_at IS NULL OR revoked_at >= ${startsAt}::timestamptz)`
  return rows[0]!.count
}

/**
 * The days behind a month's lines: per license and the site it stood on, a day belonging to the site it stood on last
 * that day (domain.md, Evidence); like the license itself, it stands there to the closing instant, included. Days come
 * from counted_days, so that they are the ones that were billed.
 */
export async function evidence(tx: Tx, accountId: string, from: Day, to: Day): Promise<EvidenceRow[]> {
  return await tx.$queryRaw`
    WITH stood AS (
      SELECT id AS license_id, site_id, assigned_at, NULL::timestamptz AS unassigned_at, NULL::bigint AS seq
      FROM licenses WHERE account_id = ${accountId}::uuid AND site_id IS NOT NULL
      UNION ALL
      SELECT license_id, site_id, assigned_at, unassigned_at, seq
      FROM past_assignments WHERE account_id = ${accountId}::uuid
    ), billed AS (
      SELECT l.id, l.product_id, l.key_hint, d.day, d.starts_at, d.ends_at
      FROM counted_days d JOIN licenses l ON l.account_id = d.account_id AND l.issued_at < d.ends_at
        AND (l.revoked_at IS NULL OR l.revoked_at >= d.starts_at)
      WHERE d.account_id = ${accountId}::uuid AND d.day BETWEEN ${from}::date AND ${to}::date
    ), placed AS (
      SELECT DISTINCT ON (b.id, b.day) b.id, b.product_id, b.key_hint, b.day, s.site_id
      FROM billed b LEFT JOIN stood s ON s.license_id = b.id AND s.assigned_at < b.ends_at
        AND (s.unassigned_at IS NULL OR s.unassigned_at >= b.starts_at)
      -- Where it stands now came after all that is past; of two that began in one instant the later row counts.
      ORDER BY b.id, b.day, s.assigned_at DESC NULLS LAST, s.unassigned_at DESC NULLS FIRST, s.seq DESC
    )
    SELECT p.product_id AS "productId", r.name AS product, p.id AS "licenseId", p.key_hint AS hint,
           coalesce(t.url, t.external_id) AS site, t.client, count(*)::bigint AS days
    FROM placed p JOIN products r ON r.id = p.product_id
    LEFT JOIN sites t ON t.account_id = ${accountId}::uuid AND t.id = p.site_id
    GROUP BY p.product_id, r.name, p.id, p.key_hint, t.id, t.url, t.external_id, t.client
    ORDER BY t.client NULLS LAST, site NULLS LAST, r.name, p.id`
}
