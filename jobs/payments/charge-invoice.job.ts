// Charges the cards of an account for one invoice, the primary first, then the others, each once. Staged by the mirror
// of an invoice that is collected by card. Running it twice is safe: an attempt is a row committed before Stripe is
// called, its id is the idempotency key, a second attempt is refused while one is in flight (payments_in_flight), and a
// second success too (payments_succeeded). An attempt whose answer was lost is asked for with the same key, within 23
// hours; after that Stripe's own copy says whether it is paid. When it is dead the invoice stays open: pay it by its
// link.
import { z } from 'zod'
import { audit, type AuditFact } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { dead, done, skipped, type Outcome } from '../kit/outcome.ts'
import type { ChargeResult, Ports } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import renderInvoice from '../documents/render-invoice.job.ts'
import { accountOfInvoice, finalInvoice, settleInvoice, type FinalInvoice } from '../invoices/invoices.store.ts'
import { LOST, planCharge, type ChargeStep } from '../rules/charge-plan.ts'
import { dayOf } from '../rules/period.ts'
import {
  endPayment,
  intendPayment,
  mirrorOf,
  paymentsOf,
  validCards,
  type ChargeCard,
  type PaymentEnd,
} from './payments.store.ts'

/** Stripe forgets idempotency keys after 24 hours; an older attempt is looked up, never sent again. */
const KEY_LIFE_MS = 23 * 3_600_000

export default defineJob({
  name: 'payments.charge-invoice',
  payload: z.object({ invoice: z.uuid() }),
  key: ({ invoice }) => invoice,
  retry: retry.provider,
  timeoutMs: 300_000,
  async run({ invoice: id }, ports) {
    const accountId = await ports.db.acrossAccounts((tx) => accountOfInvoice(tx, id))
    if (!accountId) return dead('no such invoice')
    for (;;) {
      const outcome = await nextStep(ports, accountId, id)
      if (outcome) return outcome
    }
  },
})

interface Situation {
  readonly invoice: FinalInvoice
  readonly stripeInvoiceId: string
  readonly cards: readonly ChargeCard[]
  readonly step: ChargeStep
}

/** Takes one step; an outcome when there is no further one. Every turn tries another card, so the turns are bounded. */
async function nextStep(ports: Ports, accountId: string, invoiceId: string): Promise<Outcome | null> {
  const situation = await look(ports, accountId, invoiceId)
  if (!situation) return dead('no such mirrored invoice')
  if (situation.invoice.collection !== 'charge') return skipped('not collected by card')
  const { step } = situation
  if (step.kind === 'nothing') return skipped(step.reason)
  if (step.kind === 'wait') return done('processing at Stripe')
  if (step.kind === 'exhausted') return await giveUp(ports, situation)
  if (step.kind === 'settle')
    return await settle(ports, situation, step.payment.id, step.payment.methodId, step.payment.sentAt)
  return await charge(ports, situation, step.methodId)
}

async function look({ db, clock }: Ports, accountId: string, invoiceId: string): Promise<Situation | null> {
  const at = await clock.now()
  return await db.withAccount(accountId, async (tx) => {
    const invoice = await finalInvoice(tx, accountId, invoiceId)
    const mirror = await mirrorOf(tx, accountId, invoiceId)
    if (!invoice || !mirror) return null
    const cards = await validCards(tx, accountId, dayOf(at, invoice.timezone))
    const payments = await paymentsOf(tx, accountId, invoiceId)
    const step = planCharge(
      invoice,
      payments,
      cards.map((card) => card.id),
    )
    return { invoice, stripeInvoiceId: mirror.stripeInvoiceId, cards, step }
  })
}

async function charge(ports: Ports, situation: Situation, methodId: string): Promise<Outcome | null> {
  const { invoice } = situation
  const payment = {
    id: ports.newId(),
    accountId: invoice.accountId,
    invoiceId: invoice.id,
    methodId,
    amount: invoice.total - invoice.paid - invoice.credited,
    currency: invoice.currency,
  }
  const at = await ports.clock.now()
  await ports.db.withAccount(invoice.accountId, (tx) => intendPayment(tx, payment, at))
  return await send(ports, situation, payment.id, methodId)
}

async function send(ports: Ports, situation: Situation, paymentId: string, methodId: string): Promise<Outcome | null> {
  const card = situation.cards.find(({ id }) => id === methodId)
  const result: ChargeResult = card
    ? await ports.stripe.charge({
        paymentId,
        stripeInvoiceId: situation.stripeInvoiceId,
        stripeMethodId: card.stripeId,
      })
    : { kind: 'failed', providerId: null, code: 'card_removed', advice: null }
  return await record(ports, situation.invoice, paymentId, result)
}

/** An attempt without an answer. Stripe's own copy is asked first: it alone knows what became of the money. */
async function settle(
  ports: Ports,
  situation: Situation,
  paymentId: string,
  methodId: string | null,
  sentAt: Date | null,
): Promise<Outcome | null> {
  const copy = await ports.stripe.readInvoiceCopy(situation.stripeInvoiceId)
  if (copy.status === 'paid' && copy.paidBy) {
    return await record(ports, situation.invoice, paymentId, { kind: 'succeeded', providerId: copy.paidBy })
  }
  const age = (await ports.clock.now()).getTime() - (sentAt?.getTime() ?? 0)
  if (methodId !== null && age < KEY_LIFE_MS) return await send(ports, situation, paymentId, methodId)
  return await record(ports, situation.invoice, paymentId, {
    kind: 'failed',
    providerId: null,
    code: LOST,
    advice: null,
  })
}

async function record(
  { db, clock }: Ports,
  invoice: FinalInvoice,
  paymentId: string,
  result: ChargeResult,
): Promise<Outcome | null> {
  const { accountId, id: invoiceId } = invoice
  const at = await clock.now()
  const end: PaymentEnd = {
    ...('code' in result && { code: result.code }),
    ...('advice' in result && { advice: result.advice }),
    status: result.kind,
    providerId: result.providerId,
  }
  const paid = await db.withAccount(accountId, async (tx) => {
    // Another worker may have heard the same answer, while this one was stopped.
    const ended = await endPayment(tx, accountId, paymentId, end, at)
    const settled = result.kind === 'succeeded' && (await settleInvoice(tx, accountId, invoiceId, at))
    if (settled) await stage(tx, renderInvoice, { invoice: invoiceId, kind: 'paid_copy' }, { accountId })
    await audit(tx, [
      ...(ended ? [endOf(accountId, invoiceId, paymentId, result, at)] : []),
      ...(settled
        ? [{ accountId, at, actor: 'job:payments.charge-invoice', action: 'invoice.paid', subject: invoiceId }]
        : []),
    ])
    return result.kind === 'succeeded'
  })
  return paid ? done('paid') : null
}

const endOf = (accountId: string, invoice: string, subject: string, result: ChargeResult, at: Date): AuditFact => ({
  ...{ accountId, at, subject },
  actor: 'job:payments.charge-invoice',
  action: `payment.${result.kind}`,
  details: { invoice, ...('code' in result && { code: result.code }) },
})

/** No card worked: the invoice goes out with its pay link. */
async function giveUp({ db }: Ports, { invoice, cards }: Situation): Promise<Outcome> {
  const { accountId, id: invoiceId } = invoice
  await db.withAccount(accountId, (tx) =>
    stage(tx, renderInvoice, { invoice: invoiceId, kind: 'invoice' }, { accountId }),
  )
  return done(cards.length === 0 ? 'no valid card' : 'every card declined')
}
