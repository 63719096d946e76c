// Writes imports and their rows: what was sent, what came of each account, and which rows could not be taken.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'
import type { AccountRow, EventRow, ImportFailure, PriceRow } from './rows.ts'

export type * from './rows.ts'

export async function createImport(
  tx: Tx,
  { id, billFrom, actor, at }: { id: string; billFrom: Day; actor: string; at: Date },
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO imports (id, bill_from, actor, created_at)
    VALUES (${id}::uuid, ${billFrom}::date, ${actor}, ${at}::timestamptz)`
}

export async function addAccountRows(tx: Tx, importId: string, rows: readonly AccountRow[]): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO import_accounts (import_id, line, account, details)
    SELECT ${importId}::uuid, line, account, details::jsonb
    FROM unnest(${rows.map((r) => r.line)}::int[], ${rows.map((r) => r.account)}::text[],
                ${rows.map((r) => JSON.stringify(r.details))}::text[]) AS given (line, account, details)
    ON CONFLICT DO NOTHING`
}

export async function addPriceRows(tx: Tx, importId: string, rows: readonly PriceRow[]): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO import_prices (import_id, line, account, product, name, family, currency, model, monthly_amount,
                               effective_from)
    SELECT ${importId}::uuid, *
    FROM unnest(${rows.map((r) => r.line)}::int[], ${rows.map((r) => r.account)}::text[],
                ${rows.map((r) => r.product)}::text[], ${rows.map((r) => r.name)}::text[],
                ${rows.map((r) => r.family)}::text[], ${rows.map((r) => r.currency)}::text[],
                ${rows.map((r) => r.model)}::text[], ${rows.map((r) => r.monthlyAmount)}::numeric[],
                ${rows.map((r) => r.effectiveFrom)}::date[])
    ON CONFLICT DO NOTHING`
}

export async function addEventRows(tx: Tx, importId: string, rows: readonly EventRow[]): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO import_events (import_id, line, at, account, license, event, product, site_url, site_external_id,
                               client)
    SELECT ${importId}::uuid, *
    FROM unnest(${rows.map((r) => r.line)}::int[], ${rows.map((r) => r.at)}::timestamptz[],
                ${rows.map((r) => r.account)}::text[], ${rows.map((r) => r.license)}::text[],
                ${rows.map((r) => r.event)}::text[], ${rows.map((r) => r.product)}::text[],
                ${rows.map((r) => r.siteUrl)}::text[], ${rows.map((r) => r.siteExternalId)}::text[],
                ${rows.map((r) => r.client)}::text[])
    ON CONFLICT DO NOTHING`
}

/** Keeps the first reason per row and field. @returns how many were new */
export async function addFailures(tx: Tx, importId: string, failures: readonly ImportFailure[]): Promise<number> {
  if (failures.length === 0) return 0
  return await tx.$executeRaw`
    INSERT INTO import_failures (import_id, file, line, field, account, message)
    SELECT ${importId}::uuid, *
    FROM unnest(${failures.map((f) => f.file)}::text[], ${failures.map((f) => f.line)}::int[],
                ${failures.map((f) => f.field)}::text[], ${failures.map((f) => f.account)}::text[],
                ${failures.map((f) => f.message)}::text[])
    ON CONFLICT DO NOTHING`
}

export interface RunningImport {
  readonly billFrom: Day
  readonly actor: string
  /** Whether its accounts have been dealt into chunks already. */
  readonly planned: boolean
}

/** An import that is being applied; null when it is not (any more). */
export async function runningImport(tx: Tx, id: string): Promise<RunningImport | null> {
  const rows = await tx.$queryRaw<RunningImport[]>`
    SELECT to_char(bill_from, 'YYYY-MM-DD') AS "billFrom", actor, chunks_left IS NOT NULL AS planned FROM imports
    WHERE id = ${id}::uuid AND status = 'applying'`
  return rows[0] ?? null
}

/** A chunk is applied in one transaction of a few seconds; an account with more events is a chunk of its own. */
const EVENTS_PER_CHUNK = 50_000
/** What an account costs besides its events. */
const ACCOUNT_WEIGHT = 100

/**
 * Names every account the import is about and deals them into chunks, in the order of their names. An account with a
 * row that could not be read is refused at once.
 * @returns the chunks there is something to do in
 */
