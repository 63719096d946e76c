// The months' side of the invoices context: what is due to be closed, and the drafts that closing makes.
// Writes closed_months, invoice_lines and invoice_claims.
import type { Tx } from '../kit/ports.ts'
import { daysFrom, type Day, type Month } from '../rules/period.ts'
import type { Price, UsageSpan } from '../rules/rating.ts'
import { ACCOUNTS_PER_CHUNK, lockAccounts, type AccountRange } from '../usage/usage.store.ts'
import { deleteDraftRows, insertDraftRows, updateDraftRows, type Draft } from './invoices.store.ts'

/**
 * Per zone, the accounts whose next month to close is at most `lastEnded`, in chunks of one month each. The next month
 * is the earliest that is not closed: one that was opened again comes before those behind it.
 */
export async function monthsToClose(
  tx: Tx,
  zone: string,
  lastEnded: Month,
): Promise<(AccountRange & { month: Month })[]> {
  return await tx.$queryRaw`
    WITH next AS (
      SELECT a.id, (SELECT min(begun) FROM generate_series(date_trunc('month', a.bill_from::timestamp),
                                                           ${`${lastEnded}-01`}::timestamp, interval '1 month') AS begun
                    WHERE NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month = begun)
                   )::date AS month
      FROM accounts a WHERE a.timezone = ${zone}
    ), chunked AS (
      SELECT id, month, (row_number() OVER (PARTITION BY month ORDER BY id) - 1) / ${ACCOUNTS_PER_CHUNK}::int AS chunk
      FROM next WHERE month IS NOT NULL
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

/**
 * The accounts of a range and zone whose next month to close is this one, under their locks: no day of theirs is
 * counted, and none of their months closed, at the same time.
 */
export async function accountsToClose(
  tx: Tx,
  range: AccountRange,
  zone: string,
  first: Day,
  last: Day,
): Promise<ClosingAccount[]> {
  // Prices are read after this; one that is being set for everybody is waited for, and waits for us (add_price).
  await tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(7420531811)`
  const candidates = await tx.$queryRaw<{ id: string }[]>`
    SELECT a.id FROM accounts a
    WHERE a.id BETWEEN ${range.from}::uuid AND ${range.through}::uuid AND a.timezone = ${zone}
      AND a.bill_from <= ${last}::date`
  const ids = candidates.map(({ id }) => id)
  await lockAccounts(tx, ids)
  return await tx.$queryRaw`
    SELECT a.id, a.currency, a.invoice_day AS "invoiceDay",
           (${last}::date - greatest(a.bill_from, ${first}::date) + 1)::int AS expected,
           (SELECT count(*) FROM counted_days c
            WHERE c.account_id = a.id
              AND c.day BETWEEN greatest(a.bill_from, ${first}::date) AND ${last}::date)::int AS counted
    FROM accounts a
    WHERE a.id = ANY(${ids}::uuid[])
      AND NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month = ${first}::date)
      AND (SELECT count(*) FROM closed_months m WHERE m.account_id = a.id AND m.month < ${first}::date)
        = (extract(year FROM ${first}::date) - extract(year FROM a.bill_from)) * 12
          + extract(month FROM ${first}::date) - extract(month FROM a.bill_from)
    ORDER BY a.id`
}

/** Usage of the accounts in a month, summed per product between the given days (the price breaks). */
export async function usageSpans(
  tx: Tx,
  accounts: readonly string[],
  breaks: readonly Day[],
  last: Day,
): Promise<Map<string, UsageSpan[]>> {
  const rows = await tx.$queryRaw<(UsageSpan & { accountId: string })[]>`
    SELECT given.id AS "accountId", product_id AS "productId", to_char(from_day, 'YYYY-MM-DD') AS "from", days,
           paused_days AS "pausedDays"
    FROM unnest(${accounts}::uuid[]) AS given (id)
    CROSS JOIN LATERAL (
      SELECT product_id, min(day) AS first_day, coalesce(min(day) FILTER (WHERE days > 0), min(day)) AS from_day,
             sum(days)::bigint AS days, sum(paused_days)::bigint AS paused_days
      FROM usage_days WHERE account_id = given.id AND day BETWEEN ${breaks[0]}::date AND ${last}::date
      -- Each day's place among the breaks, looked up: searching for it costs twice the summing.
      GROUP BY product_id, (${placesOf(breaks, last)}::int[])[day - ${breaks[0]}::date + 1]) AS sums
    ORDER BY given.id, product_id, first_day`
  const spans = new Map<string, UsageSpan[]>()
  for (const { accountId, ...span } of rows) {
    const known = spans.get(accountId)
    if (known) known.push(span)
    else spans.set(accountId, [span])
  }
  return spans
}

