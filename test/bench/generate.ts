// Fills a database by bulk SQL: accounts over four zones, eight products with prices, licenses issued over two years.
// They lie on the disk in the order of their issue, as real ones do, so that no account's are beside one another.
import type pg from 'pg'
import { addDays, type Day } from '../../jobs/rules/period.ts'
import { FIRST, spansOf, ZONES, type Shape } from './shape.ts'

const PRODUCTS = 8
const SITES_PER_ACCOUNT = 20

/** Rows that name one another by numbers: id_of() makes the ids, UUIDv7 as ours are. */
const FUNCTIONS = `
  CREATE FUNCTION pg_temp.id_of(at timestamptz, kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(kind || n), 1, 3)
            || '8' || substr(md5(kind || n), 4, 15))::uuid $$;
  CREATE FUNCTION pg_temp.account_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id_of('2024-10-01T00:00Z'::timestamptz + n * interval '1 second', 'account', n) $$;
  CREATE FUNCTION pg_temp.product_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id_of('2024-09-01T00:00Z', 'product', n) $$;
  CREATE FUNCTION pg_temp.site_id(account bigint, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id_of('2024-10-15T00:00Z', 'site', account * ${SITES_PER_ACCOUNT} + n) $$`

const zoneOf = (
  n: string,
): string => `CASE WHEN ${n} % 20 < 10 THEN '${ZONES[0]}' WHEN ${n} % 20 < 15 THEN '${ZONES[1]}'
  WHEN ${n} % 20 < 18 THEN '${ZONES[2]}' ELSE '${ZONES[3]}' END`

const ACCOUNTS = `
  INSERT INTO accounts (id, name, external_id, currency, timezone, billing_email, bill_from, created_at)
  SELECT pg_temp.account_id(n), 'Account ' || n, 'x' || n, CASE n % 3 WHEN 0 THEN 'eur' ELSE 'usd' END, ${zoneOf('n')},
         'pay' || n || '@example.com', $2, '2024-10-01T00:00Z'
  FROM generate_series(1, $1::bigint) AS n`

const CATALOG = `
  INSERT INTO products (id, slug, name, family, created_at)
  SELECT pg_temp.product_id(n), 'product-' || n, 'Product ' || n, 'family', '2024-09-01T00:00Z'
  FROM generate_series(1, ${PRODUCTS}) AS n;
  INSERT INTO prices (id, product_id, currency, model, monthly_amount, effective_from, created_at)
  SELECT pg_temp.id_of('2024-09-01T00:00Z', 'price', n * 2 + c), pg_temp.product_id(n),
         CASE c WHEN 0 THEN 'eur' ELSE 'usd' END, 'per_day', 4.95 + n, '2024-09-01', '2024-09-01T00:00Z'
  FROM generate_series(1, ${PRODUCTS}) AS n, generate_series(0, 1) AS c`

/** One account in a hundred pays a price of its own for its first product. */
const OWN_PRICES = `
  INSERT INTO prices (id, product_id, account_id, currency, model, monthly_amount, effective_from, created_at)
  SELECT pg_temp.id_of('2024-11-01T00:00Z', 'own price', n), pg_temp.product_id(1), a.id, a.currency, 'per_day', 3.95,
         '2024-11-01', '2024-11-01T00:00Z'
  FROM generate_series(5, $1::bigint, 99) AS n JOIN accounts a ON a.id = pg_temp.account_id(n)`

const SITES = `
  INSERT INTO sites (id, account_id, url, client, created_at)
  SELECT pg_temp.site_id(n, s), pg_temp.account_id(n), 'https://site' || s || '.example', 'Client ' || s,
         '2024-10-15T00:00Z'
  FROM generate_series(1, $1::bigint) AS n, generate_series(0, ${SITES_PER_ACCOUNT - 1}) AS s`

/** Three in ten are revoked by the month's end, six in ten of the others stand on a site. */
const LICENSES = `
  INSERT INTO licenses (id, account_id, product_id, key_cipher, key_hash, key_hint, issued_at, issued_by, issued_index,
                        revoked_at, site_id, assigned_at)
  SELECT pg_temp.id_of(issued_at, 'license', i), pg_temp.account_id(account), pg_temp.product_id(product),
         sha512(i::text::bytea), sha256(i::text::bytea), 'WXYZ', issued_at, pg_temp.id_of(issued_at, 'action', i), 0,
         CASE WHEN revoked THEN issued_at + r_end * (ends_at - issued_at) END,
         CASE WHEN assigned AND NOT revoked THEN pg_temp.site_id(account, (r_site * ${SITES_PER_ACCOUNT - 1})::int) END,
         CASE WHEN assigned AND NOT revoked THEN issued_at + r_end * (ends_at - issued_at) END
  FROM (SELECT i, 1 + floor(random() * $2)::bigint AS account, 1 + floor(${PRODUCTS} * random() ^ 2)::bigint AS product,
               '2024-11-01T00:00Z'::timestamptz + i * (interval '729 days' / $1::bigint) AS issued_at,
               '2026-11-01T00:00Z'::timestamptz AS ends_at, random() < 0.3 AS revoked, random() < 0.6 AS assigned,
               random() AS r_end, random() AS r_site
        FROM generate_series(1, $1::bigint) AS i) AS drawn
  ORDER BY i`

