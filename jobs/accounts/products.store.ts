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

/** Creates the products that an import's prices name and nobody knows, each as its first line says, in their order. */
export async function addMissingProducts(tx: Tx, importId: string, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO products (id, slug, name, family, created_at)
    SELECT DISTINCT ON (product) uuid_v7(${at}::timestamptz + line * interval '1 ms'), product,
           name, family, ${at}::timestamptz
    FROM import_prices WHERE import_id = ${importId}::uuid ORDER BY product, line
    ON CONFLICT (slug) DO NOTHING`
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
  readonly billWhilePaused: boolean
  readonly at: Date
  /** Of the job that closes anew what the price opens again; staged only then. */
  readonly jobId: string
}

export type PriceVerdict = 'created' | 'price_exists' | 'month_closed' | 'forbidden'

/**
 * Sets a price through the database's add_price(), which refuses what would change an invoiced month and opens the
 * closed months that are still drafts, so that they are drawn anew.
 */
export async function setPrice(tx: Tx, price: NewPrice): Promise<PriceVerdict> {
  const rows = await tx.$queryRaw<{ verdict: PriceVerdict }[]>`
    SELECT add_price(${price.id}::uuid, ${price.productId}::uuid, ${price.accountId}::uuid, ${price.currency},
                     ${price.model}, ${price.monthlyAmount}::numeric, ${price.effectiveFrom}::date,
                     ${price.endsOn}::date, ${price.billWhilePaused}, ${price.at}::timestamptz,
                     ${price.jobId}::uuid) AS verdict`
  return rows[0]!.verdict
}
