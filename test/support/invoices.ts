// Invoices as tests look at them: straight from the tables, and the months that lead to them.
import { act, type TestAccount, type World } from './world.ts'

export interface InvoiceFacts {
  readonly id: string
  readonly total: bigint
  readonly number: string | null
  readonly collection: string | null
  readonly parked: string | null
  readonly status: string | null
  readonly paid: bigint | null
  readonly credited: bigint | null
  readonly unsent: string | null
  readonly mirrored: boolean
  /** Kinds of the documents it has. */
  readonly documents: string[]
  /** Reasons of the mails sent for it, without its id. */
  readonly mailed: string[]
  readonly payments: string[]
}

/** An account's invoices, oldest first, with all that became of them. */
export async function invoicesOf(world: World, account: TestAccount): Promise<InvoiceFacts[]> {
  return await world.db.prisma.$queryRaw`
    SELECT i.id, i.total, i.number, i.collection, i.parked_reason AS parked, s.status, s.paid, s.credited, s.unsent,
           EXISTS (SELECT 1 FROM invoice_mirrors m WHERE m.invoice_id = i.id) AS mirrored,
           ARRAY(SELECT kind FROM documents d WHERE d.invoice_id = i.id ORDER BY 1) AS documents,
           ARRAY(SELECT split_part(reason, '.', 3) FROM messages m
                 WHERE m.account_id = i.account_id AND reason LIKE '%' || i.id || '%' AND sent_at IS NOT NULL
                 ORDER BY 1) AS mailed,
           ARRAY(SELECT status FROM payments p WHERE p.invoice_id = i.id ORDER BY created_at, id) AS payments
    FROM invoices i LEFT JOIN invoice_states s ON s.invoice_id = i.id
    WHERE i.account_id = ${account.uuid}::uuid ORDER BY i.period_start`
}

export async function invoiceOf(world: World, account: TestAccount): Promise<InvoiceFacts> {
  const all = await invoicesOf(world, account)
  if (all.length !== 1) throw new Error(`one invoice expected, not ${all.length}`)
  return all[0]!
}

/** Issues one license of a product, or fails. */
export async function issue(world: World, account: TestAccount, product: string, quantity = 1): Promise<string[]> {
  const action = await act(world, account, '/v1/licenses', { product, quantity })
  if (action.status !== 'done') throw new Error(`not issued: ${JSON.stringify(action)}`)
  return action.result.licenses.map((license: { id: string }) => license.id)
}

/** An own price of one account that makes one license of a month of 31 days come to this total, in cents. */
export async function priceFor31Days(
  world: World,
  account: TestAccount,
  product: string,
  cents: number,
): Promise<void> {
  // total = monthly × 12/365 × 31, so that monthly = total × 365/372; six places are exact enough for a cent.
  const micros = (BigInt(cents) * 10_000n * 365n * 2n + 372n) / (372n * 2n)
  const text = micros.toString().padStart(7, '0')
  const body = {
    product,
    currency: 'usd',
    model: 'per_day',
    monthly_amount: `${text.slice(0, -6)}.${text.slice(-6)}`,
    effective_from: '2026-01-01',
    account: account.id,
  }
  const made = await world.call('POST', '/v1/admin/prices', { body })
  if (made.status !== 201) throw new Error(`price: ${JSON.stringify(made.body)}`)
}

/** October is over and, three days later, its invoices go out. */
export async function closeOctober(world: World): Promise<void> {
  await world.at('2026-11-01T00:00:00Z')
  await world.tick()
}
export async function finalizeOctober(world: World): Promise<void> {
  await world.at('2026-11-03T00:00:00Z')
  await world.tick()
}