/** One in five stood on another site before. */
const PAST = `
  INSERT INTO past_assignments (id, account_id, license_id, site_id, assigned_at, unassigned_at)
  SELECT gen_random_uuid(), l.account_id, l.id, s.id, l.issued_at + 0.2 * (ended - l.issued_at),
         l.issued_at + r * (ended - l.issued_at)
  FROM (SELECT *, coalesce(assigned_at, revoked_at, '2026-11-01T00:00Z') AS ended, 0.3 + 0.7 * random() AS r
        FROM licenses WHERE random() < 0.2) AS l
  JOIN sites s ON s.account_id = l.account_id AND s.url = 'https://site0.example'`

/** One account in a hundred is paused from the 5th to the 20th, with every license it has then. */
const HOLDS = `
  INSERT INTO holds (id, account_id, source, reason, since, until)
  SELECT pg_temp.id_of('2026-10-05T10:00Z', 'hold', n), pg_temp.account_id(n), 'operator', 'bench',
         '2026-10-05T10:00Z', '2026-10-20T10:00Z'
  FROM generate_series(7, $1::bigint, 99) AS n`
const HOLD_MEMBERS = `
  INSERT INTO hold_members (hold_id, account_id, license_id)
  SELECT h.id, h.account_id, l.id FROM holds h JOIN licenses l ON l.account_id = h.account_id
    AND l.issued_at <= h.since AND (l.revoked_at IS NULL OR l.revoked_at > h.since)`

/** A week of use since the table was last vacuumed: one license in a hundred has changed. */
const CHANGES = `UPDATE licenses SET assigned_at = assigned_at WHERE random() < 0.01`

/** Indexes that no constraint needs, so that a million rows can come before them. */
const INDEXES = `
  SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
  WHERE indrelid = 'licenses'::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`

async function fillLicenses(admin: pg.Client, { licenses, accounts }: Shape): Promise<void> {
  const { rows: indexes } = await admin.query<{ name: string; definition: string }>(INDEXES)
  for (const { name } of indexes) await admin.query(`DROP INDEX ${name}`)
  await admin.query(LICENSES, [licenses, accounts])
  for (const { definition } of indexes) await admin.query(definition)
}

export async function generate(admin: pg.Client, shape: Shape): Promise<void> {
  const { accounts } = shape
  await admin.query(FUNCTIONS)
  await admin.query('SELECT setseed(0.5)')
  await admin.query(CATALOG)
  await admin.query(ACCOUNTS, [accounts, FIRST])
  await admin.query(OWN_PRICES, [accounts])
  await admin.query(SITES, [accounts])
  await fillLicenses(admin, shape)
  await admin.query(PAST)
  await admin.query(HOLDS, [accounts])
  await admin.query(HOLD_MEMBERS)
  await admin.query('VACUUM ANALYZE')
  await admin.query(CHANGES)
}

/** The rows of counted_days of one day, for all accounts. */
export const COUNTED_ROWS = `
  INSERT INTO counted_days (account_id, day, starts_at, ends_at, counted_at)
  SELECT a.id, $4, s.starts_at, s.ends_at, s.ends_at
  FROM accounts a JOIN unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS s (zone, starts_at, ends_at)
    ON s.zone = a.timezone`

/**
 * Days and paused days of one day; what else a row holds is made up. Simple, because a license of the bench's is never
 * under two holds.
 */
const USAGE = `
  SELECT l.account_id, $4::date AS day, l.product_id, count(*) FILTER (WHERE h.id IS NULL)::int AS days,
         count(h.id)::int AS paused_days, count(*)::int AS peak, 0 AS assigned, 0 AS unassigned
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS s (zone, starts_at, ends_at)
  JOIN accounts a ON a.timezone = s.zone
  JOIN licenses l ON l.account_id = a.id AND l.issued_at < s.ends_at
    AND (l.revoked_at IS NULL OR l.revoked_at >= s.starts_at)
  LEFT JOIN holds h ON h.account_id = l.account_id AND l.issued_at <= h.since AND h.since < s.starts_at
    AND (h.until >= s.ends_at OR h.until > l.revoked_at)
  GROUP BY a.timezone, l.account_id, l.product_id`

/**
 * Counts the days from one to another by SQL that is not ours, so that a month's second count has something to check.
 * The rows lie as our jobs leave them: day by day, then zone by zone and account by account.
 */
export async function fillDays(admin: pg.Client, from: Day, through: Day): Promise<void> {
  for (let day = from; day <= through; day = addDays(day, 1)) {
    const values = [...spansOf(day), day]
    await admin.query(COUNTED_ROWS, values)
    await admin.query(
      `INSERT INTO usage_days (account_id, day, product_id, days, paused_days, peak, assigned, unassigned)
       ${USAGE} ORDER BY a.timezone, l.account_id`,
      values,
    )
  }
  await admin.query('VACUUM ANALYZE counted_days, usage_days')
}

/** How many rows of a counted day are not as they should be, missing or too many. */
export async function wrongRows(admin: pg.Client, day: Day): Promise<number> {
  const { rows } = await admin.query<{ wrong: string }>(
    `SELECT count(*) AS wrong FROM (${USAGE}) AS e FULL JOIN (SELECT * FROM usage_days WHERE day = $4::date) AS u
       ON u.account_id = e.account_id AND u.product_id = e.product_id
     WHERE (e.days, e.paused_days) IS DISTINCT FROM (u.days, u.paused_days)
       OR u.assigned + u.unassigned > u.days + u.paused_days`,
    [...spansOf(day), day],
  )
  return Number(rows[0]!.wrong)
}
