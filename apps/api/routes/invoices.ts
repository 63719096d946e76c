import { z } from 'zod'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { dayOf } from '../../../jobs/rules/period.ts'
import { findDocument } from '../../../jobs/documents/documents.store.ts'
import { fromPublicId, toPublicId } from '../../adapters/ids.ts'
import type { Call } from '../context.ts'
import { instantView, moneyView } from '../money-view.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { idParam, listOf, money, pageQuery, cursorInstant } from '../schemas.ts'

const line = z.object({
  description: z.string(),
  product: z.string().nullable(),
  quantity: z.int(),
  unit: z.string(),
  unit_amount: z.string().meta({ description: 'The exact rate in major units, to six places.' }),
  amount: money,
  starts_on: z.string(),
  ends_on: z.string(),
})
const invoiceShape = z
  .object({
    id: z.string(),
    object: z.literal('invoice'),
    number: z.string().nullable(),
    kind: z.string(),
    status: z.enum(['draft', 'open', 'paid', 'void', 'uncollectible']),
    past_due: z.boolean(),
    period: z.string().meta({ description: 'The month, YYYY-MM.' }),
    issued_on: z.string().nullable(),
    due_on: z.string().nullable(),
    subtotal: money,
    tax: money,
    total: money,
    balance: money,
    collection: z.string().nullable(),
    parked: z.string().nullable().meta({ description: 'Why a draft waits for a person, when it does.' }),
    sent: z.object({ at: z.string().nullable(), unsent: z.string().nullable() }),
    paid_at: z.string().nullable(),
    pay_url: z.string().nullable(),
    pdf: z.boolean(),
    lines: z.array(line),
  })
  .meta({ id: 'Invoice' })

interface Row {
  id: string
  number: string | null
  kind: string
  period: string
  currency: string
  subtotal: bigint
  tax: bigint
  total: bigint
  issuedOn: string | null
  dueOn: string | null
  collection: string | null
  parked: string | null
  draftedAt: Date
  status: string | null
  paid: bigint | null
  credited: bigint | null
  paidAt: Date | null
  unsent: string | null
  payUrl: string | null
  pdf: boolean
  sentAt: Date | null
}
interface LineRow {
  invoiceId: string
  description: string
  product: string | null
  quantity: bigint
  unit: string
  unitRate: string
  amount: bigint
  startsOn: string
  endsOn: string
}

interface Wanted {
  readonly accountId: string
  readonly id: string | null
  readonly status: string | null
  readonly after: readonly [string, string] | null
  readonly limit: number
}

async function readRows(tx: Tx, wanted: Wanted): Promise<Row[]> {
  return await tx.$queryRaw`
    SELECT i.id, i.number, i.kind, to_char(i.period_start, 'YYYY-MM') AS period, i.currency, i.subtotal, i.tax, i.total,
           to_char(i.issued_on, 'YYYY-MM-DD') AS "issuedOn", to_char(i.due_on, 'YYYY-MM-DD') AS "dueOn", i.collection,
           i.parked_reason AS parked, i.drafted_at AS "draftedAt", s.status, s.paid, s.credited,
           s.paid_at AS "paidAt", s.unsent,
           m.hosted_url AS "payUrl",
           EXISTS (SELECT 1 FROM documents d WHERE d.account_id = i.account_id AND d.invoice_id = i.id) AS pdf,
           (SELECT max(x.sent_at) FROM messages x WHERE x.account_id = i.account_id
              AND x.reason IN ('invoice.' || i.id || '.invoice', 'invoice.' || i.id || '.paid_copy')) AS "sentAt"
    FROM invoices i LEFT JOIN invoice_states s ON s.invoice_id = i.id LEFT JOIN invoice_mirrors m ON m.invoice_id = i.id
    WHERE i.account_id = ${wanted.accountId}::uuid
      AND (${wanted.id}::uuid IS NULL OR i.id = ${wanted.id}::uuid)
      AND (${wanted.status}::text IS NULL OR coalesce(s.status, 'draft') = ${wanted.status})
      AND (${wanted.after?.[0] ?? null}::timestamptz IS NULL
           OR (i.drafted_at, i.id) < (${wanted.after?.[0] ?? null}::timestamptz, ${wanted.after?.[1] ?? null}::uuid))
    ORDER BY i.drafted_at DESC, i.id DESC LIMIT ${wanted.limit}`
}

async function readLines(tx: Tx, accountId: string, ids: readonly string[]): Promise<Map<string, LineRow[]>> {
  const rows = await tx.$queryRaw<LineRow[]>`
    SELECT l.invoice_id AS "invoiceId", l.description, p.slug AS product, l.quantity, l.unit, l.unit_rate AS "unitRate",
           l.amount, to_char(l.starts_on, 'YYYY-MM-DD') AS "startsOn", to_char(l.ends_on, 'YYYY-MM-DD') AS "endsOn"
    FROM invoice_lines l LEFT JOIN products p ON p.id = l.product_id
    WHERE l.account_id = ${accountId}::uuid AND l.invoice_id = ANY(${ids}::uuid[]) ORDER BY l.invoice_id, l.position`
  return Map.groupBy(rows, (row) => row.invoiceId)
}

