// Writes counted_days and usage_days. Days are computed from the licenses' own facts, by state and not by events, as
// absolute values: counting a day again sets the same rows.
import { Prisma } from '../../prisma/client/client.ts'
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

export interface MissingDays extends AccountRange {
  /** Of one month, in order. */
  readonly days: readonly Day[]
}

/**
 * The days of months not yet closed that are missing in a zone up to its last ended day, by month and chunk of the
 * accounts that miss any. Asked of the rows themselves, so that a gap is found however it came about.
 */
export async function missingDays(tx: Tx, zone: string, last: Day): Promise<MissingDays[]> {
  return await tx.$queryRaw`
    WITH missing AS (
      SELECT a.id, open_from + nth AS day
      FROM accounts a
      LEFT JOIN LATERAL (SELECT (max(month) + interval '1 month')::date AS next_open, count(*) AS closed
                         FROM closed_months m WHERE m.account_id = a.id) AS m ON true
      -- Where a month was opened again, closed ones lie behind it: then all are looked through.
      CROSS JOIN LATERAL (
        SELECT CASE WHEN m.closed = (extract(year FROM m.next_open) - extract(year FROM a.bill_from)) * 12
                                  + extract(month FROM m.next_open) - extract(month FROM a.bill_from)
               THEN m.next_open ELSE a.bill_from END AS open_from) AS span
      CROSS JOIN LATERAL generate_series(0, ${last}::date - open_from) AS nth
      WHERE a.timezone = ${zone}
        AND NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = a.id AND c.day = open_from + nth)
    ), chunked AS (
      SELECT id, day, date_trunc('month', day::timestamp) AS month,
             (dense_rank() OVER (PARTITION BY date_trunc('month', day::timestamp) ORDER BY id) - 1)
               / ${ACCOUNTS_PER_CHUNK}::int AS chunk
      FROM missing
    )
    SELECT array_agg(DISTINCT to_char(day, 'YYYY-MM-DD')) AS days, min(id::text) AS "from", max(id::text) AS through
    FROM chunked GROUP BY month, chunk ORDER BY month, chunk`
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
 * A license is active that day unless one run of holds that overlap or touch began before the day (or before the
 * license) and ends after it (or after the license). Where a license stood is taken distinct, so that no history of
 * assignments, however odd, counts a license twice. Paused licenses count for the peak, and stand nowhere.
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
    ), ${aliveThatDay(order)}, ${risesThatDay(order)}
    INSERT INTO usage_days (account_id, day, product_id, days, paused_days, peak, assigned, unassigned)
    SELECT a.account_id, ${order.day}::date, a.product_id, count(*) FILTER (WHERE NOT a.paused),
           count(*) FILTER (WHERE a.paused), count(*) FILTER (WHERE at_start) + greatest(coalesce(max(r.rise), 0), 0),
           count(*) FILTER (WHERE at_end AND assigned), count(*) FILTER (WHERE at_end AND NOT assigned)
    FROM alive a LEFT JOIN rises r ON r.account_id = a.account_id AND r.product_id = a.product_id
    GROUP BY a.account_id, a.product_id
    ON CONFLICT (account_id, day, product_id) DO UPDATE
      SET days = excluded.days, paused_days = excluded.paused_days, peak = excluded.peak,
          assigned = excluded.assigned, unassigned = excluded.unassigned`
}

/** The licenses that were there that day: whether they were paused all of it, and as what they stood at its ends. */
function aliveThatDay(order: CountOrder): Prisma.Sql {
  return Prisma.sql`
    stood AS MATERIALIZED (
      SELECT DISTINCT account_id, license_id FROM past_assignments
      WHERE account_id = ANY(${order.accounts}::uuid[])
        AND assigned_at < ${order.endsAt}::timestamptz AND unassigned_at >= ${order.endsAt}::timestamptz
    ), held AS MATERIALIZED (
      SELECT m.account_id, m.license_id, range_agg(tstzrange(h.since, h.until)) AS spans
      FROM holds h JOIN hold_members m ON m.account_id = h.account_id AND m.hold_id = h.id
      WHERE h.account_id = ANY(${order.accounts}::uuid[])
        AND h.since < ${order.endsAt}::timestamptz AND (h.until IS NULL OR h.until >= ${order.startsAt}::timestamptz)
      GROUP BY m.account_id, m.license_id
    ), lives AS MATERIALIZED (
      -- Account by account (OFFSET 0 keeps it so): what an account costs is not to grow with everybody's licenses.
      SELECT l.* FROM counted c CROSS JOIN LATERAL (
        SELECT account_id, product_id, id, issued_at, revoked_at, assigned_at FROM licenses
        WHERE account_id = c.account_id AND issued_at < ${order.endsAt}::timestamptz
          AND (revoked_at IS NULL OR revoked_at >= ${order.startsAt}::timestamptz) OFFSET 0) AS l
    ), alive AS (
      SELECT l.account_id, l.product_id, l.issued_at, l.revoked_at,
             h.spans IS NOT NULL AND EXISTS (
               SELECT FROM unnest(h.spans) AS span
               WHERE (lower(span) < ${order.startsAt}::timestamptz OR lower(span) < l.issued_at)
                 AND (upper_inf(span) OR upper(span) >= ${order.endsAt}::timestamptz OR upper(span) > l.revoked_at))
               AS paused,
             l.issued_at < ${order.startsAt}::timestamptz
               AND (l.revoked_at IS NULL OR l.revoked_at > ${order.startsAt}::timestamptz) AS at_start,
             (l.revoked_at IS NULL OR l.revoked_at >= ${order.endsAt}::timestamptz)
               AND (h.spans IS NULL OR NOT EXISTS (
                 SELECT FROM unnest(h.spans) AS span
                 WHERE upper_inf(span) OR upper(span) >= ${order.endsAt}::timestamptz)) AS at_end,
             p.license_id IS NOT NULL OR coalesce(l.assigned_at < ${order.endsAt}::timestamptz, false) AS assigned
      FROM lives l
      LEFT JOIN stood p ON p.account_id = l.account_id AND p.license_id = l.id
      LEFT JOIN held h ON h.account_id = l.account_id AND h.license_id = l.id
    )`
}

/** How far above its level at the day's beginning each product's number of licenses rose: closings before openings. */
function risesThatDay(order: CountOrder): Prisma.Sql {
  return Prisma.sql`
    changes AS (
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
    )`
}

/**
 * Takes back the counts of every day that an instant lies in or before, account by account: the ordinary search for
 * missing days then counts them again. Only for days of months that are not invoiced.
 */
export async function uncountDays(tx: Tx, since: readonly { accountId: string; at: Date }[]): Promise<void> {
  const accounts = since.map(({ accountId }) => accountId)
  const instants = since.map(({ at }) => at.toISOString())
  await tx.$executeRaw`
    DELETE FROM usage_days u USING counted_days c, unnest(${accounts}::uuid[], ${instants}::timestamptz[]) AS t (id, at)
    WHERE c.account_id = t.id AND c.ends_at > t.at AND u.account_id = c.account_id AND u.day = c.day`
  await tx.$executeRaw`
    DELETE FROM counted_days c USING unnest(${accounts}::uuid[], ${instants}::timestamptz[]) AS t (id, at)
    WHERE c.account_id = t.id AND c.ends_at > t.at`
}

/** Excludes acceptance, counting and closing of these accounts until the transaction ends. */
export async function lockAccounts(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM accounts WHERE id = ANY(${ids}::uuid[]) ORDER BY id FOR UPDATE`
}

/** Accounts of an order that were left out because an earlier action of theirs is still open. */
export async function blockedByActions(tx: Tx, accounts: readonly string[], day: Day): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id::text FROM unnest(${accounts}::uuid[]) AS given (id)
    WHERE NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = given.id AND c.day = ${day}::date)`
  return rows.map((row) => row.id)
}

/** Whether any account of a range and zone has all days of a month counted that is not closed. */
export async function completesMonth(
  tx: Tx,
  range: AccountRange,
  zone: string,
  first: Day,
  last: Day,
): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM accounts a
    JOIN counted_days c ON c.account_id = a.id AND c.day BETWEEN ${first}::date AND ${last}::date
    WHERE a.id BETWEEN ${range.from}::uuid AND ${range.through}::uuid AND a.timezone = ${zone}
      AND NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month = ${first}::date)
    GROUP BY a.id HAVING count(*) = ${last}::date - greatest(a.bill_from, ${first}::date) + 1 LIMIT 1`
  return rows.length > 0
}
