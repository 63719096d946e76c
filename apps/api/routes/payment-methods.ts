import { z } from 'zod'
import { ensureCustomer } from '../../../jobs/payments/ensure-customer.ts'
import { dayOf } from '../../../jobs/rules/period.ts'
import { toPublicId } from '../../adapters/ids.ts'
import { answerKept } from '../idempotency.ts'
import { defineRoute } from '../route.ts'

const card = z
  .object({
    id: z.string(),
    object: z.literal('payment_method'),
    brand: z.string(),
    last4: z.string(),
    exp_month: z.int(),
    exp_year: z.int(),
    primary: z.boolean(),
    state: z.enum(['active', 'expired']),
  })
  .meta({ id: 'PaymentMethod' })

const words = { audience: 'account', tag: 'Payment methods' } as const

const setup = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/payment-methods/setup',
  action: 'edit_cards',
  summary: 'Open the page on which a card is entered',
  description: "The page is Stripe's: no card number ever reaches this service.",
  body: z.strictObject({
    primary: z.boolean().default(true),
    return_url: z
      .url({ protocol: /^https?$/ })
      .max(2_000)
      .optional(),
  }),
  responses: { 200: { description: 'Where to send the person.', schema: z.object({ url: z.string() }) } },
  async handle(call) {
    const { services, accountId, body } = call
    return await answerKept('payment-methods.setup', call, async () => {
      const customerId = await ensureCustomer(services, accountId)
      const returnUrl = body.return_url ?? services.publicUrl
      const url = await services.stripe.openCardSetup({ customerId, accountId, primary: body.primary, returnUrl })
      return { status: 200, body: { url } }
    })
  },
})

interface CardRow {
  id: string
  brand: string
  last4: string
  expMonth: number
  expYear: number
  primary: boolean
  timezone: string
}

const list = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/payment-methods',
  summary: 'The cards on file, primary first',
  responses: { 200: { description: 'The cards.', schema: z.object({ data: z.array(card) }) } },
  async handle({ services, accountId }) {
    const at = await services.clock.now()
    const rows = await services.db.withAccount(
      accountId,
      (tx) => tx.$queryRaw<CardRow[]>`
      SELECT m.id, m.brand, m.last4, m.exp_month AS "expMonth", m.exp_year AS "expYear", m."primary", a.timezone
      FROM payment_methods m JOIN accounts a ON a.id = m.account_id
      WHERE m.account_id = ${accountId}::uuid AND m.removed_at IS NULL ORDER BY m."primary" DESC, m.added_at, m.id`,
    )
    const data = rows.map((row) => {
      const expires = `${row.expYear}-${String(row.expMonth).padStart(2, '0')}`
      const expired = expires < dayOf(at, row.timezone).slice(0, 7)
      return {
        id: toPublicId('paymentMethod', row.id),
        object: 'payment_method',
        brand: row.brand,
        last4: row.last4,
        exp_month: row.expMonth,
        exp_year: row.expYear,
        primary: row.primary,
        state: expired ? 'expired' : 'active',
      }
    })
    return { status: 200, body: { data } }
  },
})

export const paymentMethodRoutes = [setup, list]
