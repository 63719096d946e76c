// Writes documents: where an invoice's files are, and their hashes.
import type { Tx } from '../kit/ports.ts'

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

/** More licenses than this are not listed one by one on paper: 2,000 rows are some forty pages. */
export const MAX_LICENSES_ON_PAPER = 2_000
