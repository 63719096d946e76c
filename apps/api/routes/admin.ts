import { z } from 'zod'
import { createAccount, updateAccount } from '../../../jobs/accounts/accounts.store.ts'
import { audit } from '../../../jobs/kit/audit.ts'
import { typedText } from '../../../jobs/licenses/actions/inputs.ts'
import { defaultAutopayCap } from '../../../jobs/rules/invoice-plan.ts'
import { dayOf } from '../../../jobs/rules/period.ts'
import { fromPublicId, newId, toPublicId } from '../../adapters/ids.ts'
import { countAccounts, readAccount, readAccounts } from '../account-reader.ts'
import { createKey } from '../keys.ts'
import { decodeCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { company, currency, email, idParam, listOf, pageQuery, timezone } from '../schemas.ts'
import { accountShape } from './account.ts'

const words = { audience: 'operator', tag: 'Operators' } as const
const adminAccount = accountShape.omit({ balance: true, past_due: true, gates: true }).meta({ id: 'AdminAccount' })

const terms = {
  autopay_cap: z.int().min(0).nullable().optional().meta({ description: 'Minor units; null: no cap; 0: always send.' }),
  billing_email: email.nullable().optional(),
  po_number: typedText(100).nullable().optional(),
  company: company.optional(),
}

const createBody = z
  .strictObject({
    name: typedText(200),
    external_id: typedText(200).optional(),
    currency,
    timezone: timezone.default('UTC'),
    card_required: z.boolean().default(true),
    net_days: z.int().min(0).max(365).default(14),
    invoice_day: z.int().min(1).max(8).default(3),
    ...terms,
  })
  .meta({ id: 'CreateAccount' })

const create = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/accounts',
  summary: 'Create an account',
  description: 'The answer holds its first API key, whose secret is shown this once.',
  body: createBody,
  responses: {
    201: {
      description: 'The account and its first key.',
      schema: adminAccount.extend({ api_key: z.object({ id: z.string(), secret: z.string() }) }),
    },
  },
  async write(tx, { services, body, caller }) {
    const at = await services.clock.now()
    const id = newId()
    const cap = body.autopay_cap === undefined ? defaultAutopayCap(body.currency) : body.autopay_cap
    const created = await createAccount(tx, {
      id,
      at,
      name: body.name,
      externalId: body.external_id ?? null,
      currency: body.currency,
      timezone: body.timezone,
      billingEmail: body.billing_email ?? null,
      poNumber: body.po_number ?? null,
      company: body.company ?? {},
      autopayCap: cap === null ? null : BigInt(cap),
      cardRequired: body.card_required,
      netDays: body.net_days,
      invoiceDay: body.invoice_day,
      billFrom: dayOf(at, body.timezone),
    })
    if (!created) {
      throw new Problem(409, 'external_id_taken', 'Another account has this external_id.', [
        { path: 'external_id', message: 'belongs to another account' },
      ])
    }
    const key = await createKey(tx, { accountId: id, name: 'first key', scopes: ['owner'], at })
    await audit(tx, [{ accountId: id, at, actor: `key:${caller.keyId}`, action: 'account.created', subject: id }])
    const account = await readAccount(tx, id)
    return {
      status: 201,
      body: { ...account!.view, api_key: { id: toPublicId('apiKey', key.id), secret: key.secret } },
    }
  },
})

const list = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/accounts',
  summary: 'List accounts, newest first',
  query: pageQuery.extend({ q: z.string().max(200).optional() }),
  responses: { 200: { description: 'A page of accounts.', schema: listOf(adminAccount) } },
  async handle({ services, query }) {
    const after = decodeCursor(query.cursor, z.tuple([z.uuid()]))?.[0] ?? null
    return await services.db.withOperator(async (tx) => {
      const rows = await readAccounts(tx, { accountId: null, query: query.q ?? null, after, limit: query.limit + 1 })
      const total = await countAccounts(tx, query.q ?? null)
      return {
        status: 200,
        body: page(
          rows,
          query.limit,
          total,
          (row) => row.view,
          (row) => [row.id],
        ),
      }
    })
  },
})

const show = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/accounts/{id}',
  summary: 'One account',
  params: idParam('account'),
  responses: { 200: { description: 'The account.', schema: adminAccount } },
  async handle({ services, params }) {
    const id = fromPublicId('account', params.id)
    const account = id && (await services.db.withOperator((tx) => readAccount(tx, id)))
    if (!account) throw notFound('account')
    return { status: 200, body: account.view }
  },
})

const edit = defineRoute({
  ...words,
  method: 'patch',
  path: '/v1/admin/accounts/{id}',
  summary: "Change an account's terms",
  params: idParam('account'),
  body: z.strictObject({
    name: typedText(200).optional(),
    card_required: z.boolean().optional(),
    net_days: z.int().min(0).max(365).optional(),
    invoice_day: z.int().min(1).max(8).optional(),
    autopay: z.boolean().optional(),
    ...terms,
  }),
  responses: { 200: { description: 'The account.', schema: adminAccount } },
  async write(tx, { services, params, body, caller }) {
    const id = fromPublicId('account', params.id)
    if (!id || !(await readAccount(tx, id))) throw notFound('account')
    const cap = body.autopay_cap
    await updateAccount(tx, id, {
      name: body.name,
      autopay: body.autopay,
      billingEmail: body.billing_email,
      poNumber: body.po_number,
      company: body.company,
      cardRequired: body.card_required,
      netDays: body.net_days,
      invoiceDay: body.invoice_day,
      autopayCap: cap === undefined || cap === null ? cap : BigInt(cap),
    })
    const at = await services.clock.now()
    await audit(tx, [
      {
        accountId: id,
        at,
        actor: `key:${caller.keyId}`,
        action: 'account.changed',
        subject: id,
        details: { fields: Object.keys(body) },
      },
    ])
    return { status: 200, body: (await readAccount(tx, id))!.view }
  },
})

export const adminRoutes = [create, list, show, edit]
