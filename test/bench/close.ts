// A month of all accounts, closed by the real jobs and by the barest statements that read and write as many rows.
import type pg from 'pg'
import { addDays, startOfDay } from '../../jobs/rules/period.ts'
import { fillDays } from './generate.ts'
import type { Site } from './lab.ts'
import { alternate, say, timed } from './measure.ts'
import type { Worked } from './program.ts'
import { AFTER_MONTH, COUNTED, FIRST, LAST, ZONES } from './shape.ts'
import type { Measured } from './usage.ts'
import type { BenchWorker } from './worker.ts'

export const CLOSE = { tick: 'invoices.close-all-months', job: 'invoices.close-month', at: AFTER_MONTH }

const MADE = ['invoices', 'invoice_lines', 'invoice_claims', 'closed_months'] as const

const SUM = `
  SELECT count(*) FROM (SELECT account_id, product_id, sum(days), sum(paused_days) FROM usage_days
    WHERE day BETWEEN '${FIRST}' AND '${LAST}' GROUP BY account_id, product_id) AS sums`

/** From the first and the last day of each license, by the starts of the days. */
const RECOUNT = `
  SELECT count(*) FROM (
    SELECT l.account_id, l.product_id, sum(coalesce(width_bucket(l.revoked_at, edges), cardinality(edges) - 1)
             - greatest(1, width_bucket(l.issued_at, edges)) + 1) AS days
    FROM (VALUES ${ZONES.map((_, index) => `($${index * 2 + 1}, $${index * 2 + 2}::timestamptz[])`).join(', ')})
      AS s (zone, edges)
    JOIN accounts a ON a.timezone = s.zone
    JOIN licenses l ON l.account_id = a.id AND l.issued_at < edges[cardinality(edges)]
      AND (l.revoked_at IS NULL OR l.revoked_at >= edges[1])
    GROUP BY l.account_id, l.product_id) AS counts`

function edgesOf(zone: string): string[] {
  const edges: string[] = []
  for (let day = FIRST; day <= addDays(LAST, 1); day = addDays(day, 1)) edges.push(startOfDay(day, zone).toISOString())
  return edges
}

/** Counts the rest of the month. */
export const prepareClose = async ({ admin }: Site, counted: boolean): Promise<void> =>
  fillDays(admin, counted ? addDays(COUNTED, 1) : FIRST, LAST)

async function unclose(admin: pg.Client): Promise<void> {
  await admin.query(`TRUNCATE ${MADE.join(', ')}, invoice_states, invoice_mirrors, payments, documents, staged_jobs,
    audit_entries`)
  await admin.query('VACUUM accounts')
  await admin.query('CHECKPOINT')
}

/** What ours made, kept so that the floor writes the very same rows. */
async function keepMade(admin: pg.Client): Promise<void> {
  await admin.query('CREATE SCHEMA IF NOT EXISTS kept; GRANT USAGE ON SCHEMA kept TO perdiem_worker')
  for (const table of MADE) {
    await admin.query(`CREATE TABLE IF NOT EXISTS kept.${table} AS TABLE ${table}`)
    await admin.query(`GRANT SELECT ON kept.${table} TO perdiem_worker`)
  }
  await admin.query(`ANALYZE ${MADE.map((table) => `kept.${table}`).join(', ')}`)
}

async function floor(client: pg.Client): Promise<void> {
  await client.query('BEGIN')
  await client.query(SUM)
  await client.query(
    RECOUNT,
    ZONES.flatMap((zone) => [zone, edgesOf(zone)]),
  )
  for (const table of MADE) await client.query(`INSERT INTO ${table} SELECT * FROM kept.${table}`)
  await client.query('COMMIT')
}

/** Nobody is left out, and the second count agrees for everybody. */
async function prove({ admin, shape }: Site): Promise<void> {
  const { rows } = await admin.query<Record<string, string>>(`
    SELECT count(*) AS drafts, count(i.parked_reason) AS parked, (SELECT count(*) FROM closed_months) AS closed,
           (SELECT count(DISTINCT account_id) FROM usage_days WHERE days > 0) AS expected,
           (SELECT sum(days) FROM usage_days) AS days, (SELECT sum(quantity) FROM invoice_lines) AS billed
    FROM invoices i`)
  const { drafts, parked, closed, expected, days, billed } = rows[0]!
  const told = `${drafts} drafts of ${expected}, ${parked} parked, ${billed} days billed of ${days}`
  const good = drafts === expected && parked === '0' && billed === days && Number(closed) === shape.accounts
  if (!good) throw new Error(`the month is not closed as it should be: ${told}, ${closed} months closed`)
  say(told)
}

export async function measureClose(site: Site, worker: BenchWorker, times: number): Promise<Measured> {
  const { admin, worker: client, shape } = site
  await unclose(admin)
  let last: Worked = await worker.work(CLOSE)
  await prove(site)
  await keepMade(admin)
  const paired = await alternate({
    what: `a month of ${shape.licenses.toLocaleString('en')} licenses`,
    times,
    reset: () => unclose(admin),
    floor: () => timed(() => floor(client)),
    ours: async () => (last = await worker.work(CLOSE)).ms,
  })
  return { paired, last }
}
