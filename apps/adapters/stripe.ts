// Stripe, spoken to by its own SDK. Our words in, our words out; errors are told apart by their type and code. Every
// call that changes something carries a key made from our row's id, so that a repetition is the same call.
import { createHash } from 'node:crypto'
import Stripe from 'stripe'
import type { ChargeResult, InvoiceCopy, PaymentProvider } from '../../jobs/kit/ports.ts'

/** The API version the SDK's types and design/stripe.md speak of; the webhook endpoint must be set to the same. */
export const STRIPE_API_VERSION = '2026-10-28.endive'
/** A charge may take Stripe half a minute; the job's own retry takes over after that. */
const TIMEOUT_MS = 40_000

export interface StripeOptions {
  readonly secretKey: string
  /** Base address of the stand-in; left out, Stripe itself. */
  readonly url?: string | undefined
}

export function connectStripe({ secretKey, url }: StripeOptions): Stripe {
  const base = url === undefined ? null : new URL(url)
  return new Stripe(secretKey, {
    apiVersion: STRIPE_API_VERSION,
    timeout: TIMEOUT_MS,
    // Retries are the jobs' business: they keep the key, survive a crash and are counted.
    maxNetworkRetries: 0,
    telemetry: false,
    ...(base && { host: base.hostname, port: base.port, protocol: base.protocol === 'https:' ? 'https' : 'http' }),
  })
}

export function stripeProvider(stripe: Stripe): PaymentProvider {
  return {
    async createCustomer({ accountId, name, email }) {
      const customer = await stripe.customers.create(
        { name, ...(email !== null && { email }), metadata: { account: accountId } },
        // With the words in the key: asked again after they changed, Stripe would refuse the same key for a day.
        { idempotencyKey: `customer:${accountId}:${shortHash(`${name}\n${email}`)}` },
      )
      return customer.id
    },
    async openCardSetup({ customerId, accountId, primary, returnUrl }) {
      const metadata = { account: accountId, primary: String(primary) }
      const session = await stripe.checkout.sessions.create({
        mode: 'setup',
        customer: customerId,
        currency: 'usd',
        success_url: returnUrl,
        cancel_url: returnUrl,
        metadata,
      })
      if (!session.url) throw new Error('Stripe opened a session without a page')
      return session.url
    },
    readCardSetup: (sessionId) => readCardSetup(stripe, sessionId),
    ...invoiceCopies(stripe),
    charge: (of) => charge(stripe, of),
  }
}

type Copies = Pick<PaymentProvider, 'createInvoiceCopy' | 'addLines' | 'finalizeCopy' | 'readInvoiceCopy'>

function invoiceCopies(stripe: Stripe): Copies {
  return {
    async createInvoiceCopy({ invoiceId, customerId, currency, number, dueOn, collection }) {
      const charge = collection === 'charge'
      const invoice = await stripe.invoices.create(
        {
          customer: customerId,
          currency,
          number,
          auto_advance: false,
          metadata: { invoice: invoiceId },
          collection_method: charge ? 'charge_automatically' : 'send_invoice',
          ...(!charge && dueOn !== null && { due_date: Math.floor(dueOn.getTime() / 1000) }),
        },
        { idempotencyKey: `mirror:${invoiceId}:create` },
      )
      return invoice.id
    },
    async addLines(stripeInvoiceId, invoiceId, lines) {
      await stripe.invoices.addLines(
        stripeInvoiceId,
        {
          lines: lines.map(({ description, amount, periodStart, periodEnd }) => ({
            description,
            amount: Number(amount),
            period: { start: Math.floor(periodStart.getTime() / 1000), end: Math.floor(periodEnd.getTime() / 1000) },
          })),
        },
        { idempotencyKey: `mirror:${invoiceId}:lines` },
      )
    },
    async finalizeCopy(stripeInvoiceId, invoiceId) {
      await stripe.invoices.finalizeInvoice(
        stripeInvoiceId,
        { auto_advance: false },
        { idempotencyKey: `mirror:${invoiceId}:finalize` },
      )
    },
    readInvoiceCopy: (id) => readInvoiceCopy(stripe, id),
  }
}

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

