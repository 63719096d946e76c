// Follows a webhook: fetches the object it speaks of and records what is true of it now. Staged, by event id, before
// the webhook is answered. Running it twice is safe: only Stripe's present state is read: a card is
// known by its Stripe id, a payment by its own. When it is dead something at Stripe is missing here; redrive it.
import { z } from 'zod'
import { audit } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped, type Outcome } from '../kit/outcome.ts'
import type { Ports } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import renderInvoice from '../documents/render-invoice.job.ts'
import { finalInvoice, settleInvoice } from '../invoices/invoices.store.ts'
import {
  addCard,
  endPayment,
  findStripeEvent,
  invoiceOfMirror,
  paymentsOf,
  recordOutsidePayment,
} from './payments.store.ts'

const ACTOR = 'job:payments.follow-stripe-event'

export default defineJob({
  name: 'payments.follow-stripe-event',
  payload: z.object({ event: z.string().max(255) }),
  key: ({ event }) => event,
  retry: retry.provider,
  timeoutMs: 120_000,
  async run({ event: id }, ports) {
    const event = await ports.db.acrossAccounts((tx) => findStripeEvent(tx, id))
    if (!event) return dead('no such event')
    if (event.type === 'checkout.session.completed') return await recordCard(ports, event.objectId)
    if (event.type === 'invoice.paid') return await recordPaid(ports, event.objectId)
    return skipped(`nothing follows from ${event.type}`)
  },
})

async function recordCard({ db, stripe, clock, newId }: Ports, sessionId: string): Promise<Outcome> {
  const setup = await stripe.readCardSetup(sessionId)
  if (!setup) return skipped('the session is not completed')
  const { accountId, card, primary } = setup
  const at = await clock.now()
  return await db.withAccount(accountId, async (tx) => {
    const id = newId()
    if (!(await addCard(tx, accountId, id, card, primary, at))) return skipped('card already known')
    await audit(tx, [{ accountId, at, actor: 'stripe', action: 'payment_method.added', subject: id }])
    return done()
  })
}

async function recordPaid({ db, stripe, clock, newId }: Ports, stripeInvoiceId: string): Promise<Outcome> {
  const mirror = await db.acrossAccounts((tx) => invoiceOfMirror(tx, stripeInvoiceId))
  if (!mirror) return skipped('not an invoice of ours')
  const copy = await stripe.readInvoiceCopy(stripeInvoiceId)
  if (copy.status !== 'paid' || copy.paidBy === null) return skipped(`the copy is ${copy.status}`)
  const { accountId, invoiceId } = mirror
  const paidBy = copy.paidBy
  const at = await clock.now()
  return await db.withAccount(accountId, async (tx) => {
    const invoice = await finalInvoice(tx, accountId, invoiceId)
    // Whoever settles it first (this webhook, its copy, the charge itself) does the rest; the others wait here for him.
    if (!invoice || !(await settleInvoice(tx, accountId, invoiceId, at))) return skipped('already paid')
    const flying = (await paymentsOf(tx, accountId, invoiceId)).find(
      (p) => p.status === 'sent' || p.status === 'processing',
    )
    if (flying) {
      // Our own charge; its answer may still be on its way, or lost.
      await endPayment(tx, accountId, flying.id, { status: 'succeeded', providerId: paidBy }, at)
    } else {
      const amount = invoice.total - invoice.paid - invoice.credited
      await recordOutsidePayment(
        tx,
        { id: newId(), accountId, invoiceId, methodId: null, amount, currency: invoice.currency },
        paidBy,
        at,
      )
    }
    await stage(tx, renderInvoice, { invoice: invoiceId, kind: 'paid_copy' }, { accountId })
    await audit(tx, [{ accountId, at, actor: ACTOR, action: 'invoice.paid', subject: invoiceId }])
    return done('paid')
  })
}
