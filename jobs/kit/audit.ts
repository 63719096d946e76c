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
