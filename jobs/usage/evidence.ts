// The evidence of a month: which license stood where on each billed day. Only reads. A day belongs to the site the
// license stood on last that day (domain.md, Evidence); a day paused whole to nobody, unless the price in force that
// day bills it. Days are those that have been counted, so that they add up to the invoice's line.
import { Prisma } from '../../prisma/client/client.ts'
import { pricesUntil } from '../invoices/close.store.ts'
import type { Database, Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'
import { billedPauses, type ProductDays } from '../rules/rating.ts'

export interface EvidenceRow {
  readonly productId: string
  readonly product: string
  readonly slug: string
  readonly licenseId: string
  /** The vendor's own name for the license. */
  readonly reference: string | null
  readonly hint: string
  /** What the site is known by; null: not assigned on those days. */
  readonly site: string | null
  readonly url: string | null
  readonly externalId: string | null
  readonly client: string | null
  readonly days: bigint
}

/** What the days of a period are told from; the days themselves are fixed, so that pages read one by one agree. */
interface Scope {
  readonly accountId: string
  readonly days: readonly Day[]
  readonly startsAt: Date
  readonly endsAt: Date
  readonly billedPauses: readonly ProductDays[]
}

/** Null: no day of the period has been counted. */
async function scopeOf(tx: Tx, accountId: string, from: Day, to: Day): Promise<Scope | null> {
  const [counted] = await tx.$queryRaw<{ currency: string; days: Day[]; startsAt: Date; endsAt: Date }[]>`
    SELECT a.currency, array_agg(to_char(d.day, 'YYYY-MM-DD')) AS days, min(d.starts_at) AS "startsAt",
           max(d.ends_at) AS "endsAt"
    FROM accounts a JOIN counted_days d ON d.account_id = a.id AND d.day BETWEEN ${from}::date AND ${to}::date
    WHERE a.id = ${accountId}::uuid GROUP BY a.currency`
  if (!counted) return null
  const { currency, ...scope } = counted
  const prices = (await pricesUntil(tx, [accountId], to)).filter((price) => price.currency === currency)
  return { accountId, ...scope, billedPauses: billedPauses(prices, from, to) }
}

/** Some hundred thousand days to sort, and some hundred kilobytes to hold. */
export const LICENSES_PER_PAGE = 2_000
/** Before the first license. */
const NIL = '00000000-0000-0000-0000-000000000000'

/** The licenses that lived on the days, by id. */
async function licensesAfter(tx: Tx, scope: Scope, after: string, limit: number | null): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM licenses
    WHERE account_id = ${scope.accountId}::uuid AND id > ${after}::uuid AND issued_at < ${scope.endsAt}::timestamptz
      AND (revoked_at IS NULL OR revoked_at >= ${scope.startsAt}::timestamptz)
    ORDER BY id LIMIT ${limit}::int`
  return rows.map((row) => row.id)
}

/** The days on which a license is billed: `billed (id, day, starts_at, ends_at)`. As count-day has it. */
function billedDays({ accountId, days, startsAt, endsAt, ...scope }: Scope, ids: readonly string[]): Prisma.Sql {
  return Prisma.sql`
    days AS (
      SELECT day, starts_at, ends_at FROM counted_days
      WHERE account_id = ${accountId}::uuid AND day = ANY(${days}::date[])
    ), lives AS (
      SELECT id, product_id, external_ref, key_hint, issued_at, revoked_at FROM licenses
      WHERE account_id = ${accountId}::uuid AND id = ANY(${ids}::uuid[])
    ), held AS (
      SELECT m.license_id, unnest(range_agg(tstzrange(h.since, h.until))) AS span
      FROM hold_members m JOIN holds h ON h.account_id = m.account_id AND h.id = m.hold_id
      WHERE m.account_id = ${accountId}::uuid AND m.license_id = ANY(${ids}::uuid[])
        AND h.since < ${endsAt}::timestamptz AND (h.until IS NULL OR h.until >= ${startsAt}::timestamptz)
      GROUP BY m.license_id
    ), paused AS (
      SELECT DISTINCT l.id, d.day
      FROM held h JOIN lives l ON l.id = h.license_id
      JOIN days d ON (lower(h.span) < d.starts_at OR lower(h.span) < l.issued_at)
        AND (upper_inf(h.span) OR upper(h.span) >= d.ends_at OR upper(h.span) > l.revoked_at)
      WHERE NOT EXISTS (
        SELECT 1 FROM unnest(${scope.billedPauses.map((one) => one.productId)}::uuid[],
                             ${scope.billedPauses.map((one) => one.from)}::date[],
                             ${scope.billedPauses.map((one) => one.to)}::date[]) AS b (product_id, first, last)
        WHERE b.product_id = l.product_id AND d.day BETWEEN b.first AND b.last)
    ), billed AS (
      SELECT l.id, d.day, d.starts_at, d.ends_at
      FROM lives l JOIN days d ON l.issued_at < d.ends_at AND (l.revoked_at IS NULL OR l.revoked_at >= d.starts_at)
      WHERE NOT EXISTS (SELECT 1 FROM paused p WHERE p.id = l.id AND p.day = d.day)
    )`
}

const BY_LICENSE = Prisma.sql`l.id, p.since`
const BY_CLIENT = Prisma.sql`t.client NULLS LAST, site NULLS LAST, r.name, l.id`

/** Like the license itself, a license that leaves a site stands there to the closing instant, included. */
async function readRows(tx: Tx, scope: Scope, ids: readonly string[], order: Prisma.Sql): Promise<EvidenceRow[]> {
  const { accountId, startsAt } = scope
  // Behind row-level security PostgreSQL takes the licenses for few, and would compare each day with each stay.
  await tx.$executeRaw`SELECT set_config('enable_nestloop', 'off', true)`
  return await tx.$queryRaw`
    WITH ${billedDays(scope, ids)}, stood AS (
      SELECT id AS license_id, site_id, assigned_at, NULL::timestamptz AS unassigned_at, NULL::bigint AS seq
      FROM licenses WHERE account_id = ${accountId}::uuid AND id = ANY(${ids}::uuid[]) AND site_id IS NOT NULL
      UNION ALL
      SELECT license_id, site_id, assigned_at, unassigned_at, seq
      FROM past_assignments
      WHERE account_id = ${accountId}::uuid AND license_id = ANY(${ids}::uuid[])
        AND unassigned_at >= ${startsAt}::timestamptz
    ), placed AS (
      SELECT DISTINCT ON (b.id, b.day) b.id, b.day, s.site_id
      FROM billed b LEFT JOIN stood s ON s.license_id = b.id AND s.assigned_at < b.ends_at
        AND (s.unassigned_at IS NULL OR s.unassigned_at >= b.starts_at)
      -- Where it stands now came after all that is past; of two that began in one instant the later row counts.
      ORDER BY b.id, b.day, s.assigned_at DESC NULLS LAST, s.unassigned_at DESC NULLS FIRST, s.seq DESC
    ), stays AS (
      SELECT id, site_id, min(day) AS since, count(*) AS days FROM placed GROUP BY id, site_id
    )
    SELECT l.product_id AS "productId", r.name AS product, r.slug, l.id AS "licenseId", l.external_ref AS reference,
           l.key_hint AS hint, coalesce(t.url, t.external_id) AS site, t.url, t.external_id AS "externalId", t.client,
           p.days
    FROM stays p JOIN lives l ON l.id = p.id JOIN products r ON r.id = l.product_id
    LEFT JOIN sites t ON t.account_id = ${accountId}::uuid AND t.id = p.site_id ORDER BY ${order}`
}

/** The whole of a period's evidence, by client and site: only where it is known to be short. */
export async function evidence(tx: Tx, accountId: string, from: Day, to: Day): Promise<EvidenceRow[]> {
  const scope = await scopeOf(tx, accountId, from, to)
  return scope ? await readRows(tx, scope, await licensesAfter(tx, scope, NIL, null), BY_CLIENT) : []
}

/** How many licenses a period's evidence lists. */
export async function countBilledLicenses(tx: Tx, accountId: string, from: Day, to: Day): Promise<number> {
  const scope = await scopeOf(tx, accountId, from, to)
  let count = 0
  for (let after: string | undefined = NIL; scope && after !== undefined;) {
    const ids: string[] = await licensesAfter(tx, scope, after, LICENSES_PER_PAGE)
    const [row] = await tx.$queryRaw<[{ count: number }]>`
      WITH ${billedDays(scope, ids)} SELECT count(DISTINCT id)::int AS count FROM billed`
    count += row.count
    after = ids[LICENSES_PER_PAGE - 1]
  }
  return count
}

/**
 * A period's evidence in the order of the licenses' ids, some licenses at a time, each page in a transaction of its
 * own: a caller who reads slowly holds none open. Which days count is settled with the first page.
 */
export async function* evidencePages(
  db: Pick<Database, 'withAccount'>,
  accountId: string,
  from: Day,
  to: Day,
  perPage = LICENSES_PER_PAGE,
): AsyncGenerator<EvidenceRow[]> {
  const scope = await db.withAccount(accountId, (tx) => scopeOf(tx, accountId, from, to))
  if (!scope) return
  for (let after: string | undefined = NIL; after !== undefined;) {
    const start: string = after
    const { rows, ids } = await db.withAccount(accountId, async (tx) => {
      const page = await licensesAfter(tx, scope, start, perPage)
      return { ids: page, rows: await readRows(tx, scope, page, BY_LICENSE) }
    })
    yield rows
    after = ids[perPage - 1]
  }
}