export async function planTargets(tx: Tx, importId: string): Promise<number[]> {
  await tx.$executeRaw`
    INSERT INTO import_targets (import_id, account, chunk, events, outcome)
    SELECT ${importId}::uuid, account,
           (sum(events + ${ACCOUNT_WEIGHT}::int) OVER (ORDER BY account) / ${EVENTS_PER_CHUNK}::int)::int, events,
           CASE WHEN EXISTS (SELECT 1 FROM import_failures f
                             WHERE f.import_id = ${importId}::uuid AND f.account = named.account) THEN 'refused' END
    FROM (SELECT account, sum(events)::int AS events
          FROM (SELECT account, count(*) AS events FROM import_events WHERE import_id = ${importId}::uuid
                GROUP BY account
                UNION ALL SELECT account, 0 FROM import_accounts WHERE import_id = ${importId}::uuid
                UNION ALL SELECT account, 0 FROM import_prices WHERE import_id = ${importId}::uuid AND account <> ''
                UNION ALL SELECT account, 0 FROM import_failures WHERE import_id = ${importId}::uuid) AS mentioned
          GROUP BY account) AS named`
  await tx.$executeRaw`SELECT analyze_imports()`
  const rows = await tx.$queryRaw<{ chunk: number }[]>`
    SELECT DISTINCT chunk FROM import_targets WHERE import_id = ${importId}::uuid AND outcome IS NULL ORDER BY chunk`
  await tx.$executeRaw`UPDATE imports SET chunks_left = ${rows.length} WHERE id = ${importId}::uuid`
  return rows.map(({ chunk }) => chunk)
}

export interface Target {
  readonly account: string
  /** Null while the account does not exist. */
  readonly accountId: string | null
}

/** The accounts of a chunk that are still to be done, those that exist already found and locked. */
export async function lockTargets(tx: Tx, importId: string, chunk: number): Promise<Target[]> {
  await tx.$queryRaw`
    SELECT 1 FROM accounts WHERE external_id IN (
      SELECT account FROM import_targets WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL)
    ORDER BY id FOR UPDATE`
  return await tx.$queryRaw`
    UPDATE import_targets t
    SET account_id = (SELECT id FROM accounts a WHERE a.external_id = t.account)
    WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL
    RETURNING t.account, t.account_id AS "accountId"`
}

/** Tells targets up to when their months are invoiced. */
export async function settleTargets(
  tx: Tx,
  importId: string,
  settled: readonly { accountId: string; until: Date }[],
): Promise<void> {
  await tx.$executeRaw`
    UPDATE import_targets t SET settled_until = s.until
    FROM unnest(${settled.map((s) => s.accountId)}::uuid[], ${settled.map((s) => s.until.toISOString())}::timestamptz[])
      AS s (id, until)
    WHERE t.import_id = ${importId}::uuid AND t.account_id = s.id`
}

/**
 * Drops the events of a chunk that say what is known already, so that a history sent twice changes nothing. An
 * assignment is known, too, where the license stood on that site since before and nothing here takes it off in between.
 */
export async function dropKnownEvents(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM import_events e USING import_targets t, licenses l, products p
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
      AND e.import_id = t.import_id AND e.account = t.account
      AND l.account_id = t.account_id AND l.external_ref = e.license AND p.id = l.product_id
      AND (e.product IS NULL OR e.product = p.slug)
      AND CASE e.event
        WHEN 'issue' THEN l.issued_at = e.at
        WHEN 'revoke' THEN l.revoked_at = e.at
        WHEN 'unassign' THEN EXISTS (
          SELECT 1 FROM past_assignments s WHERE s.account_id = l.account_id AND s.license_id = l.id
            AND s.unassigned_at = e.at)
        ELSE coalesce(e.site_url, e.site_external_id) IS NOT NULL AND EXISTS (
          SELECT 1 FROM (SELECT l.site_id, l.assigned_at, NULL::timestamptz AS until UNION ALL
                         SELECT s.site_id, s.assigned_at, s.unassigned_at FROM past_assignments s
                         WHERE s.account_id = l.account_id AND s.license_id = l.id) AS stands
          JOIN sites w ON w.account_id = t.account_id AND w.id = stands.site_id
          WHERE (stands.assigned_at = e.at
                 OR stands.assigned_at < e.at AND (stands.until IS NULL OR e.at < stands.until) AND NOT EXISTS (
                   SELECT 1 FROM import_events o WHERE o.import_id = e.import_id AND o.account = e.account
                     AND o.license = e.license AND o.event = 'unassign' AND o.at >= stands.assigned_at
                     AND (o.at, o.line) < (e.at, e.line)))
            AND (e.site_url IS NULL OR w.url = e.site_url)
            AND (e.site_external_id IS NULL OR w.external_id = e.site_external_id)) END`
}

/** Drops assignments to where the license stands already: they succeed unchanged, as through the API. */
export async function dropIdleAssignments(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM import_events WHERE ctid = ANY(ARRAY(
      SELECT place FROM (
        SELECT e.ctid AS place, e.event, lag(e.event) OVER w AS before,
               e.site_url = lag(e.site_url) OVER w OR e.site_external_id = lag(e.site_external_id) OVER w AS same
        FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
        WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
        WINDOW w AS (PARTITION BY e.account, e.license ORDER BY e.at, e.line)) AS seen
      WHERE event = 'assign' AND before IN ('assign', 'issue') AND same))`
}

