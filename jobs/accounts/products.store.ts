// Writes products and prices.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

export interface NewProduct {
  readonly id: string
  readonly slug: string
  readonly name: string
  readonly family: string
  readonly at: Date
}

/** @returns false when the slug is taken */
export async function createProduct(tx: Tx, product: NewProduct): Promise<boolean> {
  const created = await tx.$executeRaw`
    INSERT INTO products (id, slug, name, family, created_at)
    VALUES (${product.id}::uuid, ${product.slug}, ${product.name}, ${product.family}, ${product.at}::timestamptz)
    ON CONFLICT (slug) DO NOTHING`
  return created === 1
}

export async function productId(tx: Tx, slug: string): Promise<string | null> {
  const rows = await tx.$queryRaw<{ id: string }[]>`SELECT id FROM products WHERE slug = ${slug}`
  return rows[0]?.id ?? null
}

export interface NewPrice {
  readonly id: string
  readonly productId: string
  readonly accountId: string | null
  readonly currency: string
  readonly model: string
  /** Major units a month. */
  readonly monthlyAmount: string
  readonly effectiveFrom: Day
  readonly endsOn: Day | null
  readonly at: Date
}

/** @returns false when the product has a price of this currency, account and date already */
export async function createPrice(tx: Tx, price: NewPrice): Promise<boolean> {
  const created = await tx.$executeRaw`
    INSERT INTO prices (id, product_id, account_id, currency, model, monthly_amount, effective_from, ends_on,
                        created_at)
    VALUES (${price.id}::uuid, ${price.productId}::uuid, ${price.accountId}::uuid, ${price.currency}, ${price.model},
            ${price.monthlyAmount}::numeric, ${price.effectiveFrom}::date, ${price.endsOn}::date,
            ${price.at}::timestamptz)
    ON CONFLICT DO NOTHING`
  return created === 1
}

/** Whether a price from this day on would change usage of a month that is closed: facts of that month are settled. */
export async function touchesClosedMonth(tx: Tx, price: NewPrice): Promise<boolean> {
  const rows = await tx.$queryRaw<{ touched: boolean }[]>`
    SELECT EXISTS (
      SELECT 1 FROM usage_days u
      JOIN accounts a ON a.id = u.account_id AND a.currency = ${price.currency}
      JOIN closed_months m ON m.account_id = u.account_id AND m.month = date_trunc('month', u.day::timestamp)::date
      WHERE u.product_id = ${price.productId}::uuid AND u.day >= ${price.effectiveFrom}::date
        AND (${price.endsOn}::date IS NULL OR u.day < ${price.endsOn}::date)
        AND (${price.accountId}::uuid IS NULL OR u.account_id = ${price.accountId}::uuid)) AS touched`
  return rows[0]!.touched
}
