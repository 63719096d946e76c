// Writes stripe_customers, payment_methods, invoice_mirrors and payments.
import type { Card, Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'
import type { PaymentFact } from '../rules/charge-plan.ts'

export async function customerOf(tx: Tx, accountId: string): Promise<string | null> {
  const rows = await tx.$queryRaw<{ customerId: string }[]>`
    SELECT customer_id AS "customerId" FROM stripe_customers WHERE account_id = ${accountId}::uuid`
  return rows[0]?.customerId ?? null
}

export async function accountContact(tx: Tx, accountId: string): Promise<{ name: string; email: string | null }> {
  const rows = await tx.$queryRaw<{ name: string; email: string | null }[]>`
    SELECT name, billing_email AS email FROM accounts WHERE id = ${accountId}::uuid`
  if (!rows[0]) throw new Error(`account ${accountId} is missing`)
  return rows[0]
}

export async function saveCustomer(tx: Tx, accountId: string, customerId: string, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO stripe_customers (account_id, customer_id, created_at)
    VALUES (${accountId}::uuid, ${customerId}, ${at}::timestamptz) ON CONFLICT (account_id) DO NOTHING`
}

/**
 * Records a card. The first is primary; a new one becomes primary unless told otherwise; exactly one is, at every
 * commit.
 * @returns false when the card was known already
 */
export async function addCard(
  tx: Tx,
  accountId: string,
  id: string,
  card: Card,
  wantsPrimary: boolean,
  at: Date,
): Promise<boolean> {
  // The account's row serializes changes of its cards, so that two first cards cannot both be primary.
  await tx.$queryRaw`SELECT 1 FROM accounts WHERE id = ${accountId}::uuid FOR NO KEY UPDATE`
  const known = await tx.$queryRaw<unknown[]>`SELECT 1 FROM payment_methods WHERE stripe_id = ${card.stripeId}`
  if (known.length > 0) return false
  const live = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM payment_methods WHERE account_id = ${accountId}::uuid AND removed_at IS NULL LIMIT 1`
  const primary = wantsPrimary || live.length === 0
  if (primary) {
    await tx.$executeRaw`
      UPDATE payment_methods SET "primary" = false
      WHERE account_id = ${accountId}::uuid AND "primary" AND removed_at IS NULL`
  }
  await tx.$executeRaw`
    INSERT INTO payment_methods (id, account_id, stripe_id, brand, last4, exp_month, exp_year, "primary", added_at)
    VALUES (${id}::uuid, ${accountId}::uuid, ${card.stripeId}, ${card.brand}, ${card.last4}, ${card.expMonth},
            ${card.expYear}, ${primary}, ${at}::timestamptz)`
  return true
}

export interface ChargeCard {
  readonly id: string
  readonly stripeId: string
  readonly brand: string
  readonly last4: string
}

/** The cards that may be charged on a local day: not removed, not expired; the primary first, then the oldest. */
export async function validCards(tx: Tx, accountId: string, today: Day): Promise<ChargeCard[]> {
  return await tx.$queryRaw`
    SELECT id, stripe_id AS "stripeId", brand, last4 FROM payment_methods
    WHERE account_id = ${accountId}::uuid AND removed_at IS NULL
      AND (exp_year, exp_month) >= (extract(year FROM ${today}::date), extract(month FROM ${today}::date))
    ORDER BY "primary" DESC, added_at, id`
}

export interface Mirror {
  readonly stripeInvoiceId: string
  readonly hostedUrl: string | null
}

export async function mirrorOf(tx: Tx, accountId: string, invoiceId: string): Promise<Mirror | null> {
  const rows = await tx.$queryRaw<Mirror[]>`
    SELECT stripe_invoice_id AS "stripeInvoiceId", hosted_url AS "hostedUrl" FROM invoice_mirrors
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid`
  return rows[0] ?? null
}

export async function invoiceOfMirror(
  tx: Tx,
  stripeInvoiceId: string,
): Promise<{ accountId: string; invoiceId: string } | null> {
  const rows = await tx.$queryRaw<{ accountId: string; invoiceId: string }[]>`
    SELECT account_id AS "accountId", invoice_id AS "invoiceId" FROM invoice_mirrors
    WHERE stripe_invoice_id = ${stripeInvoiceId}`
  return rows[0] ?? null
}

export async function saveMirror(
  tx: Tx,
  accountId: string,
  invoiceId: string,
  stripeInvoiceId: string,
  at: Date,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO invoice_mirrors (invoice_id, account_id, stripe_invoice_id, created_at)
    VALUES (${invoiceId}::uuid, ${accountId}::uuid, ${stripeInvoiceId}, ${at}::timestamptz)
    ON CONFLICT (invoice_id) DO NOTHING`
}

export async function savePayLink(tx: Tx, accountId: string, invoiceId: string, hostedUrl: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE invoice_mirrors SET hosted_url = ${hostedUrl}
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid`
}

/** Every attempt on an invoice, oldest first. */
export async function paymentsOf(tx: Tx, accountId: string, invoiceId: string): Promise<PaymentFact[]> {
  return await tx.$queryRaw`
    SELECT id, status, payment_method_id AS "methodId", sent_at AS "sentAt", advice, code FROM payments
    WHERE account_id = ${accountId}::uuid AND invoice_id = ${invoiceId}::uuid ORDER BY created_at, id`
}

export interface NewPayment {
  readonly id: string
  readonly accountId: string
  readonly invoiceId: string
  readonly methodId: string | null
  readonly amount: bigint
  readonly currency: string
}

/** Records the intent to charge, before Stripe is called. A second one in flight is refused by payments_in_flight. */
export async function intendPayment(tx: Tx, payment: NewPayment, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO payments (id, account_id, invoice_id, payment_method_id, amount, currency, status, created_at, sent_at)
    VALUES (${payment.id}::uuid, ${payment.accountId}::uuid, ${payment.invoiceId}::uuid, ${payment.methodId}::uuid,
            ${payment.amount}, ${payment.currency}, 'sent', ${at}::timestamptz, ${at}::timestamptz)`
}

export interface PaymentEnd {
  readonly status: 'succeeded' | 'failed' | 'requires_action' | 'processing'
  readonly providerId: string | null
  readonly code?: string | null
  readonly advice?: string | null
}

/** Sets how an attempt ended. One that succeeded never changes again. */
export async function endPayment(tx: Tx, accountId: string, id: string, end: PaymentEnd, at: Date): Promise<boolean> {
  const ended = await tx.$executeRaw`
    UPDATE payments SET status = ${end.status}, provider_id = ${end.providerId}, code = ${end.code ?? null},
      advice = ${end.advice ?? null}, ended_at = ${end.status === 'processing' ? null : at}::timestamptz
    WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid AND status NOT IN ('succeeded', ${end.status})`
  return ended === 1
}

/** Records a payment made on Stripe's own page, which we did not ask for. Known by Stripe's id, once. */
export async function recordOutsidePayment(tx: Tx, payment: NewPayment, providerId: string, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO payments (id, account_id, invoice_id, amount, currency, status, provider_id, created_at, ended_at)
    VALUES (${payment.id}::uuid, ${payment.accountId}::uuid, ${payment.invoiceId}::uuid, ${payment.amount},
            ${payment.currency}, 'succeeded', ${providerId}, ${at}::timestamptz, ${at}::timestamptz)
    ON CONFLICT (provider_id) DO NOTHING`
}

/** With which card an invoice was paid: "Visa •••• 4242", or null for Stripe's page. */
export async function paidWith(tx: Tx, accountId: string, invoiceId: string): Promise<string | null> {
  const rows = await tx.$queryRaw<{ brand: string; last4: string }[]>`
    SELECT m.brand, m.last4 FROM payments p JOIN payment_methods m ON m.id = p.payment_method_id
    WHERE p.account_id = ${accountId}::uuid AND p.invoice_id = ${invoiceId}::uuid AND p.status = 'succeeded'`
  const card = rows[0]
  return card ? `${card.brand.slice(0, 1).toUpperCase()}${card.brand.slice(1)} •••• ${card.last4}` : null
}

export async function findStripeEvent(tx: Tx, id: string): Promise<{ type: string; objectId: string } | null> {
  const rows = await tx.$queryRaw<{ type: string; objectId: string }[]>`
    SELECT type, object_id AS "objectId" FROM stripe_events WHERE id = ${id}`
  return rows[0] ?? null
}
