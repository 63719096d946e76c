// One day of all accounts, counted by the real jobs and by the barest statement that writes as many rows.
import type pg from 'pg'
import { addDays } from '../../jobs/rules/period.ts'
import { COUNTED_ROWS, fillDays, wrongRows } from './generate.ts'
import type { Site } from './lab.ts'
import { alternate, timed, type Paired } from './measure.ts'
import type { Worked } from './program.ts'
import { AFTER_COUNTED, COUNTED, FIRST, spansOf } from './shape.ts'
import type { BenchWorker } from './worker.ts'

export const COUNT = { tick: 'usage.count-all-days', job: 'usage.count-day', at: AFTER_COUNTED }

/** The licenses alone: without holds, earlier assignments or the height of the day. */
const FLOOR = `
  INSERT INTO usage_days (account_id, day, product_id, days, paused_days, peak, assigned, unassigned)
  SELECT l.account_id, $4, l.product_id, count(*), 0, count(*), count(l.site_id), count(*) - count(l.site_id)
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS s (zone, starts_at, ends_at)
  JOIN accounts a ON a.timezone = s.zone
  JOIN licenses l ON l.account_id = a.id
  WHERE l.issued_at < s.ends_at AND (l.revoked_at IS NULL OR l.revoked_at >= s.starts_at)
  GROUP BY l.account_id, l.product_id`

async function uncount(admin: pg.Client): Promise<void> {
  await admin.query('DELETE FROM usage_days WHERE day = $1', [COUNTED])
  await admin.query('DELETE FROM counted_days WHERE day = $1', [COUNTED])
  await admin.query('TRUNCATE staged_jobs')
  await admin.query('VACUUM usage_days, counted_days, accounts')
  await admin.query('CHECKPOINT')
}

/** Counts every day before the one that is measured. */
export const prepareUsage = ({ admin }: Site): Promise<void> => fillDays(admin, FIRST, addDays(COUNTED, -1))

export interface Measured {
  readonly paired: Paired
  readonly last: Worked
}

export async function measureUsage(site: Site, worker: BenchWorker, times: number): Promise<Measured> {
  const { admin, worker: client, shape } = site
  let last: Worked | undefined
  const values = [...spansOf(COUNTED), COUNTED]
  const paired = await alternate({
    what: `a day of ${shape.licenses.toLocaleString('en')} licenses`,
    times,
    reset: async (side) => {
      await uncount(admin)
      if (side === 'floor') await admin.query(COUNTED_ROWS, values)
    },
    floor: () => timed(() => client.query(FLOOR, values)),
    ours: async () => (last = await worker.work(COUNT)).ms,
  })
  const wrong = await wrongRows(admin, COUNTED)
  if (wrong > 0) throw new Error(`${wrong} rows of usage are not as an independent count has them`)
  return { paired, last: last! }
}