function view(row: Row, lines: readonly LineRow[], today: string) {
  const inMoney = (amount: bigint) => moneyView(amount, row.currency)
  const owes = row.status === 'open' || row.status === 'uncollectible'
  const balance = owes ? row.total - (row.paid ?? 0n) - (row.credited ?? 0n) : 0n
  return {
    id: toPublicId('invoice', row.id),
    object: 'invoice',
    number: row.number,
    kind: row.kind,
    status: row.status ?? 'draft',
    past_due: balance > 0n && row.dueOn !== null && row.dueOn < today,
    period: row.period,
    issued_on: row.issuedOn,
    due_on: row.dueOn,
    subtotal: inMoney(row.subtotal),
    tax: inMoney(row.tax),
    total: inMoney(row.total),
    balance: inMoney(balance),
    collection: row.collection,
    parked: row.parked,
    sent: { at: instantView(row.sentAt), unsent: row.unsent },
    paid_at: instantView(row.paidAt),
    pay_url: owes ? row.payUrl : null,
    pdf: row.pdf,
    lines: lines.map((l) => ({
      description: l.description,
      product: l.product,
      quantity: Number(l.quantity),
      unit: l.unit,
      unit_amount: l.unitRate,
      amount: inMoney(l.amount),
      starts_on: l.startsOn,
      ends_on: l.endsOn,
    })),
  }
}

async function today(tx: Tx, call: Call): Promise<string> {
  const at = await call.services.clock.now()
  const rows = await tx.$queryRaw<
    { timezone: string }[]
  >`SELECT timezone FROM accounts WHERE id = ${call.accountId}::uuid`
  return dayOf(at, rows[0]?.timezone ?? 'UTC')
}

const words = { audience: 'account', tag: 'Invoices' } as const

const list = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/invoices',
  summary: 'List invoices, newest first',
  description: 'Drafts of ended months too; their number, due date and PDF are null.',
  query: pageQuery.extend({
    limit: z.coerce.number().int().min(1).max(100).default(30),
    status: z.enum(['draft', 'open', 'paid', 'void', 'uncollectible']).optional(),
  }),
  responses: { 200: { description: 'A page of invoices.', schema: listOf(invoiceShape) } },
  async handle(call) {
    const { services, accountId, query } = call
    const after = decodeCursor(query.cursor, z.tuple([cursorInstant, z.uuid()]))
    return await services.db.withAccount(accountId, async (tx) => {
      const status = query.status ?? null
      const rows = await readRows(tx, { accountId, id: null, status, after, limit: query.limit + 1 })
      const lines = await readLines(
        tx,
        accountId,
        rows.map((row) => row.id),
      )
      const [{ total }] = await tx.$queryRaw<[{ total: number }]>`
        SELECT count(*)::int AS total FROM invoices i LEFT JOIN invoice_states s ON s.invoice_id = i.id
        WHERE i.account_id = ${accountId}::uuid
          AND (${status}::text IS NULL OR coalesce(s.status, 'draft') = ${status})`
      const now = await today(tx, call)
      const body = page(
        rows,
        query.limit,
        total,
        (row) => view(row, lines.get(row.id) ?? [], now),
        (row) => [instantView(row.draftedAt), row.id],
      )
      return { status: 200, body }
    })
  },
})

const show = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/invoices/{id}',
  summary: 'One invoice',
  params: idParam('invoice'),
  responses: { 200: { description: 'The invoice.', schema: invoiceShape } },
  async handle(call) {
    const { services, accountId } = call
    const id = fromPublicId('invoice', call.params.id)
    if (!id) throw notFound('invoice')
    return await services.db.withAccount(accountId, async (tx) => {
      const [row] = await readRows(tx, { accountId, id, status: null, after: null, limit: 1 })
      if (!row) throw notFound('invoice')
      const lines = await readLines(tx, accountId, [id])
      return { status: 200, body: view(row, lines.get(id) ?? [], await today(tx, call)) }
    })
  },
})

const pdf = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/invoices/{id}/pdf',
  summary: "An invoice's PDF",
  params: idParam('invoice'),
  description: 'The paid copy where there is one.',
  responses: { 200: { description: 'The document.', type: 'application/pdf' } },
  async handle({ services, accountId, params }) {
    const id = fromPublicId('invoice', params.id)
    if (!id) throw notFound('invoice')
    const found = await services.db.withAccount(accountId, async (tx) => ({
      invoice: (await readRows(tx, { accountId, id, status: null, after: null, limit: 1 }))[0],
      document:
        (await findDocument(tx, accountId, id, 'paid_copy')) ?? (await findDocument(tx, accountId, id, 'invoice')),
    }))
    if (!found.invoice) throw notFound('invoice')
    if (!found.document)
      throw new Problem(404, 'pdf_not_ready', 'This invoice has no PDF (yet): a draft never has one.')
    const bytes = await services.files.get(found.document.file)
    return { status: 200, file: { bytes, type: 'application/pdf', name: `${found.invoice.number ?? 'invoice'}.pdf` } }
  },
})

export const invoiceRoutes = [list, show, pdf]
