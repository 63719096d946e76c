import { z } from 'zod'
import { readSettings, saveSettings } from '../../../jobs/accounts/accounts.store.ts'
import { createProduct, productId, setPrice, type NewPrice } from '../../../jobs/accounts/products.store.ts'
import { audit } from '../../../jobs/kit/audit.ts'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { typedText } from '../../../jobs/licenses/actions/inputs.ts'
import { newId, toPublicId } from '../../adapters/ids.ts'
import { readAccount } from '../account-reader.ts'
import { decodeCursor, page } from '../paging.ts'
import { Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { currency, day, decimalAmount, idField, listOf, pageQuery, slug } from '../schemas.ts'

const words = { audience: 'operator', tag: 'Operators' } as const

const productShape = z
  .object({
    id: z.string(),
    object: z.literal('product'),
    slug: z.string(),
    name: z.string(),
    family: z.string(),
  })
  .meta({ id: 'Product' })

const addProduct = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/products',
  summary: 'Create a product',
  body: z.strictObject({ slug, name: typedText(200), family: typedText(100) }).meta({ id: 'CreateProduct' }),
  responses: { 201: { description: 'The product.', schema: productShape } },
  async write(tx, { services, body, caller }) {
    const at = await services.clock.now()
    const id = newId()
    if (!(await createProduct(tx, { id, at, ...body }))) {
      throw new Problem(409, 'slug_taken', 'Another product has this slug.', [
        { path: 'slug', message: 'belongs to another product' },
      ])
    }
    await audit(tx, [
      {
        accountId: null,
        at,
        actor: `key:${caller.keyId}`,
        action: 'product.created',
        subject: id,
        details: { slug: body.slug },
      },
    ])
    return { status: 201, body: { id: toPublicId('product', id), object: 'product', ...body } }
  },
})

const listProducts = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/products',
  summary: 'List products',
  query: pageQuery,
  responses: { 200: { description: 'A page of products, by slug.', schema: listOf(productShape) } },
  async handle({ services, query }) {
    const after = decodeCursor(query.cursor, z.tuple([z.string()]))?.[0] ?? ''
    return await services.db.withOperator(async (tx) => {
      const rows = await tx.$queryRaw<{ id: string; slug: string; name: string; family: string }[]>`
        SELECT id, slug, name, family FROM products WHERE slug > ${after} ORDER BY slug LIMIT ${query.limit + 1}`
      const [{ total }] = await tx.$queryRaw<[{ total: number }]>`SELECT count(*)::int AS total FROM products`
      const view = (row: (typeof rows)[0]) => ({ ...row, id: toPublicId('product', row.id), object: 'product' })
      return { status: 200, body: page(rows, query.limit, total, view, (row) => [row.slug]) }
    })
  },
})

const priceShape = z
  .object({
    id: z.string(),
    object: z.literal('price'),
    product: z.string(),
    currency: z.string(),
    model: z.string(),
    monthly_amount: z.string(),
    effective_from: z.string(),
    ends_on: z.string().nullable(),
    bill_while_paused: z.boolean(),
    account: z.string().nullable(),
  })
  .meta({ id: 'Price' })

const priceBody = z
  .strictObject({
    product: slug,
    currency,
    model: z.enum(['per_day']),
    monthly_amount: decimalAmount,
    effective_from: day,
    account: idField('account').optional(),
    ends_on: day.optional(),
    bill_while_paused: z.boolean().default(false).meta({ description: 'Whether full days paused are billed.' }),
  })
  .refine((price) => price.ends_on === undefined || price.ends_on > price.effective_from, {
    path: ['ends_on'],
    message: 'must be after effective_from',
  })
  .meta({ id: 'CreatePrice' })

const wrong = (status: number, code: string, path: string, message: string): Problem =>
  new Problem(status, code, `${path} ${message}.`, [{ path, message }])

/** @throws Problem when the product or the account is not known, or the currency not the account's */
async function readyPrice(tx: Tx, body: z.infer<typeof priceBody>, at: Date): Promise<NewPrice> {
  const product = await productId(tx, body.product)
  if (!product) throw wrong(422, 'unknown_product', 'product', 'is not a known product')
  const account = body.account === undefined ? null : await readAccount(tx, body.account)
  if (body.account !== undefined && !account) throw wrong(422, 'unknown_account', 'account', 'is not a known account')
  if (account && account.view.currency !== body.currency) {
    throw wrong(422, 'currency_mismatch', 'currency', `is not the account's, which is ${account.view.currency}`)
  }
  return {
    id: newId(),
    productId: product,
    accountId: body.account ?? null,
    currency: body.currency,
    model: body.model,
    monthlyAmount: body.monthly_amount,
    effectiveFrom: body.effective_from,
    endsOn: body.ends_on ?? null,
    billWhilePaused: body.bill_while_paused,
    at,
    jobId: newId(),
  }
}

const addPrice = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/admin/prices',
  summary: 'Set a price from a day on',
  description:
    'For everybody, or for one account. Drafts that it changes are drawn anew; an invoiced month is refused.',
  body: priceBody,
  responses: { 201: { description: 'The price.', schema: priceShape } },
  async write(tx, { services, body, caller }) {
    const at = await services.clock.now()
    const price = await readyPrice(tx, body, at)
    const verdict = await setPrice(tx, price)
    if (verdict === 'month_closed')
      throw wrong(409, 'month_closed', 'effective_from', 'lies in a month that is invoiced already')
    if (verdict !== 'created') throw wrong(409, 'price_exists', 'effective_from', 'has a price already')
    await audit(tx, [
      {
        accountId: price.accountId,
        at,
        actor: `key:${caller.keyId}`,
        action: 'price.created',
        subject: price.id,
        details: { product: body.product, monthly: body.monthly_amount, from: body.effective_from },
      },
    ])
    const { id, accountId } = price
    return {
      status: 201,
      body: {
        id: toPublicId('price', id),
        object: 'price',
        product: body.product,
        currency: body.currency,
        model: body.model,
        monthly_amount: body.monthly_amount,
        effective_from: body.effective_from,
        ends_on: price.endsOn,
        bill_while_paused: price.billWhilePaused,
        account: accountId && toPublicId('account', accountId),
      },
    }
  },
})

const settingsShape = z
  .strictObject({
    issuer: z.strictObject({
      name: typedText(200),
      address: z.array(typedText(200)).max(8),
      tax_ids: z.array(typedText(60)).max(5),
      support: typedText(200).nullable(),
    }),
    series: z.string().regex(/^[A-Z][A-Z0-9]{0,9}$/, 'must be up to 10 capital letters and digits'),
  })
  .meta({ id: 'Settings', description: 'The issuer of invoices, and the series their numbers belong to.' })

const showSettings = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/admin/settings',
  summary: "The vendor's settings",
  responses: { 200: { description: 'The settings.', schema: settingsShape } },
  handle: async ({ services }) => ({ status: 200, body: await services.db.withOperator(readSettings) }),
})

const putSettings = defineRoute({
  ...words,
  method: 'put',
  path: '/v1/admin/settings',
  summary: "Set the vendor's settings",
  body: settingsShape,
  responses: { 200: { description: 'The settings.', schema: settingsShape } },
  async write(tx, { services, body, caller }) {
    const at = await services.clock.now()
    await saveSettings(tx, body)
    await audit(tx, [
      { accountId: null, at, actor: `key:${caller.keyId}`, action: 'settings.changed', subject: 'settings' },
    ])
    return { status: 200, body }
  },
})

export const catalogRoutes = [addProduct, listProducts, addPrice, showSettings, putSettings]
