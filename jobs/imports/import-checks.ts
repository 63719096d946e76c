// What cannot be true of a chunk of imported accounts: each check is one query for the rows it is wrong about, and the
// field. Only reads; the rows that could not even be read are known before.
import type { Tx } from '../kit/ports.ts'
import type { ImportFailure } from './imports.store.ts'

/** A check stops at so many rows; the accounts they belong to are refused, and the rest is checked again. */
export const FAILURES_PER_CHECK = 1_000

type Check = (tx: Tx, importId: string, chunk: number) => Promise<ImportFailure[]>

const rowsOf = (file: ImportFailure['file'], rows: readonly Omit<ImportFailure, 'file'>[]): ImportFailure[] =>
  rows.map((row) => ({ file, ...row }))

/** An account that neither accounts.csv nor the system knows, and one that accounts.csv lists twice. */
const accountsKnownOnce: Check = async (tx, importId, chunk) => {
  const unknown = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, 'account' AS field, 'is neither in accounts.csv nor known' AS message, e.line
    FROM import_targets t
    JOIN LATERAL (SELECT min(line) AS line FROM import_events e
                  WHERE e.import_id = t.import_id AND e.account = t.account) AS e ON e.line IS NOT NULL
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND t.account_id IS NULL
      AND NOT EXISTS (SELECT 1 FROM import_accounts a WHERE a.import_id = t.import_id AND a.account = t.account)
    LIMIT ${FAILURES_PER_CHECK}::int`
  const unpriced = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, 'account' AS field, 'is neither in accounts.csv nor known' AS message, p.line
    FROM import_targets t JOIN import_prices p ON p.import_id = t.import_id AND p.account = t.account
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND t.account_id IS NULL
      AND NOT EXISTS (SELECT 1 FROM import_accounts a WHERE a.import_id = t.import_id AND a.account = t.account)
    LIMIT ${FAILURES_PER_CHECK}::int`
  const twice = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT account, 'account' AS field, 'is listed on line ' || first || ' already' AS message, line
    FROM (SELECT a.account, a.line, first_value(a.line) OVER (PARTITION BY a.account ORDER BY a.line) AS first
          FROM import_targets t JOIN import_accounts a ON a.import_id = t.import_id AND a.account = t.account
          WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL) AS listed
    WHERE line <> first LIMIT ${FAILURES_PER_CHECK}::int`
  return [...rowsOf('events.csv', unknown), ...rowsOf('prices.csv', unpriced), ...rowsOf('accounts.csv', twice)]
}

/** A known account whose currency, zone or first billed month is another here. */
const accountsAgree: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, f.field, f.message, r.line
    FROM import_targets t JOIN imports i ON i.id = t.import_id JOIN accounts a ON a.id = t.account_id
    JOIN import_accounts r ON r.import_id = t.import_id AND r.account = t.account
    CROSS JOIN LATERAL (VALUES
      ('currency', r.details ->> 'currency' <> a.currency, 'is ' || a.currency || ' for this account'),
      ('timezone', r.details ->> 'timezone' <> a.timezone, 'is ' || a.timezone || ' for this account'),
      ('account', i.bill_from < date_trunc('month', a.bill_from::timestamp)
                  AND EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id),
       'is billed from ' || to_char(a.bill_from, 'YYYY-MM') || ' and has closed months: no earlier one can be billed')
    ) AS f (field, wrong, message)
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND f.wrong
    LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('accounts.csv', rows)
}

/** An event of days this import was to bill, of an account that is billed from a later day and has closed months. */
const billedInTime: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, e.line, 'at' AS field, 'lies before ' || to_char(a.bill_from, 'YYYY-MM-DD')
             || ', from which this account is billed; it has closed months: no earlier day can be billed' AS message
    FROM import_targets t JOIN imports i ON i.id = t.import_id
    JOIN accounts a ON a.id = t.account_id AND a.bill_from > i.bill_from
    JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
      AND EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id)
      AND e.at < (SELECT min(starts_at) FROM counted_days c WHERE c.account_id = a.id)
    ORDER BY e.line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** An event that does not follow from the one before it of its license, in the file or as the system knows it. */
const eventsFollow: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    WITH told AS (
      SELECT e.account, e.line, e.at, e.event, e.site_url IS NOT NULL OR e.site_external_id IS NOT NULL AS sited,
             lag(CASE WHEN e.event = 'issue' AND coalesce(e.site_url, e.site_external_id) IS NOT NULL THEN 'assign'
                 ELSE e.event END) OVER w AS told_before, lag(e.line) OVER w AS line_before,
             CASE WHEN l.id IS NULL THEN NULL WHEN l.revoked_at IS NOT NULL THEN 'revoke'
                  WHEN l.site_id IS NOT NULL THEN 'assign' ELSE 'unassign' END AS known,
             greatest(l.issued_at, l.assigned_at, l.revoked_at, (
               SELECT max(unassigned_at) FROM past_assignments s
               WHERE s.account_id = l.account_id AND s.license_id = l.id)) AS known_until
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      LEFT JOIN licenses l ON l.account_id = t.account_id AND l.external_ref = e.license
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
      WINDOW w AS (PARTITION BY e.account, e.license ORDER BY e.at, e.line)
    ), placed AS (
      SELECT *, coalesce(told_before, known) AS before,
             CASE WHEN told_before IS NULL THEN '' ELSE ' (line ' || line_before || ')' END AS there
      FROM told
    ), judged AS (
      SELECT account, line, CASE
        WHEN event = 'issue' AND before IS NOT NULL
          THEN ARRAY['license', 'is issued already' || there]
        WHEN before IS NULL AND event <> 'issue'
          THEN ARRAY['license', 'is not issued before this']
        WHEN known_until > at
          THEN ARRAY['at', 'lies before what is known of the license already']
        WHEN before = 'revoke'
          THEN ARRAY['event', 'comes after the license was revoked' || there]
        WHEN event = 'unassign' AND before <> 'assign'
          THEN ARRAY['event', 'unassigns a license that stands on no site']
        WHEN event = 'assign' AND before = 'assign'
          THEN ARRAY['event', 'assigns a license that stands on another site' || there || ': unassign it first']
        WHEN event = 'assign' AND NOT sited
          THEN ARRAY['site_url', 'is missing: an assignment needs site_url or site_external_id']
        END AS verdict
      FROM placed
    )
    SELECT account, line, verdict[1] AS field, verdict[2] AS message FROM judged
    WHERE verdict IS NOT NULL ORDER BY line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** An event of a product that does not exist, has no price the account could pay, or is not the license's own. */
const productsKnown: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    WITH told AS (
      SELECT t.account, t.account_id, e.license, e.line, e.event, e.product, p.id AS product_id,
             coalesce(a.currency, r.details ->> 'currency') AS currency
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      LEFT JOIN accounts a ON a.id = t.account_id
      LEFT JOIN import_accounts r ON r.import_id = t.import_id AND r.account = t.account
      LEFT JOIN products p ON p.slug = e.product
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND e.product IS NOT NULL
    ), priced AS (
      SELECT DISTINCT t.account, p.id AS product_id
      FROM (SELECT DISTINCT account, account_id, currency, product, product_id FROM told) AS t
      JOIN products p ON p.id = t.product_id
      WHERE EXISTS (SELECT 1 FROM prices r WHERE r.product_id = p.id AND r.currency = t.currency
                      AND (r.account_id IS NULL OR r.account_id = t.account_id))
         OR EXISTS (SELECT 1 FROM import_prices r WHERE r.import_id = ${importId}::uuid AND r.account = t.account
                      AND r.product = t.product AND r.currency = t.currency)
    )
    SELECT t.account, 'product' AS field, t.line, CASE
        WHEN t.product_id IS NULL THEN 'is not a known product'
        WHEN t.event = 'issue' THEN 'has no price in ' || t.currency
        ELSE 'is not the product the license was issued for' END AS message
    FROM told t
    LEFT JOIN priced r ON r.account = t.account AND r.product_id = t.product_id
    LEFT JOIN import_events i ON t.event <> 'issue' AND i.import_id = ${importId}::uuid AND i.account = t.account
      AND i.license = t.license AND i.event = 'issue'
    LEFT JOIN licenses l ON t.event <> 'issue' AND l.account_id = t.account_id AND l.external_ref = t.license
    -- Whose account nobody knows has no currency, and is told so by another check.
    WHERE t.product_id IS NULL OR (t.event = 'issue' AND r.product_id IS NULL AND t.currency IS NOT NULL)
       OR i.product <> t.product OR l.product_id <> t.product_id
    ORDER BY t.line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** A site whose url and external id belong to two sites. */
const sitesAgree: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    WITH said AS (
      SELECT t.account, e.line, e.site_url AS url, e.site_external_id AS external_id
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
        AND e.site_url IS NOT NULL AND e.site_external_id IS NOT NULL
      UNION ALL
      SELECT t.account, 0, s.url, s.external_id
      FROM import_targets t JOIN sites s ON s.account_id = t.account_id
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
        AND s.url IS NOT NULL AND s.external_id IS NOT NULL
    ), compared AS (
      SELECT *, first_value(external_id) OVER (PARTITION BY account, url ORDER BY line) AS first_id,
             first_value(url) OVER (PARTITION BY account, external_id ORDER BY line) AS first_url
      FROM said
    )
    SELECT account, line, CASE WHEN external_id <> first_id THEN 'site_external_id' ELSE 'site_url' END AS field,
           'belongs to another site: the two named here are known apart' AS message
    FROM compared WHERE external_id <> first_id OR url <> first_url ORDER BY line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** A url and an external id that are two known sites. */
const sitesKnownTogether: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, e.line, 'site_external_id' AS field, 'belongs to another known site than site_url' AS message
    FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
    JOIN sites su ON su.account_id = t.account_id AND su.url = e.site_url
    JOIN sites sx ON sx.account_id = t.account_id AND sx.external_id = e.site_external_id AND sx.id <> su.id
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
    ORDER BY e.line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** A fact of a month that is invoiced already. */
const monthsOpen: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, e.line, 'at' AS field, 'lies in a month that is invoiced already (month_closed)' AS message
    FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND e.at < t.settled_until
    ORDER BY e.line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('events.csv', rows)
}

/** An own price in another currency than its account's, or other than the one that is set from that day already. */
const ownPricesAgree: Check = async (tx, importId, chunk) => {
  const rows = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT t.account, p.line, f.field, f.message
    FROM import_targets t JOIN import_prices p ON p.import_id = t.import_id AND p.account = t.account
    LEFT JOIN accounts a ON a.id = t.account_id
    LEFT JOIN import_accounts r ON r.import_id = t.import_id AND r.account = t.account
    LEFT JOIN products s ON s.slug = p.product
    LEFT JOIN prices known ON known.product_id = s.id AND known.account_id = t.account_id
      AND known.currency = p.currency AND known.effective_from = p.effective_from
    CROSS JOIN LATERAL (VALUES
      ('currency', p.currency <> coalesce(a.currency, r.details ->> 'currency'), 'is not the account''s'),
      ('effective_from', known.id IS NULL AND EXISTS (
         SELECT 1 FROM usage_days u JOIN invoices i ON i.account_id = u.account_id AND i.kind = 'usage'
           AND u.day BETWEEN i.period_start AND i.period_end AND i.finalized_at IS NOT NULL
         WHERE u.account_id = t.account_id AND u.product_id = s.id AND u.day >= p.effective_from),
       'lies in a month that is invoiced already (month_closed)'),
      ('monthly_amount', known.monthly_amount <> p.monthly_amount OR known.model <> p.model,
       'is another than the one set from that day'),
      ('effective_from', EXISTS (SELECT 1 FROM import_prices o WHERE o.import_id = p.import_id AND o.account = p.account
         AND o.product = p.product AND o.currency = p.currency AND o.effective_from = p.effective_from
         AND o.line < p.line AND o.monthly_amount <> p.monthly_amount), 'has another price in this file already')
    ) AS f (field, wrong, message)
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND f.wrong
    ORDER BY p.line LIMIT ${FAILURES_PER_CHECK}::int`
  return rowsOf('prices.csv', rows)
}

