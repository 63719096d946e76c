import { z } from 'zod'
import { moneyFacts } from '../../../jobs/licenses/actions.store.ts'
import { updateAccount } from '../../../jobs/accounts/accounts.store.ts'
import { audit } from '../../../jobs/kit/audit.ts'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { gate, type GatedAction } from '../../../jobs/rules/gate.ts'
import { dayOf } from '../../../jobs/rules/period.ts'
import { dailyRateText } from '../../../jobs/rules/rating.ts'
import { typedText } from '../../../jobs/licenses/actions/inputs.ts'
import { readAccount } from '../account-reader.ts'
import type { Call } from '../context.ts'
import { siteView } from '../license-reader.ts'
import { moneyView } from '../money-view.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { company, email, listOf, money, pageQuery, site } from '../schemas.ts'

const verdict = z.object({ allowed: z.boolean(), code: z.string().optional() })
const accountShape = z
  .object({
    id: z.string(),
    object: z.literal('account'),
    name: z.string(),
    external_id: z.string().nullable(),
    currency: z.string(),
    timezone: z.string(),
    autopay: z.boolean(),
    autopay_cap: z.int().nullable(),
    card_required: z.boolean(),
    net_days: z.int(),
    invoice_day: z.int(),
    billing_email: z.string().nullable(),
    po_number: z.string().nullable(),
    company,
    created_at: z.string(),
    closed_at: z.string().nullable(),
    balance: money,
    past_due: money,
    gates: z.record(z.string(), verdict),
  })
  .meta({ id: 'Account' })

const GATED: readonly GatedAction[] = [
  'issue',
  'assign',
  'unassign',
  'revoke',
  'pay',
  'edit_cards',
  'edit_company',
  'edit_account',
]

async function showAccount(tx: Tx, call: Call): Promise<Record<string, unknown>> {
  const { accountId, caller, services } = call
  const account = await readAccount(tx, accountId)
  if (!account) throw notFound('account')
  const today = dayOf(await services.clock.now(), account.timezone)
  const facts = await moneyFacts(tx, accountId, `key:${caller.keyId}`, today)
  const [owed] = await tx.$queryRaw<[{ balance: bigint; pastDue: bigint }]>`
    SELECT coalesce(sum(i.total - s.paid - s.credited), 0)::bigint AS balance,
           coalesce(sum(i.total - s.paid - s.credited) FILTER (WHERE i.due_on < ${today}::date), 0)::bigint AS "pastDue"
    FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id
    WHERE i.account_id = ${accountId}::uuid AND s.status IN ('open', 'uncollectible')`
  const gateFacts = {
    roles: caller.roles,
    cardRequired: account.cardRequired,
    hasValidCard: facts.hasValidCard,
    pastDue: facts.pastDue,
    closed: account.view.closed_at !== null,
  }
  return {
    ...account.view,
    balance: moneyView(owed.balance, account.view.currency),
    past_due: moneyView(owed.pastDue, account.view.currency),
    gates: Object.fromEntries(GATED.map((action) => [action, gate(action, gateFacts)])),
  }
}

const words = { audience: 'account', tag: 'Account' } as const

const show = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/account',
  summary: 'The account, what it owes, and what it may do now',
  responses: { 200: { description: 'The account.', schema: accountShape } },
  handle: async (call) => ({
    status: 200,
    body: await call.services.db.withAccount(call.accountId, (tx) => showAccount(tx, call)),
  }),
})

const edit = defineRoute({
  ...words,
  method: 'patch',
  path: '/v1/account',
  action: 'edit_account',
  summary: 'Change billing settings',
  body: z
    .strictObject({ autopay: z.boolean(), billing_email: email.nullable(), po_number: typedText(100).nullable() })
    .partial(),
  responses: { 200: { description: 'The account.', schema: accountShape } },
  async write(tx, call) {
    const at = await call.services.clock.now()
    await updateAccount(tx, call.accountId, {
      autopay: call.body.autopay,
      billingEmail: call.body.billing_email,
      poNumber: call.body.po_number,
    })
    const fields = Object.keys(call.body)
    await audit(tx, [
      {
        accountId: call.accountId,
        at,
        actor: `key:${call.caller.keyId}`,
        action: 'account.changed',
        subject: call.accountId,
        details: { fields },
      },
    ])
    return { status: 200, body: await showAccount(tx, call) }
  },
})

const showCompany = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/company',
  summary: 'Company details',
  responses: { 200: { description: 'As future invoices will bear them.', schema: company } },
  async handle({ services, accountId }) {
    const account = await services.db.withAccount(accountId, (tx) => readAccount(tx, accountId))
    if (!account) throw notFound('account')
    return { status: 200, body: account.view.company }
  },
})

