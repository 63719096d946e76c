// A vendor's history, sent in batches of rows and then applied by workers: accounts.csv, prices.csv and events.csv, as
// `npm run ops -- import` sends them.
import { z } from 'zod'
import {
  addAccountRows,
  addEventRows,
  addFailures,
  addPriceRows,
  createImport,
} from '../../../jobs/imports/imports.store.ts'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { firstDay } from '../../../jobs/rules/period.ts'
import { fromPublicId, newId, toPublicId } from '../../adapters/ids.ts'
import { COLUMNS, readRows } from '../import-rows.ts'
import { instantView } from '../money-view.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { idParam, listOf, pageQuery } from '../schemas.ts'

const words = { audience: 'operator', tag: 'Imports' } as const

const importShape = z
  .object({
    id: z.string(),
    object: z.literal('import'),
    status: z.enum(['receiving', 'applying', 'done', 'refused']),
    bill_from: z.string(),
    accounts: z.object({ total: z.int(), done: z.int(), unchanged: z.int(), refused: z.int() }),
    failures: z.int().meta({ description: 'Rows that cannot be taken: see their list.' }),
    created_at: z.string(),
    ended_at: z.string().nullable(),
  })
  .meta({ id: 'Import', description: 'A history: each account it names is applied whole, or not at all.' })

interface ImportRow {
  id: string
  status: string
  billFrom: string
  total: number
  done: number
  unchanged: number
  refused: number
  failures: number
  createdAt: Date
  endedAt: Date | null
}

async function findImport(tx: Tx, publicId: unknown): Promise<ImportRow> {
  const id = fromPublicId('import', String(publicId))
  if (id === null) throw notFound('import')
  const rows = await tx.$queryRaw<ImportRow[]>`
    SELECT i.id, i.status, to_char(i.bill_from, 'YYYY-MM') AS "billFrom", t.total, t.done, t.unchanged, t.refused,
           (SELECT count(*)::int FROM import_failures f WHERE f.import_id = i.id) AS failures,
           i.created_at AS "createdAt", i.ended_at AS "endedAt"
    FROM imports i CROSS JOIN LATERAL (
      SELECT count(*)::int AS total, count(*) FILTER (WHERE outcome = 'done')::int AS done,
             count(*) FILTER (WHERE outcome = 'unchanged')::int AS unchanged,
             count(*) FILTER (WHERE outcome = 'refused')::int AS refused
      FROM import_targets WHERE import_id = i.id) AS t
    WHERE i.id = ${id}::uuid`
  if (!rows[0]) throw notFound('import')
  return rows[0]
}

const view = (row: ImportRow) => ({
  id: toPublicId('import', row.id),
  object: 'import',
  status: row.status,
  bill_from: row.billFrom,
  accounts: { total: row.total, done: row.done, unchanged: row.unchanged, refused: row.refused },
  failures: row.failures,
  created_at: instantView(row.createdAt),
  ended_at: instantView(row.endedAt),
})

const begin = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/imports',
  summary: 'Begin an import',
  description: 'Then send its rows, and then apply it. Days before bill_from are never billed.',
  body: z
    .strictObject({ bill_from: z.string().regex(/^(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])$/, 'must be a month, YYYY-MM') })
    .meta({ id: 'BeginImport' }),
  responses: { 201: { description: 'The import, ready for its rows.', schema: importShape } },
  async write(tx, { services, body, caller }) {
    const at = await services.clock.now()
    const billFrom = firstDay(body.bill_from)
    if (billFrom > at.toISOString()) {
      const message = 'must not lie in the future'
      throw new Problem(422, 'future_month', `bill_from ${message}.`, [{ path: 'bill_from', message }])
    }
    const id = newId()
    await createImport(tx, { id, billFrom, actor: `key:${caller.keyId}`, at })
    return { status: 201, body: view(await findImport(tx, toPublicId('import', id))) }
  },
})

/** One statement of about a megabyte. */
const ROWS_MAX = 5_000
const CELL_MAX = 10_000
const LINE_MAX = 2_000_000_000

const rowsBody = z
  .strictObject({
    file: z.enum(['accounts.csv', 'prices.csv', 'events.csv']),
    columns: z.array(z.string()).max(40),
    rows: z
      .array(z.tuple([z.int().min(1).max(LINE_MAX)], z.string().max(CELL_MAX)))
      .max(ROWS_MAX)
      .meta({ description: 'Each: the line in the file, then the cells in the order of the columns.' }),
  })
  .superRefine(({ file, columns, rows }, context) => {
    const { required, optional } = COLUMNS[file]
    const wrong = (message: string): void => context.addIssue({ code: 'custom', path: ['columns'], message })
    const missing = required.filter((column) => !columns.includes(column))
    const unknown = columns.filter((column) => !required.includes(column) && !optional.includes(column))
    if (missing.length > 0) wrong(`${file} lacks ${missing.join(', ')}`)
    if (unknown.length > 0) wrong(`${file} does not know ${unknown.join(', ')}`)
    if (new Set(columns).size !== columns.length) wrong('names a column twice')
    const ragged = rows.findIndex((row) => row.length !== columns.length + 1)
    if (ragged >= 0) {
      const message = `needs a line number and ${columns.length} cells`
      context.addIssue({ code: 'custom', path: ['rows', ragged], message })
    }
  })
  .meta({ id: 'ImportRows' })

