import type { Ports } from '../kit/ports.ts'
import { accountContact, customerOf, saveCustomer } from './payments.store.ts'

/**
 * The account's customer at Stripe, created when there is none. Twice at once is safe: the call carries a key made from
 * the account's id, so that both get the same customer.
 */
export async function ensureCustomer(
  { db, stripe, clock }: Pick<Ports, 'db' | 'stripe' | 'clock'>,
  accountId: string,
): Promise<string> {
  const known = await db.withAccount(accountId, async (tx) => ({
    customerId: await customerOf(tx, accountId),
    contact: await accountContact(tx, accountId),
  }))
  if (known.customerId) return known.customerId
  const customerId = await stripe.createCustomer({ accountId, ...known.contact })
  const at = await clock.now()
  await db.withAccount(accountId, (tx) => saveCustomer(tx, accountId, customerId, at))
  return customerId
}
