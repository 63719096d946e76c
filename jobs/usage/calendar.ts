// The calendar of a month as it has been counted. Only reads.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

export interface ProductDay {
  readonly product: string
  readonly days: number
  readonly pausedDays: number
  readonly peak: number
  readonly assigned: number
  readonly unassigned: number
}

/** The days of a period that have been counted, each with its products in the order of their slugs. */
export async function readCalendar(tx: Tx, accountId: string, from: Day, to: Day): Promise<Map<Day, ProductDay[]>> {
  const rows = await tx.$queryRaw<({ day: Day } & { [K in keyof ProductDay]: ProductDay[K] | null })[]>`
    SELECT to_char(d.day, 'YYYY-MM-DD') AS day, p.slug AS product, u.days, u.paused_days AS "pausedDays", u.peak,
           u.assigned, u.unassigned
    FROM counted_days d LEFT JOIN usage_days u ON u.account_id = d.account_id AND u.day = d.day
    LEFT JOIN products p ON p.id = u.product_id
    WHERE d.account_id = ${accountId}::uuid AND d.day BETWEEN ${from}::date AND ${to}::date
    ORDER BY d.day, p.slug COLLATE "C"`
  const days = new Map<Day, ProductDay[]>()
  for (const { day, ...row } of rows) {
    const known = days.get(day) ?? []
    days.set(day, known)
    if (row.product !== null) known.push(row as ProductDay)
  }
  return days
}
