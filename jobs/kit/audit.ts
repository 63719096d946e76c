import type { Tx } from './ports.ts'

export interface AuditFact {
  readonly accountId: string | null
  /** Business instant of the change. */
  readonly at: Date
  /** Who: `key:<id>`, `job:<name>`, `stripe`. */
  readonly actor: string
  /** What, as `license.issued`. */
  readonly action: string
  /** On what: an id. */
  readonly subject: string
  /** Why and how; never a secret, a mail address or a license key. */
  readonly details?: Record<string, unknown>
}

/** Appends lines to the audit log in the transaction that makes the change (I10). */
export async function audit(tx: Tx, facts: readonly AuditFact[]): Promise<void> {
  if (facts.length === 0) return
  const text = (pick: (fact: AuditFact) => string | null): (string | null)[] => facts.map(pick)
  await tx.$executeRaw`
    INSERT INTO audit_entries (account_id, at, actor, action, subject, details)
    SELECT * FROM unnest(
      ${text((f) => f.accountId)}::uuid[], ${text((f) => f.at.toISOString())}::timestamptz[],
      ${text((f) => f.actor)}::text[], ${text((f) => f.action)}::text[], ${text((f) => f.subject)}::text[],
      ${text((f) => JSON.stringify(f.details ?? {}))}::jsonb[])`
}

/** Appends a line for each event that an import applies, set-based: at the instant it says, and by whom it was sent. */
export async function auditImport(tx: Tx, importId: string, chunk: number, actor: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO audit_entries (account_id, at, actor, action, subject, details)
    SELECT t.account_id, e.at, ${actor},
           'license.' || CASE e.event WHEN 'issue' THEN 'issued' WHEN 'assign' THEN 'assigned'
                                      WHEN 'unassign' THEN 'unassigned' ELSE 'revoked' END,
           l.id::text, jsonb_build_object('import', e.import_id, 'line', e.line)
    FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
    JOIN licenses l ON l.account_id = t.account_id AND l.external_ref = e.license
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
    ORDER BY e.at, e.line`
}