const putCompany = defineRoute({
  ...words,
  method: 'put',
  path: '/v1/company',
  action: 'edit_company',
  summary: 'Set the company details of future invoices',
  body: company,
  responses: { 200: { description: 'As future invoices will bear them.', schema: company } },
  async write(tx, call) {
    const at = await call.services.clock.now()
    await updateAccount(tx, call.accountId, { company: call.body })
    await audit(tx, [
      {
        accountId: call.accountId,
        at,
        actor: `key:${call.caller.keyId}`,
        action: 'company.changed',
        subject: call.accountId,
      },
    ])
    return { status: 200, body: call.body }
  },
})

const priceShape = z
  .object({
    product: z.string(),
    name: z.string(),
    family: z.string(),
    currency: z.string(),
    model: z.string(),
    own: z.boolean(),
    monthly_amount: z.string(),
    daily_amount: z.string(),
    list_monthly_amount: z.string().nullable(),
    effective_from: z.string(),
  })
  .meta({ id: 'PriceInForce' })

interface PriceRow {
  product: string
  name: string
  family: string
  currency: string
  model: string
  own: boolean
  monthly: string
  list: string | null
  effectiveFrom: string
}

const prices = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/prices',
  summary: 'The prices in force today, daily and monthly',
  responses: { 200: { description: 'One row per product.', schema: z.object({ data: z.array(priceShape) }) } },
  async handle({ services, accountId }) {
    const at = await services.clock.now()
    return await services.db.withAccount(accountId, async (tx) => {
      const account = await readAccount(tx, accountId)
      if (!account) throw notFound('account')
      const today = dayOf(at, account.timezone)
      const rows = await tx.$queryRaw<PriceRow[]>`
        WITH newest AS (
          SELECT DISTINCT ON (product_id, account_id)
            product_id, account_id, currency, model, monthly_amount, effective_from, ends_on
          FROM prices WHERE currency = ${account.view.currency} AND effective_from <= ${today}::date
            AND (account_id IS NULL OR account_id = ${accountId}::uuid)
          ORDER BY product_id, account_id, effective_from DESC
        ), current AS (SELECT * FROM newest WHERE ends_on IS NULL OR ends_on > ${today}::date)
        SELECT p.slug AS product, p.name, p.family, c.currency, c.model, c.account_id IS NOT NULL AS own,
               trim_scale(c.monthly_amount)::text AS monthly, trim_scale(l.monthly_amount)::text AS list,
               to_char(c.effective_from, 'YYYY-MM-DD') AS "effectiveFrom"
        FROM (SELECT DISTINCT ON (product_id) * FROM current ORDER BY product_id, account_id NULLS LAST) c
        JOIN products p ON p.id = c.product_id
        LEFT JOIN current l ON l.product_id = c.product_id AND l.account_id IS NULL
        ORDER BY p.family, p.name`
      const data = rows.map((row) => ({
        product: row.product,
        name: row.name,
        family: row.family,
        currency: row.currency,
        model: row.model,
        own: row.own,
        monthly_amount: row.monthly,
        daily_amount: dailyRateText(row.monthly, row.currency),
        list_monthly_amount: row.list,
        effective_from: row.effectiveFrom,
      }))
      return { status: 200, body: { data } }
    })
  },
})

const sites = defineRoute({
  ...words,
  tag: 'Sites',
  method: 'get',
  path: '/v1/sites',
  summary: 'The sites of the account, newest first',
  query: pageQuery,
  responses: { 200: { description: 'A page of sites.', schema: listOf(site.extend({ licenses: z.int() })) } },
  async handle({ services, accountId, query }) {
    const after = decodeCursor(query.cursor, z.tuple([z.uuid()]))?.[0] ?? null
    return await services.db.withAccount(accountId, async (tx) => {
      const rows = await tx.$queryRaw<
        { id: string; url: string | null; externalId: string | null; client: string | null; licenses: number }[]
      >`
        SELECT s.id, s.url, s.external_id AS "externalId", s.client,
               (SELECT count(*)::int FROM licenses l WHERE l.account_id = s.account_id AND l.site_id = s.id) AS licenses
        FROM sites s WHERE s.account_id = ${accountId}::uuid AND (${after}::uuid IS NULL OR s.id < ${after}::uuid)
        ORDER BY s.id DESC LIMIT ${query.limit + 1}`
      const [counted] = await tx.$queryRaw<[{ total: number }]>`
        SELECT count(*)::int AS total FROM sites WHERE account_id = ${accountId}::uuid`
      const body = page(
        rows,
        query.limit,
        counted.total,
        (row) => ({ ...siteView(row), licenses: row.licenses }),
        (row) => [row.id],
      )
      return { status: 200, body }
    })
  },
})

export { accountShape }
export const accountRoutes = [show, edit, showCompany, putCompany, prices, sites]