const sendRows = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/imports/{id}/rows',
  summary: 'Send rows of a file',
  description:
    'At most 5,000 at a time. A line sent again does nothing. A row that cannot be read refuses its account.',
  params: idParam('import'),
  body: rowsBody,
  anyText: true,
  responses: {
    200: { description: 'They are kept.', schema: z.object({ received: z.int(), failures: z.int() }) },
  },
  async handle({ services, params, body }) {
    const now = await services.clock.now()
    const read = readRows(body.file, body.columns, body.rows, now)
    return await services.db.withOperator(async (tx) => {
      const { id, failures } = await findImport(tx, params.id)
      const [held] = await tx.$queryRaw<[{ taken: boolean }]>`SELECT takes_import_rows(${id}::uuid) AS taken`
      if (!held.taken) throw notReceiving()
      if (read.accounts.length > 0) await addAccountRows(tx, id, read.accounts)
      if (read.prices.length > 0) await addPriceRows(tx, id, read.prices)
      if (read.events.length > 0) await addEventRows(tx, id, read.events)
      const more = await addFailures(tx, id, read.failures)
      return { status: 200, body: { received: body.rows.length, failures: failures + more } }
    })
  },
})

const notReceiving = (): Problem =>
  new Problem(409, 'import_not_receiving', 'This import is being applied or has ended: begin another.')

const apply = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/imports/{id}/apply',
  summary: 'Apply an import whose rows are all there',
  params: idParam('import'),
  responses: { 202: { description: 'It is being applied.', schema: importShape } },
  async write(tx, { params }) {
    const { id } = await findImport(tx, params.id)
    const rows = await tx.$queryRaw<{ verdict: 'begun' | 'unknown' | 'not_receiving' | 'busy' }[]>`
      SELECT begin_import(${id}::uuid, ${newId()}::uuid) AS verdict`
    const { verdict } = rows[0]!
    if (verdict === 'unknown') throw notFound('import')
    if (verdict === 'not_receiving') throw notReceiving()
    if (verdict === 'busy') {
      throw new Problem(409, 'import_busy', 'Another import is being applied. Try again when it has ended.')
    }
    return { status: 202, body: view(await findImport(tx, params.id)) }
  },
})

const show = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/imports/{id}',
  summary: 'How far an import has come',
  params: idParam('import'),
  responses: { 200: { description: 'The import.', schema: importShape } },
  handle: async ({ services, params }) => ({
    status: 200,
    body: view(await services.db.withOperator((tx) => findImport(tx, params.id))),
  }),
})

const failure = z
  .object({
    file: z.string(),
    line: z.int(),
    account: z.string().nullable(),
    field: z.string(),
    message: z.string(),
  })
  .meta({ id: 'ImportFailure' })

/** A line as a cursor holds it: what no file has would not fit the column. */
const linePlace = z
  .string()
  .regex(/^\d{1,10}$/)
  .refine((line) => Number(line) <= LINE_MAX)

const failures = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/imports/{id}/failures',
  summary: 'The rows that cannot be taken, by file and line',
  params: idParam('import'),
  query: pageQuery,
  responses: { 200: { description: 'A page of rows.', schema: listOf(failure) } },
  async handle({ services, params, query }) {
    const after = decodeCursor(query.cursor, z.tuple([z.string(), linePlace, z.string()]))
    return await services.db.withOperator(async (tx) => {
      const { id, failures: total } = await findImport(tx, params.id)
      const rows = await tx.$queryRaw<z.infer<typeof failure>[]>`
        SELECT file, line, account, field, message FROM import_failures
        WHERE import_id = ${id}::uuid AND (${after?.[0] ?? null}::text IS NULL
          OR (file, line, field) > (${after?.[0] ?? ''}, ${Number(after?.[1] ?? 0)}::int, ${after?.[2] ?? ''}))
        ORDER BY file, line, field LIMIT ${query.limit + 1}`
      const place = (row: z.infer<typeof failure>) => [row.file, String(row.line), row.field]
      return { status: 200, body: page(rows, query.limit, total, (row) => row, place) }
    })
  },
})

export const importRoutes = [begin, sendRows, apply, show, failures]
