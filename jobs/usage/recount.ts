// Usage counted a second time, by other SQL: not day by day but in closed form, each license's first and last day among
// the boundaries of the period, less the days it was paused whole. Finalization compares it with the usage days; the
// estimate is the same count with boundaries that lie ahead. Only reads.
import { Prisma } from '../../prisma/client/client.ts'
import type { Tx } from '../kit/ports.ts'
import { addDays, daysFrom, startOfDay, type Day } from '../rules/period.ts'
import type { UsageSpan } from '../rules/rating.ts'

export interface Period {
  readonly zone: string
  /** Both included. Accounts billed only from a later day on are counted from that day. */
  readonly first: Day
  readonly last: Day
  /** The days on which some price begins or ends, `first` in front, in order. */
  readonly breaks: readonly Day[]
}

/**
 * License-days per account and product of a period, between its price breaks. A license that is open, or paused, now
 * is taken to stay so to the period's end.
 */
export async function recountDays(
  tx: Tx,
  accounts: readonly string[],
  period: Period,
): Promise<Map<string, UsageSpan[]>> {
  const days = daysFrom(period.first, period.last)
  // The start of every day, and the end of the last.
  const edges = [...days, addDays(period.last, 1)].map((day) => startOfDay(day, period.zone).toISOString())
  const rows = await readSpans(tx, accounts, period, edges)
  const spans = new Map<string, UsageSpan[]>()
  for (const { accountId, opens, ...rest } of rows) {
    const span = { ...rest, from: days[opens - 1]! }
    const known = spans.get(accountId)
    if (known) known.push(span)
    else spans.set(accountId, [span])
  }
  return spans
}

interface SpanRow {
  readonly accountId: string
  readonly productId: string
  /** The first day that saw the product, the period's first being 1. */
  readonly opens: number
  readonly days: bigint
  readonly pausedDays: bigint
}

/** Holds that overlap or touch are one island: between them the license was never active. */
function heldIslands(accounts: readonly string[]): Prisma.Sql {
  return Prisma.sql`
    marks AS (
      SELECT m.license_id, h.since, h.until, h.id,
             coalesce(h.since > max(coalesce(h.until, 'infinity')) OVER (
               PARTITION BY m.license_id ORDER BY h.since, h.until, h.id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS begins
      FROM period JOIN holds h ON h.account_id = ANY(${accounts}::uuid[]) AND h.since < ends_at
        AND (h.until IS NULL OR h.until >= starts_at AND h.until > h.since)
      JOIN hold_members m ON m.account_id = h.account_id AND m.hold_id = h.id
    ), islands AS (
      SELECT license_id, min(since) AS since, nullif(max(coalesce(until, 'infinity')), 'infinity') AS until
      FROM (SELECT license_id, since, until, count(*) FILTER (WHERE begins) OVER (
              PARTITION BY license_id ORDER BY since, until, id ROWS UNBOUNDED PRECEDING) AS island
            FROM marks) AS numbered
      GROUP BY license_id, island
    )`
}

async function readSpans(
  tx: Tx,
  accounts: readonly string[],
  { first, last, breaks }: Period,
  edges: readonly string[],
): Promise<SpanRow[]> {
  return await tx.$queryRaw`
    WITH period AS (
      SELECT ${edges}::timestamptz[] AS edges, ${edges.length - 1}::int AS days,
             ${edges[0]}::timestamptz AS starts_at, ${edges.at(-1)}::timestamptz AS ends_at
    ), spans AS (
      SELECT nth::int, (day - ${first}::date + 1)::int AS opens,
             (coalesce(lead(day) OVER (ORDER BY nth), ${last}::date + 1) - ${first}::date)::int AS closes
      FROM unnest(${breaks}::date[]) WITH ORDINALITY AS given (day, nth)
    ), lives AS (
      SELECT l.account_id, l.product_id, l.id, l.issued_at, l.revoked_at,
             greatest(a.bill_from - ${first}::date + 1, width_bucket(l.issued_at, edges)) AS opens,
             least(days, coalesce(width_bucket(l.revoked_at, edges), days)) AS closes
      FROM period CROSS JOIN accounts a
      -- Account by account (OFFSET 0 keeps it so): what an account costs is not to grow with everybody's licenses.
      CROSS JOIN LATERAL (
        SELECT account_id, product_id, id, issued_at, revoked_at FROM licenses
        WHERE account_id = a.id AND issued_at < ends_at AND (revoked_at IS NULL OR revoked_at >= starts_at)
        OFFSET 0) AS l
      WHERE a.id = ANY(${accounts}::uuid[])
    ), ${heldIslands(accounts)}, pauses AS (
      -- The day a pause begins in is active, unless the license was not there before it; so is the day it ends in,
      -- unless the license was revoked by then.
      SELECT v.account_id, v.product_id,
             greatest(v.opens, CASE WHEN i.since >= v.issued_at THEN width_bucket(i.since, edges) + 1 ELSE v.opens END)
               AS opens,
             CASE WHEN i.until IS NOT NULL AND (v.revoked_at IS NULL OR i.until <= v.revoked_at)
               THEN least(v.closes, width_bucket(i.until, edges) - 1) ELSE v.closes END AS closes
      FROM period CROSS JOIN islands i JOIN lives v ON v.id = i.license_id
    ), counted AS (
      SELECT account_id, product_id, nth, greatest(l.opens, s.opens) AS opens, least(l.closes, s.closes) AS closes,
             false AS paused
      FROM lives l CROSS JOIN spans s WHERE greatest(l.opens, s.opens) <= least(l.closes, s.closes)
      UNION ALL
      SELECT account_id, product_id, nth, greatest(p.opens, s.opens), least(p.closes, s.closes), true
      FROM pauses p CROSS JOIN spans s WHERE greatest(p.opens, s.opens) <= least(p.closes, s.closes)
    )
    SELECT account_id AS "accountId", product_id AS "productId", min(opens) AS opens,
           sum(CASE WHEN paused THEN -1 ELSE 1 END * (closes - opens + 1))::bigint AS days,
           coalesce(sum(closes - opens + 1) FILTER (WHERE paused), 0)::bigint AS "pausedDays"
    FROM counted GROUP BY account_id, product_id, nth ORDER BY account_id, product_id, nth`
}
