import { z } from 'zod'
import { estimateMonth, type EstimateRow } from '../../../jobs/invoices/estimate.ts'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { addMonths, dayOf, daysOfMonth, firstDay, lastDay, lastEndedDay, monthOf } from '../../../jobs/rules/period.ts'
import { readCalendar, type ProductDay } from '../../../jobs/usage/calendar.ts'
import { evidencePages, type EvidenceRow } from '../../../jobs/usage/evidence.ts'
import { toPublicId } from '../../adapters/ids.ts'
import type { Call } from '../context.ts'
import { csvLine } from '../csv.ts'
import { moneyView } from '../money-view.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { money, month } from '../schemas.ts'

const words = { audience: 'account', action: 'read', tag: 'Usage' } as const
const monthQuery = z.strictObject({
  month: month.optional().meta({ description: "YYYY-MM; left out, the present month of the account's own calendar." }),
})
type MonthCall = Call<unknown, z.infer<typeof monthQuery>>

interface Asked {
  readonly month: string
  readonly currency: string
  readonly zone: string
  readonly billFrom: string
  readonly at: Date
}

/** The month a call is about, at most so many after the present one of the account's own calendar. */
async function askedMonth(tx: Tx, call: MonthCall, ahead: number): Promise<Asked> {
  const at = await call.services.clock.now()
  const [account] = await tx.$queryRaw<Omit<Asked, 'month' | 'at'>[]>`
    SELECT currency, timezone AS zone, to_char(bill_from, 'YYYY-MM-DD') AS "billFrom" FROM accounts
    WHERE id = ${call.accountId}::uuid`
  if (!account) throw notFound('account')
  const present = monthOf(dayOf(at, account.zone))
  const asked = call.query.month ?? present
  const latest = addMonths(present, ahead)
  if (asked > latest) {
    const message = `must be ${latest} or earlier`
    throw new Problem(400, 'invalid_request', `The query is not valid: month ${message}`, [{ path: 'month', message }])
  }
  return { ...account, month: asked, at }
}

const totals = z.object({
  product: z.string().meta({ description: 'The slug.' }),
  days: z.int().meta({ description: 'License-days: of licenses active at some time of the day.' }),
  paused_days: z.int().meta({ description: "License-days paused from the day's beginning to its end." }),
  peak: z.int().meta({ description: 'The most licenses there were at once.' }),
})
const productDay = totals.extend({
  assigned: z.int().meta({ description: "At the day's end." }),
  unassigned: z.int().meta({ description: "At the day's end." }),
})
const usageShape = z
  .object({
    object: z.literal('usage'),
    month: z.string(),
    days: z.array(z.object({ day: z.string(), counted: z.boolean(), products: z.array(productDay) })),
    totals: z.array(totals),
  })
  .meta({ id: 'Usage' })

const productDayView = (row: ProductDay) => ({
  product: row.product,
  days: row.days,
  paused_days: row.pausedDays,
  peak: row.peak,
  assigned: row.assigned,
  unassigned: row.unassigned,
})

function totalsOf(rows: readonly ProductDay[]) {
  const products = [...Map.groupBy(rows, (row) => row.product)].sort(([a], [b]) => (a < b ? -1 : 1))
  return products.map(([product, days]) => ({
    product,
    days: days.reduce((sum, row) => sum + row.days, 0),
    paused_days: days.reduce((sum, row) => sum + row.pausedDays, 0),
    peak: Math.max(...days.map((row) => row.peak)),
  }))
}

const calendar = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/usage',
  summary: "A month's usage, day by day",
  description:
    'Every day of the month that has ended and is billed; today and later days are left out. A day that has ended ' +
    'but is not counted yet says so. Products come in the order of their slugs; totals are of the days counted.',
  query: monthQuery,
  responses: { 200: { description: 'The calendar.', schema: usageShape } },
  handle: (call) =>
    call.services.db.withAccount(call.accountId, async (tx) => {
      const { month, zone, billFrom, at } = await askedMonth(tx, call, 0)
      const ended = lastEndedDay(at, zone)
      const counted = await readCalendar(tx, call.accountId, firstDay(month), lastDay(month))
      const days = daysOfMonth(month, billFrom).filter((day) => day <= ended)
      const body = {
        object: 'usage',
        month,
        days: days.map((day) => ({
          day,
          counted: counted.has(day),
          products: (counted.get(day) ?? []).map(productDayView),
        })),
        totals: totalsOf([...counted.values()].flat()),
      }
      return { status: 200, body }
    }),
})

const COLUMNS = 'license external_reference key_hint product site_url site_external_id client days'.split(' ')

const evidenceLine = (row: EvidenceRow): string =>
  csvLine([
    toPublicId('license', row.licenseId),
    row.reference,
    row.hint,
    row.slug,
    row.url,
    row.externalId,
    row.client,
    String(row.days),
  ])

