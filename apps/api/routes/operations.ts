// Why something has not happened: for operators. Jobs that wait, fail or are dead, and how far each month has come.
import { z } from 'zod'
import { audit } from '../../../jobs/kit/audit.ts'
import { fromPublicId, toPublicId } from '../../adapters/ids.ts'
import { rebuildQueue } from '../../adapters/outbox.ts'
import { instantView } from '../money-view.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { retryDeadJob } from '../retry-job.ts'
import { defineRoute } from '../route.ts'
import { idParam, listOf, pageQuery, cursorInstant } from '../schemas.ts'
import { waitingMonth, waitingMonths } from '../waiting-months.ts'

const words = { audience: 'operator', tag: 'Operators' } as const

const job = z
  .object({
    id: z.string(),
    object: z.literal('job'),
    name: z.string(),
    payload: z.record(z.string(), z.unknown()),
    account: z.string().nullable(),
    status: z.enum(['open', 'done', 'skipped', 'dead']),
    reason: z.string().nullable().meta({ description: 'What came of it, or why its last attempt failed.' }),
    attempts: z.int(),
    due_at: z.string().nullable(),
    next_attempt_at: z.string().nullable(),
    created_at: z.string(),
    finished_at: z.string().nullable(),
  })
  .meta({ id: 'Job' })

interface JobRow {
  id: string
  name: string
  payload: Record<string, unknown>
  accountId: string | null
  outcome: 'done' | 'skipped' | 'dead' | null
  reason: string | null
  attempts: number
  dueAt: Date | null
  nextAt: Date
  createdAt: Date
  finishedAt: Date | null
}

const view = (row: JobRow) => ({
  id: toPublicId('job', row.id),
  object: 'job',
  name: row.name,
  payload: row.payload,
  account: row.accountId && toPublicId('account', row.accountId),
  status: row.outcome ?? 'open',
  reason: row.reason,
  attempts: row.attempts,
  due_at: instantView(row.dueAt),
  next_attempt_at: row.finishedAt === null ? instantView(row.nextAt) : null,
  created_at: instantView(row.createdAt),
  finished_at: instantView(row.finishedAt),
})

const listJobs = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/jobs',
  summary: 'Jobs that are dead, or still open, with the reason',
  query: pageQuery.extend({ status: z.enum(['open', 'dead']).default('dead') }),
  responses: { 200: { description: 'A page of jobs, newest first.', schema: listOf(job) } },
  async handle({ services, query }) {
    const after = decodeCursor(query.cursor, z.tuple([cursorInstant, z.uuid()]))
    return await services.db.withOperator(async (tx) => {
      const dead = query.status === 'dead'
      const rows = await tx.$queryRaw<JobRow[]>`
        SELECT id, name, payload, account_id AS "accountId", outcome, reason, attempts, due_at AS "dueAt",
               next_at AS "nextAt", created_at AS "createdAt", finished_at AS "finishedAt"
        FROM staged_jobs
        WHERE CASE WHEN ${dead} THEN outcome = 'dead' ELSE finished_at IS NULL END
          AND (${after?.[0] ?? null}::timestamptz IS NULL
               OR (created_at, id) < (${after?.[0] ?? null}::timestamptz, ${after?.[1] ?? null}::uuid))
        ORDER BY created_at DESC, id DESC LIMIT ${query.limit + 1}`
      const [{ total }] = await tx.$queryRaw<[{ total: number }]>`
        SELECT count(*)::int AS total FROM staged_jobs
        WHERE CASE WHEN ${dead} THEN outcome = 'dead' ELSE finished_at IS NULL END`
      const place = (row: JobRow) => [instantView(row.createdAt), row.id]
      return { status: 200, body: page(rows, query.limit, total, view, place) }
    })
  },
})

const retryJob = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/jobs/{id}/retry',
  summary: 'Try a dead job again, once its cause is mended',
  params: idParam('job'),
  responses: {
    200: { description: 'It will be tried within a second or two.', schema: z.object({ retried: z.boolean() }) },
  },
  async write(tx, { services, params, caller }) {
    const id = fromPublicId('job', params.id)
    if (!id) throw notFound('job')
    const found = await retryDeadJob(tx, id, `key:${caller.keyId}`, await services.clock.now())
    if (found === 'unknown') throw notFound('job')
    if (found === 'not_dead') throw new Problem(409, 'job_not_dead', 'Only a dead job can be tried again.')
    return { status: 200, body: { retried: true } }
  },
})

const rebuild = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/queues/rebuild',
  summary: 'Tell the queues again of everything that is not done',
  description:
    'For a Redis that was emptied or restored. By itself that happens within seconds; jobs that wait for another ' +
    'attempt are tried at once, too. Doing it when nothing is lost does no harm.',
  responses: { 200: { description: 'How many jobs are told again.', schema: z.object({ jobs: z.int() }) } },
  async write(tx, { services, caller }) {
    const jobs = await rebuildQueue(tx)
    const at = await services.clock.now()
    const actor = `key:${caller.keyId}`
    await audit(tx, [{ accountId: null, at, actor, action: 'queue.rebuilt', subject: 'queues', details: { jobs } }])
    return { status: 200, body: { jobs } }
  },
})

const run = z
  .object({
    month: z.string(),
    closed: z.int(),
    drafts: z.int(),
    parked: z.int(),
    finalized: z.int(),
    open: z.int(),
    paid: z.int(),
    unrendered: z.int(),
    unsent: z.int(),
  })
  .meta({ id: 'BillingRun', description: 'How far the closing of a month has come, in accounts and invoices.' })

const billingRuns = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/billing-runs',
  summary: 'How far each month has come',
  responses: {
    200: {
      description: 'Newest month first, two years at most; and the months that have ended and wait to be closed.',
      schema: z.object({ data: z.array(run), waiting: z.array(waitingMonth), waiting_total: z.int() }),
    },
  },
  async handle({ services }) {
    const now = await services.clock.now()
    return await services.db.withOperator(async (tx) => {
      const data = await tx.$queryRaw<z.infer<typeof run>[]>`
        SELECT to_char(m.month, 'YYYY-MM') AS month, count(*)::int AS closed,
               count(i.id) FILTER (WHERE i.finalized_at IS NULL)::int AS drafts, count(i.parked_reason)::int AS parked,
               count(i.finalized_at)::int AS finalized, count(*) FILTER (WHERE s.status = 'open')::int AS open,
               count(*) FILTER (WHERE s.status = 'paid')::int AS paid,
               count(*) FILTER (WHERE i.finalized_at IS NOT NULL AND i.total > 0 AND NOT EXISTS (
                 SELECT 1 FROM documents d WHERE d.invoice_id = i.id))::int AS unrendered,
               count(s.unsent)::int AS unsent
        FROM closed_months m
        LEFT JOIN invoices i ON i.account_id = m.account_id AND i.period_start = m.month AND i.kind = 'usage'
        LEFT JOIN invoice_states s ON s.invoice_id = i.id
        GROUP BY m.month ORDER BY m.month DESC LIMIT 24`
      const waiting = await waitingMonths(tx, now)
      return { status: 200, body: { data, waiting: waiting.data, waiting_total: waiting.total } }
    })
  },
})

export const operationRoutes = [listJobs, retryJob, rebuild, billingRuns]
