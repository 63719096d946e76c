// What a month's usage invoice would be if nothing changed from now on: the second count of the month, with boundaries
// that may lie ahead, priced by the same `rate` as the draft. Only reads.
import type { Tx } from '../kit/ports.ts'
import { firstDay, lastDay, type Day, type Month } from '../rules/period.ts'
import { priceBreaks, rate, type Line, type Price, type UsageSpan } from '../rules/rating.ts'
import { recountDays } from '../usage/recount.ts'
import { pricesUntil } from './close.store.ts'

export interface EstimateOrder {
  readonly accountId: string
  readonly currency: string
  readonly zone: string
  readonly billFrom: Day
  readonly month: Month
  /** Now: what is open or paused then is taken to stay so. */
  readonly at: Date
}

/** Licenses as they stand: one that is paused is neither assigned nor unassigned. */
export interface Counts {
  readonly assigned: number
  readonly unassigned: number
  readonly paused: number
}

export interface EstimateRow extends Counts {
  /** The product's slug. */
  readonly product: string
  readonly name: string
  /** As the invoice will have them; without a price, those that are not paused. */
  readonly days: bigint
  readonly lines: readonly Line[]
  /** Why nothing is priced: the month would be parked. */
  readonly error: { readonly code: 'no_price' | 'model_mismatch'; readonly day: Day } | null
}

export interface Estimate {
  readonly counts: Counts
  /** One per product the month sees, in the order of their slugs. */
  readonly rows: readonly EstimateRow[]
  /** Minor units; null when a row has no price. */
  readonly total: bigint | null
}

export async function estimateMonth(tx: Tx, order: EstimateOrder): Promise<Estimate> {
  const counts = await countNow(tx, order.accountId, order.at)
  const { spans, prices } = await usageToCome(tx, order)
  const [first, last] = [firstDay(order.month), lastDay(order.month)]
  const period = { first: order.billFrom > first ? order.billFrom : first, last }
  const byProduct = Map.groupBy(spans, (span) => span.productId)
  const names = await namesOf(tx, [...byProduct.keys()])
  // Lines are made and rounded product by product: priced one by one, one without a price does not hide the others.
  const rows = names.map(({ id, slug, name }): EstimateRow => {
    const usage = byProduct.get(id)!
    return { product: slug, name, ...(counts.get(id) ?? NONE), ...priced(usage, rate(usage, prices, period)) }
  })
  const lines = rows.flatMap((row) => row.lines)
  return {
    counts: [...counts.values()].reduce(plus, NONE),
    rows,
    total: rows.some((row) => row.error) ? null : lines.reduce((sum, line) => sum + line.amount, 0n),
  }
}

function priced(
  usage: readonly UsageSpan[],
  rated: ReturnType<typeof rate>,
): Pick<EstimateRow, 'days' | 'lines' | 'error'> {
  if (!rated.ok) {
    const days = usage.reduce((sum, span) => sum + span.days, 0n)
    return { days, lines: [], error: { code: rated.reason, day: rated.day } }
  }
  return { days: rated.lines.reduce((sum, line) => sum + line.quantity, 0n), lines: rated.lines, error: null }
}

/** The month's usage between its price breaks, changes of price that are known included. */
async function usageToCome(tx: Tx, order: EstimateOrder): Promise<{ spans: UsageSpan[]; prices: Price[] }> {
  const { accountId, currency, zone, billFrom, month } = order
  const [first, last] = [firstDay(month), lastDay(month)]
  if (last < billFrom) return { spans: [], prices: [] }
  const prices = (await pricesUntil(tx, [accountId], last)).filter((price) => price.currency === currency)
  const breaks = priceBreaks(prices, first, last)
  const usage = await recountDays(tx, [accountId], { zone, first, last, breaks })
  return { spans: usage.get(accountId) ?? [], prices }
}

const NONE: Counts = { assigned: 0, unassigned: 0, paused: 0 }
const plus = (a: Counts, b: Counts): Counts => ({
  assigned: a.assigned + b.assigned,
  unassigned: a.unassigned + b.unassigned,
  paused: a.paused + b.paused,
})

async function countNow(tx: Tx, accountId: string, at: Date): Promise<Map<string, Counts>> {
  const rows = await tx.$queryRaw<(Counts & { productId: string })[]>`
    WITH held AS (
      SELECT DISTINCT m.license_id FROM holds h JOIN hold_members m ON m.account_id = h.account_id AND m.hold_id = h.id
      WHERE h.account_id = ${accountId}::uuid AND h.since <= ${at}::timestamptz
        AND (h.until IS NULL OR h.until > ${at}::timestamptz)
    )
    SELECT l.product_id AS "productId", count(h.license_id)::int AS paused,
           count(*) FILTER (WHERE h.license_id IS NULL AND l.site_id IS NOT NULL)::int AS assigned,
           count(*) FILTER (WHERE h.license_id IS NULL AND l.site_id IS NULL)::int AS unassigned
    FROM licenses l LEFT JOIN held h ON h.license_id = l.id
    WHERE l.account_id = ${accountId}::uuid AND l.revoked_at IS NULL
    GROUP BY l.product_id`
  return new Map(rows.map(({ productId, ...counts }) => [productId, counts]))
}

async function namesOf(tx: Tx, ids: readonly string[]): Promise<{ id: string; slug: string; name: string }[]> {
  return await tx.$queryRaw`
    SELECT id, slug, name FROM products WHERE id = ANY(${ids}::uuid[]) ORDER BY slug COLLATE "C"`
}
