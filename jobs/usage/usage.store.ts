// Writes counted_days and usage_days. Days are computed from the licenses' own facts, by state and not by events, as
// absolute values: counting a day again sets the same rows.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

/**
 * How many accounts one job counts or closes: a lock of some tens of milliseconds, and arrays of some tens of
 * kilobytes.
 */
export const ACCOUNTS_PER_CHUNK = 500

export interface AccountRange {
  /** Account ids, both included. */
  readonly from: string
  readonly through: string
}

/** The zones in use, each with the earliest day any of its accounts is billed from. */
export async function zonesInUse(tx: Tx): Promise<{ timezone: string; firstDay: Day }[]> {
  return await tx.$queryRaw`
    SELECT timezone, to_char(min(bill_from), 'YYYY-MM-DD') AS "firstDay"
    FROM accounts GROUP BY timezone ORDER BY timezone`
}

/**
 * The days of months not yet closed that are missing in a zone up to its last ended day, each with the accounts that
 * miss it, in chunks. Asked of the rows themselves, so that a gap is found however it came about.
 */
export async function missingDays(tx: Tx, zone: string, last: Day): Promise<(AccountRange & { day: Day })[]> {
  return await tx.$queryRaw`
    WITH missing AS (
      SELECT a.id, open_from + nth AS day
      FROM accounts a
      LEFT JOIN LATERAL (SELECT (max(month) + interval '1 month')::date AS next_open
                         FROM closed_months m WHERE m.account_id = a.id) AS closed ON true
      CROSS JOIN LATERAL (SELECT coalesce(closed.next_open, a.bill_from) AS open_from) AS span
      CROSS JOIN LATERAL generate_series(0, ${last}::date - open_from) AS nth
      WHERE a.timezone = ${zone}
        AND NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = a.id AND c.day = open_from + nth)
    ), chunked AS (
      SELECT id, day, (row_number() OVER (PARTITION BY day ORDER BY id) - 1) / ${ACCOUNTS_PER_CHUNK}::int AS chunk
      FROM missing
    )
    SELECT to_char(day, 'YYYY-MM-DD') AS day, min(id::text) AS "from", max(id::text) AS through
    FROM chunked GROUP BY day, chunk ORDER BY day, chunk`
}

