// The months' side of the invoices context: what is due to be closed, and the drafts that closing makes.
// Writes closed_months, invoice_lines and invoice_claims.
import type { Tx } from '../kit/ports.ts'
import type { Day, Month } from '../rules/period.ts'
import type { Price, UsageSpan } from '../rules/rating.ts'
import { insertDraftRows, type Draft } from './invoices.store.ts'
import { ACCOUNTS_PER_CHUNK, type AccountRange } from '../usage/usage.store.ts'

/** Per zone, the accounts whose next month to close is at most `lastEnded`, in chunks of one month each. */
export async function monthsToClose(
  tx: Tx,
  zone: string,
  lastEnded: Month,
): Promise<(AccountRange & { month: Month })[]> {
  return await tx.$queryRaw`
    WITH next AS (
      SELECT a.id, coalesce((SELECT max(m.month) + interval '1 month' FROM closed_months m WHERE m.account_id = a.id),
                            date_trunc('month', a.bill_from::timestamp))::date AS month
      FROM accounts a WHERE a.timezone = ${zone}
    ), chunked AS (
      SELECT id, month, (row_number() OVER (PARTITION BY month ORDER BY id) - 1) / ${ACCOUNTS_PER_CHUNK}::int AS chunk
      FROM next WHERE month <= ${`${lastEnded}-01`}::date
    )
    SELECT to_char(month, 'YYYY-MM') AS month, min(id::text) AS "from", max(id::text) AS through
    FROM chunked GROUP BY month, chunk ORDER BY month, chunk`
}

export interface ClosingAccount {
  readonly id: string
  readonly currency: string
  readonly invoiceDay: number
  /** Days of the month that must have been counted, and that have been. */
  readonly expected: number
  readonly counted: number
}

/** The accounts of a range and zone whose next month to close is this one, locked against each other's runs. */
export async function accountsToClose(
  tx: Tx,
  range: AccountRange,
  zone: string,
  first: Day,
  last: Day,
): Promise<ClosingAccount[]> {
  return await tx.$queryRaw`
    SELECT a.id, a.currency, a.invoice_day AS "invoiceDay",
           (${last}::date - greatest(a.bill_from, ${first}::date) + 1)::int AS expected,
           (SELECT count(*) FROM counted_days c
            WHERE c.account_id = a.id
              AND c.day BETWEEN greatest(a.bill_from, ${first}::date) AND ${last}::date)::int AS counted
    FROM accounts a
    WHERE a.id BETWEEN ${range.from}::uuid AND ${range.through}::uuid AND a.timezone = ${zone}
      AND a.bill_from <= ${last}::date
      AND NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month >= ${first}::date)
      AND (a.bill_from >= ${first}::date OR EXISTS (
        SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month = ${first}::date - interval '1 month'))
    ORDER BY a.id FOR NO KEY UPDATE`
}

/** Usage of the accounts in a month, summed per product between the given days (the price breaks). */
export async function usageSpans(
  tx: Tx,
  accounts: readonly string[],
  breaks: readonly Day[],
  last: Day,
): Promise<Map<string, UsageSpan[]>> {
  const rows = await tx.$queryRaw<{ accountId: string; productId: string; from: Day; to: Day; days: bigint }[]>`
    SELECT account_id AS "accountId", product_id AS "productId", to_char(min(day), 'YYYY-MM-DD') AS "from",
           to_char(max(day), 'YYYY-MM-DD') AS "to", sum(days)::bigint AS days
    FROM usage_days
    WHERE account_id = ANY(${accounts}::uuid[]) AND day BETWEEN ${breaks[0]}::date AND ${last}::date
    GROUP BY account_id, product_id, width_bucket(day::timestamp, ${breaks}::timestamp[])
    ORDER BY account_id, product_id, min(day)`
  const spans = new Map<string, UsageSpan[]>()
  for (const { accountId, ...span } of rows) {
    const known = spans.get(accountId)
    if (known) known.push(span)
    else spans.set(accountId, [span])
  }
  return spans
}

/** List prices and these accounts' own prices that may hold by `last`. */
export async function pricesUntil(tx: Tx, accounts: readonly string[], last: Day): Promise<Price[]> {
  return await tx.$queryRaw`
    SELECT id, product_id AS "productId", account_id AS "accountId", currency, model,
           monthly_amount::text AS "monthlyAmount", to_char(effective_from, 'YYYY-MM-DD') AS "effectiveFrom",
           to_char(ends_on, 'YYYY-MM-DD') AS "endsOn"
    FROM prices
    WHERE (account_id IS NULL OR account_id = ANY(${accounts}::uuid[])) AND effective_from <= ${last}::date`
}

export async function productNames(tx: Tx): Promise<Map<string, string>> {
  const rows = await tx.$queryRaw<{ id: string; name: string }[]>`SELECT id, name FROM products`
  return new Map(rows.map((row) => [row.id, row.name]))
}

/**
 * Inserts drafts of kind `usage` with their lines, set-based. An account whose month has a live invoice already keeps
 * that one (invoice_claims), so that closing twice drafts once.
 */
export async function insertDrafts(tx: Tx, drafts: readonly Draft[], first: Day, last: Day, at: Date): Promise<void> {
  if (drafts.length === 0) return
  await insertDraftRows(tx, drafts, first, last, at)
  await tx.$executeRaw`
    INSERT INTO invoice_claims (account_id, kind, period_start, invoice_id)
    SELECT account_id, 'usage', ${first}::date, id
    FROM unnest(${drafts.map((d) => d.id)}::uuid[], ${drafts.map((d) => d.accountId)}::uuid[])
      AS given (id, account_id)`
  await insertLines(tx, drafts)
}

async function insertLines(tx: Tx, drafts: readonly Draft[]): Promise<void> {
  const lines = drafts.flatMap((draft) => draft.lines.map((line, index) => ({ ...line, draft, position: index + 1 })))
  await tx.$executeRaw`
    INSERT INTO invoice_lines (invoice_id, position, account_id, product_id, price_id, description, quantity, unit,
                               unit_rate, amount, starts_on, ends_on)
    SELECT * FROM unnest(
      ${lines.map((l) => l.draft.id)}::uuid[], ${lines.map((l) => l.position)}::int[],
      ${lines.map((l) => l.draft.accountId)}::uuid[], ${lines.map((l) => l.productId)}::uuid[],
      ${lines.map((l) => l.priceId)}::uuid[], ${lines.map((l) => l.description)}::text[],
      ${lines.map((l) => String(l.quantity))}::bigint[], ${lines.map((l) => l.unit)}::text[],
      ${lines.map((l) => l.unitRate)}::text[], ${lines.map((l) => String(l.amount))}::bigint[],
      ${lines.map((l) => l.startsOn)}::date[], ${lines.map((l) => l.endsOn)}::date[])`
}

export async function insertClosedMonths(tx: Tx, accounts: readonly string[], first: Day, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO closed_months (account_id, month, closed_at)
    SELECT id, ${first}::date, ${at}::timestamptz FROM unnest(${accounts}::uuid[]) AS given (id)`
}
