// Months that have ended and are not closed, account by account, with what they wait for: a missing day blocks a close
// visibly.
import { z } from 'zod'
import type { Tx } from '../../jobs/kit/ports.ts'
import { addMonths, dayOf, lastDay, monthOf } from '../../jobs/rules/period.ts'
import { zonesInUse } from '../../jobs/usage/usage.store.ts'
import { toPublicId } from '../adapters/ids.ts'

/** Enough to see what is wrong; the count tells how many there are. */
const SHOWN_MAX = 100

export const waitingMonth = z
  .object({
    account: z.string(),
    external_id: z.string().nullable(),
    month: z.string(),
    missing_days: z.int(),
    first_missing_day: z.string().nullable(),
    waits_for: z.enum(['an open action', 'a count', 'the close']).meta({
      description: 'An action accepted before the day ended that is neither done nor refused; or the next tick.',
    }),
  })
  .meta({ id: 'WaitingMonth', description: 'The earliest month of an account that has ended and is not closed.' })

interface Row {
  id: string
  externalId: string | null
  month: string
  missing: number
  firstMissing: string | null
  openAction: boolean
}

/** @returns the first hundred, by month, and how many there are */
export async function waitingMonths(
  tx: Tx,
  now: Date,
): Promise<{ data: z.infer<typeof waitingMonth>[]; total: number }> {
  const rows: Row[] = []
  let total = 0
  for (const { timezone } of await zonesInUse(tx)) {
    const ended = addMonths(monthOf(dayOf(now, timezone)), -1)
    const found = await inZone(tx, timezone, lastDay(ended))
    total += found[0]?.total ?? 0
    rows.push(...found)
  }
  rows.sort((a, b) => (a.month === b.month ? (a.id < b.id ? -1 : 1) : a.month < b.month ? -1 : 1))
  return { data: rows.slice(0, SHOWN_MAX).map(view), total }
}

async function inZone(tx: Tx, zone: string, ended: string): Promise<(Row & { total: number })[]> {
  return await tx.$queryRaw`
    WITH next AS (
      SELECT a.id, a.external_id, a.bill_from, (
        SELECT min(begun) FROM generate_series(date_trunc('month', a.bill_from::timestamp), ${ended}::timestamp,
                                               interval '1 month') AS begun
        WHERE NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id AND m.month = begun))::date AS month
      FROM accounts a WHERE a.timezone = ${zone}
    ), waiting AS (
      SELECT *, count(*) OVER ()::int AS total FROM next WHERE month IS NOT NULL
      ORDER BY month, id LIMIT ${SHOWN_MAX}::int
    )
    SELECT w.id, w.external_id AS "externalId", to_char(w.month, 'YYYY-MM') AS month, w.total, d.missing,
           to_char(d.first, 'YYYY-MM-DD') AS "firstMissing",
           EXISTS (SELECT 1 FROM actions x WHERE x.account_id = w.id AND x.ended_at IS NULL) AS "openAction"
    FROM waiting w CROSS JOIN LATERAL (
      SELECT count(*)::int AS missing, min(begun)::date AS first
      FROM generate_series(greatest(w.month, w.bill_from)::timestamp,
                           w.month + interval '1 month' - interval '1 day', interval '1 day') AS begun
      WHERE NOT EXISTS (SELECT 1 FROM counted_days c WHERE c.account_id = w.id AND c.day = begun)) AS d`
}

const view = (row: Row): z.infer<typeof waitingMonth> => ({
  account: toPublicId('account', row.id),
  external_id: row.externalId,
  month: row.month,
  missing_days: row.missing,
  first_missing_day: row.firstMissing,
  waits_for: row.missing === 0 ? 'the close' : row.openAction ? 'an open action' : 'a count',
})