async function* evidenceFile(pages: AsyncIterable<readonly EvidenceRow[]>): AsyncGenerator<string> {
  let text = csvLine(COLUMNS)
  for await (const page of pages) {
    yield text + page.map(evidenceLine).join('')
    text = ''
  }
  if (text !== '') yield text
}

const evidence = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/usage/licenses.csv',
  summary: "The evidence of a month's usage, license by license",
  description:
    'One row per license and site (a site left empty: on none), with the days billed there so far; a day belongs to ' +
    'the site the license stood on last that day. Days paused whole are left out, unless the price bills them: per ' +
    "product the days add up to those of the invoice. UTF-8, RFC 4180; what begins like a formula has a ' in front.",
  query: monthQuery,
  responses: { 200: { description: 'The evidence.', type: 'text/csv' } },
  async handle(call) {
    const { services, accountId } = call
    const { month } = await services.db.withAccount(accountId, (tx) => askedMonth(tx, call, 0))
    const pages = evidencePages(services.db, accountId, firstDay(month), lastDay(month))
    const file = { bytes: evidenceFile(pages), type: 'text/csv; charset=utf-8', name: `usage-${month}.csv` }
    return { status: 200, file }
  },
})

const estimateCounts = z.object({
  issued: z.int(),
  assigned: z.int(),
  unassigned: z.int(),
  paused: z.int(),
})
const estimateLine = z.object({
  quantity: z.int(),
  unit: z.string(),
  unit_amount: z.string().meta({ description: 'The exact rate in major units, to six places.' }),
  amount: money,
  starts_on: z.string(),
  ends_on: z.string(),
})
const estimateRow = z.object({
  product: z.string().meta({ description: 'The slug.' }),
  name: z.string(),
  assigned: z.int().meta({ description: 'Now.' }),
  unassigned: z.int().meta({ description: 'Now.' }),
  paused: z.int().meta({ description: 'Now.' }),
  days: z.int(),
  unit: z.literal('days'),
  unit_amount: z.string().nullable().meta({ description: 'The daily rate; null where there is not just one line.' }),
  subtotal: money.nullable().meta({ description: 'Null where something has no price.' }),
  lines: z.array(estimateLine).meta({ description: 'One per price that holds within the month.' }),
  error: z
    .object({ code: z.enum(['no_price', 'model_mismatch']), day: z.string() })
    .nullable()
    .meta({ description: 'From which day on there is no price for it, when there is none.' }),
})
const estimateShape = z
  .object({
    object: z.literal('estimate'),
    month: z.string(),
    currency: z.string(),
    through_day: z
      .string()
      .nullable()
      .meta({ description: 'The last day of the month that has ended; what comes after it is foreseen.' }),
    counts: estimateCounts.meta({ description: 'As of now; issued = assigned + unassigned + paused.' }),
    rows: z.array(estimateRow),
    total: money.nullable().meta({ description: 'Null where a row has no price.' }),
  })
  .meta({ id: 'Estimate' })

function estimateRowView({ lines, error, ...row }: EstimateRow, currency: string) {
  const subtotal = lines.reduce((sum, line) => sum + line.amount, 0n)
  return {
    ...row,
    days: Number(row.days),
    unit: 'days',
    unit_amount: lines.length === 1 ? lines[0]!.unitRate : null,
    subtotal: error ? null : moneyView(subtotal, currency),
    lines: lines.map((line) => ({
      quantity: Number(line.quantity),
      unit: line.unit,
      unit_amount: line.unitRate,
      amount: moneyView(line.amount, currency),
      starts_on: line.startsOn,
      ends_on: line.endsOn,
    })),
    error,
  }
}

/** Prices farther ahead are seldom known. */
const MONTHS_AHEAD = 12

const estimate = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/billing/estimate',
  summary: "What a month's usage will cost if nothing changes from now on",
  description:
    "Active licenses stay active to the month's end and paused ones paused; changes of price that are known count. " +
    'At most twelve months ahead. Usage without a price has its error in its row, and no total.',
  query: monthQuery,
  responses: { 200: { description: 'The estimate.', schema: estimateShape } },
  handle: (call) =>
    call.services.db.withAccount(call.accountId, async (tx) => {
      const { month, currency, zone, billFrom, at } = await askedMonth(tx, call, MONTHS_AHEAD)
      const found = await estimateMonth(tx, { accountId: call.accountId, month, currency, zone, billFrom, at })
      const { assigned, unassigned, paused } = found.counts
      const ended = lastEndedDay(at, zone)
      const through = ended < lastDay(month) ? ended : lastDay(month)
      const body = {
        object: 'estimate',
        month,
        currency,
        through_day: through < firstDay(month) ? null : through,
        counts: { issued: assigned + unassigned + paused, assigned, unassigned, paused },
        rows: found.rows.map((row) => estimateRowView(row, currency)),
        total: found.total === null ? null : moneyView(found.total, currency),
      }
      return { status: 200, body }
    }),
})

export const usageRoutes = [calendar, evidence, estimate]