/** For every day of a period the number of the break it follows. */
function placesOf(breaks: readonly Day[], last: Day): number[] {
  let place = 0
  return daysFrom(breaks[0]!, last).map((day) => (day === breaks[place] ? ++place : place))
}

/** List prices and these accounts' own prices that may hold by `last`. */
export async function pricesUntil(tx: Tx, accounts: readonly string[], last: Day): Promise<Price[]> {
  return await tx.$queryRaw`
    SELECT id, product_id AS "productId", account_id AS "accountId", currency, model,
           monthly_amount::text AS "monthlyAmount", to_char(effective_from, 'YYYY-MM-DD') AS "effectiveFrom",
           to_char(ends_on, 'YYYY-MM-DD') AS "endsOn", bill_while_paused AS "billWhilePaused"
    FROM prices
    WHERE (account_id IS NULL OR account_id = ANY(${accounts}::uuid[])) AND effective_from <= ${last}::date`
}

export async function productNames(tx: Tx): Promise<Map<string, string>> {
  const rows = await tx.$queryRaw<{ id: string; name: string }[]>`SELECT id, name FROM products`
  return new Map(rows.map((row) => [row.id, row.name]))
}

/** The drafts that accounts have of a month already, from before it was opened again: account id → invoice id. */
export async function openedDrafts(tx: Tx, accounts: readonly string[], first: Day): Promise<Map<string, string>> {
  const rows = await tx.$queryRaw<{ accountId: string; invoiceId: string }[]>`
    SELECT account_id AS "accountId", invoice_id AS "invoiceId" FROM invoice_claims
    WHERE account_id = ANY(${accounts}::uuid[]) AND kind = 'usage' AND period_start = ${first}::date`
  return new Map(rows.map((row) => [row.accountId, row.invoiceId]))
}

/**
 * Writes drafts of kind `usage` with their lines, set-based. An account whose month has a draft already keeps that one,
 * with new lines (invoice_claims: one live invoice per month); one that turns out empty goes.
 * @param earlier drafts of the accounts being closed, as openedDrafts() found them
 */
export async function saveDrafts(
  tx: Tx,
  drafts: readonly Draft[],
  earlier: ReadonlyMap<string, string>,
  first: Day,
  last: Day,
  at: Date,
): Promise<void> {
  const kept = new Set(drafts.map((draft) => draft.id))
  const known = [...earlier.values()]
  if (known.length > 0) {
    await tx.$executeRaw`DELETE FROM invoice_lines WHERE invoice_id = ANY(${known}::uuid[])`
    const empty = known.filter((id) => !kept.has(id))
    await tx.$executeRaw`DELETE FROM invoice_claims WHERE invoice_id = ANY(${empty}::uuid[])`
    await deleteDraftRows(tx, empty)
  }
  const fresh = drafts.filter((draft) => earlier.get(draft.accountId) !== draft.id)
  await updateDraftRows(
    tx,
    drafts.filter((draft) => earlier.get(draft.accountId) === draft.id),
  )
  await insertDraftRows(tx, fresh, first, last, at)
  await tx.$executeRaw`
    INSERT INTO invoice_claims (account_id, kind, period_start, invoice_id)
    SELECT account_id, 'usage', ${first}::date, id
    FROM unnest(${fresh.map((d) => d.id)}::uuid[], ${fresh.map((d) => d.accountId)}::uuid[])
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

/**
 * Whether a month of an account stands closed. One that was opened again, because a fact of it came late, is not
 * finalized before it has been closed anew.
 */
export async function isClosed(tx: Tx, accountId: string, first: Day): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM closed_months WHERE account_id = ${accountId}::uuid AND month = ${first}::date`
  return rows.length > 0
}

/** Opens one month again: its draft stays, and is drawn anew by the next close. */
export async function openMonth(tx: Tx, accountId: string, first: Day): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM closed_months WHERE account_id = ${accountId}::uuid AND month = ${first}::date`
}

/** Opens every month that ends after an instant, account by account, for facts of it that came late. */
export async function openMonthsSince(tx: Tx, since: readonly { accountId: string; at: Date }[]): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM closed_months m
    USING unnest(${since.map((s) => s.accountId)}::uuid[], ${since.map((s) => s.at.toISOString())}::timestamptz[])
      AS t (id, at)
    WHERE m.account_id = t.id AND EXISTS (
      SELECT 1 FROM counted_days c WHERE c.account_id = m.account_id AND c.ends_at > t.at
        AND c.day >= m.month AND c.day < m.month + interval '1 month')`
}