/** The accounts of a range and zone that are billed for a day and have not been counted for it. */
export async function uncounted(tx: Tx, range: AccountRange, day: Day, zone: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT a.id FROM accounts a
    WHERE a.id BETWEEN ${range.from}::uuid AND ${range.through}::uuid AND a.timezone = ${zone}
      AND a.bill_from <= ${day}::date
      AND NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = a.id AND c.day = ${day}::date)
    ORDER BY a.id`
  return rows.map((row) => row.id)
}

export interface CountOrder {
  readonly accounts: readonly string[]
  readonly day: Day
  readonly startsAt: Date
  readonly endsAt: Date
  readonly at: Date
}

/**
 * Counts one local day of many accounts. An account with an action accepted before the day's end that is neither done
 * nor refused is left out: its day would be wrong (domain.md, Time). The row locks exclude acceptance meanwhile.
 * Where a license stood is taken distinct, so that no history of assignments, however odd, counts a license twice.
 * @returns how many rows of usage were written
 */
export async function countDay(tx: Tx, order: CountOrder): Promise<number> {
  await lockAccounts(tx, order.accounts)
  return await tx.$executeRaw`
    WITH counted AS (
      INSERT INTO counted_days (account_id, day, starts_at, ends_at, counted_at)
      SELECT account_id, ${order.day}::date, ${order.startsAt}::timestamptz, ${order.endsAt}::timestamptz,
             ${order.at}::timestamptz
      FROM unnest(${order.accounts}::uuid[]) AS given (account_id)
      WHERE NOT EXISTS (SELECT 1 FROM actions x WHERE x.account_id = given.account_id AND x.ended_at IS NULL
                          AND x.accepted_at < ${order.endsAt}::timestamptz)
      ON CONFLICT (account_id, day) DO UPDATE SET counted_at = excluded.counted_at
      RETURNING account_id
    ), stood AS (
      SELECT DISTINCT account_id, license_id FROM past_assignments
      WHERE account_id = ANY(${order.accounts}::uuid[])
        AND assigned_at < ${order.endsAt}::timestamptz AND unassigned_at >= ${order.endsAt}::timestamptz
    ), alive AS (
      SELECT l.account_id, l.product_id, l.issued_at, l.revoked_at,
             l.issued_at < ${order.startsAt}::timestamptz
               AND (l.revoked_at IS NULL OR l.revoked_at > ${order.startsAt}::timestamptz) AS at_start,
             l.revoked_at IS NULL OR l.revoked_at >= ${order.endsAt}::timestamptz AS at_end,
             p.license_id IS NOT NULL OR coalesce(l.assigned_at < ${order.endsAt}::timestamptz, false) AS assigned
      FROM counted c
      JOIN licenses l ON l.account_id = c.account_id AND l.issued_at < ${order.endsAt}::timestamptz
        AND (l.revoked_at IS NULL OR l.revoked_at >= ${order.startsAt}::timestamptz)
      LEFT JOIN stood p ON p.account_id = l.account_id AND p.license_id = l.id
    ), changes AS (
      SELECT account_id, product_id, at, sum(delta) AS delta
      FROM (SELECT account_id, product_id, issued_at AS at, 1 AS delta FROM alive
            WHERE issued_at >= ${order.startsAt}::timestamptz
            UNION ALL
            SELECT account_id, product_id, revoked_at, -1 FROM alive
            WHERE revoked_at > ${order.startsAt}::timestamptz AND revoked_at < ${order.endsAt}::timestamptz
               OR revoked_at = ${order.startsAt}::timestamptz AND issued_at = revoked_at) AS events
      GROUP BY account_id, product_id, at
    ), rises AS (
      SELECT account_id, product_id, max(level) AS rise
      FROM (SELECT account_id, product_id, sum(delta) OVER (PARTITION BY account_id, product_id ORDER BY at) AS level
            FROM changes) AS levels
      GROUP BY account_id, product_id
    )
    INSERT INTO usage_days (account_id, day, product_id, days, peak, assigned, unassigned)
    SELECT a.account_id, ${order.day}::date, a.product_id, count(*),
           count(*) FILTER (WHERE at_start) + greatest(coalesce(max(r.rise), 0), 0),
           count(*) FILTER (WHERE at_end AND assigned), count(*) FILTER (WHERE at_end AND NOT assigned)
    FROM alive a LEFT JOIN rises r ON r.account_id = a.account_id AND r.product_id = a.product_id
    GROUP BY a.account_id, a.product_id
    ON CONFLICT (account_id, day, product_id) DO UPDATE
      SET days = excluded.days, peak = excluded.peak, assigned = excluded.assigned, unassigned = excluded.unassigned`
}

async function lockAccounts(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM accounts WHERE id = ANY(${ids}::uuid[]) ORDER BY id FOR UPDATE`
}

/** Accounts of an order that were left out because an earlier action of theirs is still open. */
export async function blockedByActions(tx: Tx, accounts: readonly string[], day: Day): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id::text FROM unnest(${accounts}::uuid[]) AS given (id)
    WHERE NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = given.id AND c.day = ${day}::date)`
  return rows.map((row) => row.id)
}

/**
 * License-days per product of one account between instants, counted a second time by different SQL: not by day but in
 * closed form, each license's first and last bucket among the day boundaries.
 * @param boundaries starts of the days, and the end of the last
 */
export async function recountDays(
  tx: Tx,
  accountId: string,
  boundaries: readonly Date[],
): Promise<Map<string, bigint>> {
  const edges = boundaries.map((edge) => edge.toISOString())
  const days = boundaries.length - 1
  const rows = await tx.$queryRaw<{ productId: string; days: bigint }[]>`
    SELECT product_id AS "productId", sum(greatest(0,
             least(${days}::int, coalesce(width_bucket(revoked_at, ${edges}::timestamptz[]), ${days}::int))
             - greatest(1, width_bucket(issued_at, ${edges}::timestamptz[])) + 1))::bigint AS days
    FROM licenses WHERE account_id = ${accountId}::uuid GROUP BY product_id`
  return new Map(rows.filter((row) => row.days > 0n).map((row) => [row.productId, row.days]))
}
