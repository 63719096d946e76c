// The promises of domain.md that can be read off the database, each as a query for what breaks it. Shares nothing
// with the jobs but the schema. A sandbox is right when every query is empty.
import type { Pool } from 'pg'

interface Invariant {
  readonly name: string
  /** Rows are violations. */
  readonly sql: string
}

/** Local days of each account as the counted days bound them; license-days by walking every pair of license and day. */
export const INVARIANTS: readonly Invariant[] = [
  {
    name: 'I1 days on a final invoice are its usage days and its license-days',
    sql: `
      WITH billed AS (
        SELECT i.id, i.account_id, l.product_id, sum(l.quantity) AS days, i.period_start, i.period_end
        FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
        WHERE i.kind = 'usage' AND i.finalized_at IS NOT NULL GROUP BY i.id, l.product_id)
      SELECT b.id FROM billed b
      WHERE b.days <> (SELECT coalesce(sum(u.days), 0) FROM usage_days u WHERE u.account_id = b.account_id
                         AND u.product_id = b.product_id AND u.day BETWEEN b.period_start AND b.period_end)
         OR b.days <> (SELECT count(*) FROM counted_days d JOIN licenses x ON x.account_id = d.account_id
                       WHERE d.account_id = b.account_id AND x.product_id = b.product_id
                         AND d.day BETWEEN b.period_start AND b.period_end
                         AND x.issued_at < d.ends_at AND (x.revoked_at IS NULL OR x.revoked_at >= d.starts_at))`,
  },
  {
    name: 'I2 one live invoice per account, month and kind',
    sql: `
      SELECT i.account_id FROM invoices i LEFT JOIN invoice_states s ON s.invoice_id = i.id
      WHERE coalesce(s.status, 'draft') <> 'void'
      GROUP BY i.account_id, i.kind, i.period_start HAVING count(*) > 1`,
  },
  {
    name: 'I3 totals are the sum of their lines and tax, and no balance is negative',
    sql: `
      SELECT i.id FROM invoices i LEFT JOIN invoice_states s ON s.invoice_id = i.id
      WHERE i.total <> i.tax + (SELECT coalesce(sum(amount), 0) FROM invoice_lines l WHERE l.invoice_id = i.id)
         OR i.total - coalesce(s.paid, 0) - coalesce(s.credited, 0) < 0`,
  },
  {
    name: 'I4 invoice numbers have no gap, no repeat, and rise with finalization',
    sql: `
      SELECT id FROM (
        SELECT id, sequence, row_number() OVER (PARTITION BY series ORDER BY sequence) AS place,
               finalized_at < lag(finalized_at) OVER (PARTITION BY series ORDER BY sequence) AS falls
        FROM invoices WHERE finalized_at IS NOT NULL) AS numbered
      WHERE sequence <> place OR falls`,
  },
  {
    name: 'I5 no invoice is paid twice, and a paid one has its payment',
    sql: `
      SELECT i.id FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id
      LEFT JOIN payments p ON p.invoice_id = i.id AND p.status = 'succeeded'
      GROUP BY i.id, s.status, s.paid, s.credited HAVING count(p.id) > 1 OR coalesce(sum(p.amount), 0) <> s.paid`,
  },
  {
    name: 'I6 every accepted action has ended',
    sql: `SELECT id FROM actions WHERE ended_at IS NULL OR status = 'failed'`,
  },
  {
    name: 'I9 no mail goes out twice for one reason',
    sql: `SELECT reason FROM messages GROUP BY reason HAVING count(*) > 1`,
  },
  {
    name: 'I10 every license and every final invoice has its lines in the audit log',
    sql: `
      SELECT id::text FROM licenses l WHERE NOT EXISTS (
        SELECT 1 FROM audit_entries e WHERE e.subject = l.id::text AND e.action = 'license.issued')
      UNION ALL
      SELECT id::text FROM invoices i WHERE finalized_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM audit_entries e WHERE e.subject = i.id::text AND e.action = 'invoice.finalized')`,
  },
  {
    name: 'I12 no month is closed over a missing day',
    sql: `
      SELECT m.account_id FROM closed_months m JOIN accounts a ON a.id = m.account_id
      WHERE (SELECT count(*) FROM counted_days d WHERE d.account_id = m.account_id
               AND d.day >= m.month AND d.day < m.month + interval '1 month')
         <> (m.month + interval '1 month')::date - greatest(m.month, a.bill_from)`,
  },
  {
    name: 'I13 no license was active before it was issued or after it was revoked',
    sql: `
      SELECT l.id FROM licenses l WHERE l.revoked_at < l.issued_at
      UNION ALL
      SELECT p.license_id FROM past_assignments p JOIN licenses l ON l.id = p.license_id
      WHERE p.assigned_at < l.issued_at`,
  },
  {
    name: 'no job is dead, and none is undone',
    sql: `SELECT id FROM staged_jobs WHERE outcome = 'dead' OR (finished_at IS NULL AND due_at IS NULL)`,
  },
]

export interface Violation {
  readonly invariant: string
  readonly rows: number
}

/** @param pool connected as a role that sees all accounts */
export async function findViolations(pool: Pool): Promise<Violation[]> {
  const violations: Violation[] = []
  for (const { name, sql } of INVARIANTS) {
    const { rowCount } = await pool.query(sql)
    if (rowCount !== null && rowCount > 0) violations.push({ invariant: name, rows: rowCount })
  }
  return violations
}