/**
 * Rows that concern everybody: those that do not say whose they are, and list prices that contradict the ones that are
 * set, or each other.
 */
export async function findListFailures(tx: Tx, importId: string): Promise<ImportFailure[]> {
  const nameless = await tx.$queryRaw<ImportFailure[]>`
    SELECT file, line, field, NULL AS account, message FROM import_failures
    WHERE import_id = ${importId}::uuid AND account IS NULL LIMIT ${FAILURES_PER_CHECK}::int`
  const prices = await tx.$queryRaw<Omit<ImportFailure, 'file'>[]>`
    SELECT p.line, 'monthly_amount' AS field, NULL AS account, CASE WHEN known.id IS NOT NULL
        THEN 'is another than the list price set from that day' ELSE 'is another than on an earlier line' END AS message
    FROM import_prices p LEFT JOIN products s ON s.slug = p.product
    LEFT JOIN prices known ON known.product_id = s.id AND known.account_id IS NULL AND known.currency = p.currency
      AND known.effective_from = p.effective_from
      AND (known.monthly_amount <> p.monthly_amount OR known.model <> p.model)
    WHERE p.import_id = ${importId}::uuid AND p.account = '' AND (known.id IS NOT NULL OR EXISTS (
      SELECT 1 FROM import_prices o WHERE o.import_id = p.import_id AND o.account = '' AND o.product = p.product
        AND o.currency = p.currency AND o.effective_from = p.effective_from AND o.line < p.line
        AND o.monthly_amount <> p.monthly_amount))
    ORDER BY p.line LIMIT ${FAILURES_PER_CHECK}::int`
  return [...nameless, ...rowsOf('prices.csv', prices)]
}

const CHECKS: readonly Check[] = [
  accountsKnownOnce,
  accountsAgree,
  billedInTime,
  eventsFollow,
  productsKnown,
  sitesAgree,
  sitesKnownTogether,
  monthsOpen,
  ownPricesAgree,
]

/** Everything that is wrong about a chunk, up to a thousand rows for each check. */
export async function findFailures(tx: Tx, importId: string, chunk: number): Promise<ImportFailure[]> {
  const found: ImportFailure[] = []
  for (const check of CHECKS) found.push(...(await check(tx, importId, chunk)))
  return found
}