/** Refuses the accounts of a chunk that have a failing row. @returns how many are left to be applied */
export async function refuseFailing(tx: Tx, importId: string, chunk: number): Promise<number> {
  await tx.$executeRaw`
    UPDATE import_targets t SET outcome = 'refused'
    WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL
      AND EXISTS (SELECT 1 FROM import_failures f WHERE f.import_id = t.import_id AND f.account = t.account)`
  const rows = await tx.$queryRaw<{ left: number }[]>`
    SELECT count(*)::int AS left FROM import_targets
    WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL`
  return rows[0]!.left
}

/** Notes which accounts were created for their targets. */
export async function nameTargets(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    UPDATE import_targets t SET account_id = a.id FROM accounts a
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND t.account_id IS NULL
      AND a.external_id = t.account`
}

/**
 * Ends a chunk: what came of its accounts is written down and their rows are cleared away.
 * @param changed accounts that are not as they were before
 * @returns whether it was the import's last
 */
export async function endChunk(tx: Tx, importId: string, chunk: number, changed: readonly string[]): Promise<boolean> {
  await tx.$executeRaw`
    DELETE FROM import_events e USING import_targets t
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk}
      AND e.import_id = t.import_id AND e.account = t.account`
  await tx.$executeRaw`
    UPDATE import_targets SET outcome = CASE WHEN account_id = ANY(${changed}::uuid[]) THEN 'done' ELSE 'unchanged' END
    WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL`
  // The import's row is held from here on: of two chunks that end at once, the later one sees both.
  await tx.$executeRaw`
    UPDATE imports SET chunks_left = greatest(0, chunks_left - 1) WHERE id = ${importId}::uuid`
  const open = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM import_targets WHERE import_id = ${importId}::uuid AND outcome IS NULL LIMIT 1`
  return open.length === 0
}

/** Refuses what is left of a chunk for a reason that is not in its rows, told at the first row of each account. */
export async function failChunk(tx: Tx, importId: string, chunk: number, message: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO import_failures (import_id, file, line, field, account, message)
    SELECT t.import_id, told.file, told.line, 'account', t.account, ${message}
    FROM import_targets t CROSS JOIN LATERAL (
      SELECT 'accounts.csv' AS file, line FROM import_accounts a
      WHERE a.import_id = t.import_id AND a.account = t.account
      UNION ALL SELECT 'events.csv', line FROM import_events e WHERE e.import_id = t.import_id AND e.account = t.account
      UNION ALL SELECT 'prices.csv', line FROM import_prices p WHERE p.import_id = t.import_id AND p.account = t.account
      ORDER BY file, line LIMIT 1) AS told
    WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL ON CONFLICT DO NOTHING`
  await tx.$executeRaw`
    UPDATE import_targets SET outcome = 'refused'
    WHERE import_id = ${importId}::uuid AND chunk = ${chunk} AND outcome IS NULL`
}

/** Ends an import and clears its rows away; what came of it stays. */
export async function endImport(tx: Tx, id: string, status: 'done' | 'refused', at: Date): Promise<void> {
  await tx.$executeRaw`
    UPDATE imports SET status = ${status}, ended_at = ${at}::timestamptz
    WHERE id = ${id}::uuid AND status = 'applying'`
  await tx.$executeRaw`DELETE FROM import_events WHERE import_id = ${id}::uuid`
  await tx.$executeRaw`DELETE FROM import_prices WHERE import_id = ${id}::uuid`
  await tx.$executeRaw`DELETE FROM import_accounts WHERE import_id = ${id}::uuid`
}

/** Refuses imports that were begun long ago and never applied, and clears the rows of all that have ended. */
export async function clearAbandoned(tx: Tx, before: Date, at: Date): Promise<void> {
  await tx.$executeRaw`
    UPDATE imports SET status = 'refused', ended_at = ${at}::timestamptz
    WHERE status = 'receiving' AND created_at < ${before}::timestamptz`
  await tx.$executeRaw`
    DELETE FROM import_events e USING imports i WHERE i.id = e.import_id AND i.ended_at IS NOT NULL`
  await tx.$executeRaw`
    DELETE FROM import_prices p USING imports i WHERE i.id = p.import_id AND i.ended_at IS NOT NULL`
  await tx.$executeRaw`
    DELETE FROM import_accounts a USING imports i WHERE i.id = a.import_id AND i.ended_at IS NOT NULL`
}
