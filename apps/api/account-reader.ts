import type { Tx } from '../../jobs/kit/ports.ts'
import { toPublicId } from '../adapters/ids.ts'
import { instantView, moneyView } from './money-view.ts'

interface AccountRow {
  id: string
  name: string
  externalId: string | null
  currency: string
  timezone: string
  billingEmail: string | null
  poNumber: string | null
  company: Record<string, unknown>
  autopay: boolean
  autopayCap: bigint | null
  cardRequired: boolean
  netDays: number
  invoiceDay: number
  createdAt: Date
  closedAt: Date | null
}

const view = (row: AccountRow) => ({
  id: toPublicId('account', row.id),
  object: 'account' as const,
  name: row.name,
  external_id: row.externalId,
  currency: row.currency,
  timezone: row.timezone,
  autopay: row.autopay,
  autopay_cap: row.autopayCap === null ? null : moneyView(row.autopayCap, row.currency).amount,
  card_required: row.cardRequired,
  net_days: row.netDays,
  invoice_day: row.invoiceDay,
  billing_email: row.billingEmail,
  po_number: row.poNumber,
  company: row.company,
  created_at: instantView(row.createdAt),
  closed_at: instantView(row.closedAt),
})

/** The account as the API shows it, and the facts its gates ask for. */
export async function readAccount(tx: Tx, accountId: string) {
  const rows = await readAccounts(tx, { accountId, query: null, after: null, limit: 1 })
  return rows[0] ?? null
}

export async function readAccounts(
  tx: Tx,
  of: { accountId: string | null; query: string | null; after: string | null; limit: number },
) {
  const like = of.query === null ? null : `%${of.query.replace(/[\\%_]/g, '\\$&')}%`
  const rows = await tx.$queryRaw<AccountRow[]>`
    SELECT id, name, external_id AS "externalId", currency, timezone, billing_email AS "billingEmail",
           po_number AS "poNumber", company, autopay, autopay_cap AS "autopayCap", card_required AS "cardRequired",
           net_days AS "netDays", invoice_day AS "invoiceDay", created_at AS "createdAt", closed_at AS "closedAt"
    FROM accounts
    WHERE (${of.accountId}::uuid IS NULL OR id = ${of.accountId}::uuid)
      AND (${of.after}::uuid IS NULL OR id < ${of.after}::uuid)
      AND (${like}::text IS NULL OR name ILIKE ${like} OR external_id ILIKE ${like})
    ORDER BY id DESC LIMIT ${of.limit}`
  return rows.map((row) => ({ id: row.id, timezone: row.timezone, cardRequired: row.cardRequired, view: view(row) }))
}

export async function countAccounts(tx: Tx, query: string | null): Promise<number> {
  const like = query === null ? null : `%${query.replace(/[\\%_]/g, '\\$&')}%`
  const [row] = await tx.$queryRaw<[{ total: number }]>`
    SELECT count(*)::int AS total FROM accounts
    WHERE ${like}::text IS NULL OR name ILIKE ${like} OR external_id ILIKE ${like}`
  return row.total
}
