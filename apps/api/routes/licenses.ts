import { z } from 'zod'
import { Prisma } from '../../../prisma/client/client.ts'
import { assignRequest, issueInput } from '../../../jobs/licenses/actions/inputs.ts'
import { fromPublicId } from '../../adapters/ids.ts'
import { acceptAction } from '../accept.ts'
import type { Call } from '../context.ts'
import { isProduct, licenseColumns, licenseTables, licenseView, type LicenseRow } from '../license-reader.ts'
import { instantView } from '../money-view.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { action, idParam, license, listOf, pageQuery, slug, cursorInstant } from '../schemas.ts'

const accepted = { 202: { description: 'Accepted; follow it at Location.', schema: action } }
const words = { audience: 'account', tag: 'Licenses' } as const

const issue = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/licenses',
  action: 'issue',
  summary: 'Issue licenses',
  body: issueInput,
  responses: {
    201: { description: 'With Prefer: wait, the licenses.', schema: z.object({ licenses: z.array(license) }) },
    ...accepted,
  },
  async handle(call) {
    if (!(await isProduct(call.services.db, call.body.product))) {
      throw new Problem(422, 'unknown_product', `There is no product ${call.body.product}.`, [
        { path: 'product', message: 'is not a known product' },
      ])
    }
    return await acceptAction(call, 'license.issue', call.body, 201)
  },
})

/** The license's uuid. Another account's is answered like one that does not exist, and no action is recorded. */
async function ownLicense(call: Call<unknown, unknown, { id: string }>): Promise<string> {
  const id = fromPublicId('license', call.params.id)
  const found =
    id &&
    (await call.services.db.withAccount(
      call.accountId,
      (tx) => tx.$queryRaw<unknown[]>`
    SELECT 1 FROM licenses WHERE account_id = ${call.accountId}::uuid AND id = ${id}::uuid`,
    ))
  if (!id || !found || found.length === 0) throw notFound('license')
  return id
}

const assign = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/licenses/{id}/assign',
  action: 'assign',
  summary: 'Assign a license to a site',
  params: idParam('license'),
  body: assignRequest,
  responses: { 200: { description: 'With Prefer: wait, the license.', schema: license }, ...accepted },
  handle: async (call) => acceptAction(call, 'license.assign', { license: await ownLicense(call), ...call.body }, 200),
})

const unassign = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/licenses/{id}/unassign',
  action: 'unassign',
  summary: 'Take a license off its site',
  description: 'The license stays active, and is billed.',
  params: idParam('license'),
  responses: { 200: { description: 'With Prefer: wait, the license.', schema: license }, ...accepted },
  handle: async (call) => acceptAction(call, 'license.unassign', { license: await ownLicense(call) }, 200),
})

const revoke = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/licenses/{id}/revoke',
  action: 'revoke',
  summary: 'Revoke a license for good',
  description: 'It cannot be undone; the day of revocation is the last one billed.',
  params: idParam('license'),
  responses: { 200: { description: 'With Prefer: wait, the license.', schema: license }, ...accepted },
  handle: async (call) => acceptAction(call, 'license.revoke', { license: await ownLicense(call) }, 200),
})

const STATES = {
  active: Prisma.sql`l.revoked_at IS NULL`,
  assigned: Prisma.sql`l.revoked_at IS NULL AND l.site_id IS NOT NULL`,
  unassigned: Prisma.sql`l.revoked_at IS NULL AND l.site_id IS NULL`,
  revoked: Prisma.sql`l.revoked_at IS NOT NULL`,
} as const

const listQuery = pageQuery.extend({
  state: z.enum(['active', 'assigned', 'unassigned', 'revoked']).default('active'),
  product: slug.optional(),
  site: z.string().max(100).optional().meta({ description: 'A site_… id.' }),
})