const idOf = (value: string | { id: string } | null | undefined): string | null =>
  typeof value === 'string' ? value : (value?.id ?? null)

async function readCardSetup(stripe: Stripe, sessionId: string) {
  const session = await stripe.checkout.sessions.retrieve(sessionId, { expand: ['setup_intent.payment_method'] })
  const intent = session.setup_intent
  const method = typeof intent === 'object' && intent !== null ? intent.payment_method : null
  const accountId = session.metadata?.account
  if (session.status !== 'complete' || !accountId || typeof method !== 'object' || !method?.card) return null
  const { brand, last4, exp_month: expMonth, exp_year: expYear } = method.card
  return {
    accountId,
    primary: session.metadata?.primary !== 'false',
    card: { stripeId: method.id, brand, last4, expMonth, expYear },
  }
}

async function readInvoiceCopy(stripe: Stripe, id: string): Promise<InvoiceCopy> {
  const invoice = await stripe.invoices.retrieve(id, { expand: ['payments.data.payment.payment_intent'] })
  const paid = invoice.payments?.data.find((payment) => payment.status === 'paid')?.payment
  const intent = paid?.payment_intent
  const charge = typeof intent === 'object' && intent !== null ? idOf(intent.latest_charge) : null
  return {
    status: (invoice.status ?? 'draft') as InvoiceCopy['status'],
    total: BigInt(invoice.total),
    lines: invoice.lines.data.length,
    hostedUrl: invoice.hosted_invoice_url ?? null,
    // The charge, not the intent: an invoice keeps one intent through all its attempts.
    paidBy: charge,
  }
}

async function charge(
  stripe: Stripe,
  of: { paymentId: string; stripeInvoiceId: string; stripeMethodId: string },
): Promise<ChargeResult> {
  try {
    const invoice = await stripe.invoices.pay(
      of.stripeInvoiceId,
      { payment_method: of.stripeMethodId, off_session: true, expand: ['payments.data.payment.payment_intent'] },
      { idempotencyKey: `charge:${of.paymentId}` },
    )
    const payment = invoice.payments?.data.find(({ status }) => status === 'paid') ?? invoice.payments?.data.at(-1)
    const intent = payment?.payment.payment_intent
    const providerId = typeof intent === 'object' && intent !== null ? idOf(intent.latest_charge) : null
    if (!providerId) throw new Error('Stripe told of no charge')
    return invoice.status === 'paid' ? { kind: 'succeeded', providerId } : { kind: 'processing', providerId }
  } catch (error) {
    const declined = declineOf(error)
    if (declined) return declined
    throw error
  }
}

/** A card's own no. Anything else (no answer, 429, 5xx, a stored 500) leaves the end unknown and is thrown. */
function declineOf(error: unknown): ChargeResult | null {
  if (!(error instanceof Stripe.errors.StripeError) || error.type !== 'StripeCardError') return null
  const raw = error.raw as { advice_code?: string } | undefined
  const providerId = typeof error.charge === 'string' ? error.charge : null
  const code = error.decline_code ?? error.code ?? 'card_declined'
  if (error.code === 'authentication_required' || error.code === 'invoice_payment_intent_requires_action') {
    return { kind: 'requires_action', providerId, code }
  }
  return { kind: 'failed', providerId, code, advice: raw?.advice_code ?? null }
}

/** Stripe's own bound: a webhook signed longer ago than this is a replay. Seconds. */
const WEBHOOK_AGE_MAX_S = 300

/**
 * Checks a webhook against each secret, of which there are two while one is being replaced.
 * @returns what it speaks of, or null when no secret fits or it is too old
 */
export function verifyWebhook(
  stripe: Stripe,
  body: Buffer,
  signature: string,
  secrets: readonly string[],
): { id: string; type: string; objectId: string } | null {
  for (const secret of secrets) {
    try {
      const event = stripe.webhooks.constructEvent(body, signature, secret, WEBHOOK_AGE_MAX_S)
      const objectId = (event.data.object as { id?: unknown }).id
      return { id: event.id, type: event.type, objectId: typeof objectId === 'string' ? objectId : '' }
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeSignatureVerificationError)) return null
    }
  }
  return null
}