const list = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/licenses',
  summary: 'List licenses',
  description: 'Newest first; active ones unless asked otherwise.',
  query: listQuery,
  responses: { 200: { description: 'A page of licenses.', schema: listOf(license) } },
  async handle({ services, accountId, query }) {
    const after = decodeCursor(query.cursor, z.tuple([cursorInstant, z.uuid()]))
    const siteId = query.site === undefined ? null : fromPublicId('site', query.site)
    if (query.site !== undefined && siteId === null) throw notFound('site')
    const where = Prisma.sql`l.account_id = ${accountId}::uuid AND ${STATES[query.state]}
      AND (${query.product ?? null}::text IS NULL OR p.slug = ${query.product ?? null})
      AND (${siteId}::uuid IS NULL OR l.site_id = ${siteId}::uuid)`
    return await services.db.withAccount(accountId, async (tx) => {
      const rows = await tx.$queryRaw<LicenseRow[]>`
        SELECT ${licenseColumns} FROM ${licenseTables}
        WHERE ${where} AND (${after?.[0] ?? null}::timestamptz IS NULL
          OR (l.issued_at, l.id) < (${after?.[0] ?? null}::timestamptz, ${after?.[1] ?? null}::uuid))
        ORDER BY l.issued_at DESC, l.id DESC LIMIT ${query.limit + 1}`
      const [counted] = await tx.$queryRaw<[{ total: number }]>`
        SELECT count(*)::int AS total FROM licenses l JOIN products p ON p.id = l.product_id WHERE ${where}`
      const body = page(
        rows,
        query.limit,
        counted.total,
        (row) => licenseView(row, services.secrets),
        (row) => [instantView(row.issuedAt), row.id],
      )
      return { status: 200, body }
    })
  },
})

const countsView = z
  .object({
    issued: z.int(),
    active: z.int(),
    assigned: z.int(),
    unassigned: z.int(),
    revoked: z.int(),
    all: z.int(),
  })
  .meta({ id: 'LicenseCounts' })

const counts = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/licenses/counts',
  summary: 'Count licenses by state',
  responses: { 200: { description: 'issued = assigned + unassigned.', schema: countsView } },
  async handle({ services, accountId }) {
    const [row] = await services.db.withAccount(
      accountId,
      (tx) => tx.$queryRaw<[{ all: number; revoked: number; assigned: number }]>`
      SELECT count(*)::int AS "all", count(revoked_at)::int AS revoked, count(site_id)::int AS assigned
      FROM licenses WHERE account_id = ${accountId}::uuid`,
    )
    const active = row.all - row.revoked
    return {
      status: 200,
      body: {
        issued: active,
        active,
        assigned: row.assigned,
        unassigned: active - row.assigned,
        revoked: row.revoked,
        all: row.all,
      },
    }
  },
})

const details = license
  .extend({
    history: z.array(z.object({ at: z.string(), event: z.string(), actor: z.string(), site: z.string().nullable() })),
  })
  .meta({ id: 'LicenseDetails' })

const show = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/licenses/{id}',
  summary: 'One license with its history',
  params: idParam('license'),
  responses: { 200: { description: 'The license.', schema: details } },
  async handle(call) {
    const { services, accountId } = call
    const id = fromPublicId('license', call.params.id)
    if (!id) throw notFound('license')
    return await services.db.withAccount(accountId, async (tx) => {
      const rows = await tx.$queryRaw<LicenseRow[]>`
        SELECT ${licenseColumns} FROM ${licenseTables} WHERE l.account_id = ${accountId}::uuid AND l.id = ${id}::uuid`
      if (!rows[0]) throw notFound('license')
      const history = await tx.$queryRaw<{ at: Date; event: string; actor: string; site: string | null }[]>`
        SELECT e.at, e.action AS event, e.actor, coalesce(s.url, s.external_id) AS site
        FROM audit_entries e LEFT JOIN sites s ON s.account_id = e.account_id AND s.id::text = e.details ->> 'site'
        WHERE e.account_id = ${accountId}::uuid AND e.subject = ${id} ORDER BY e.seq LIMIT 1000`
      const body = {
        ...licenseView(rows[0], services.secrets),
        history: history.map((h) => ({ ...h, at: instantView(h.at) })),
      }
      return { status: 200, body }
    })
  },
})

// counts before {id}: Express takes the first that fits.
export const licenseRoutes = [issue, list, counts, show, assign, unassign, revoke]
