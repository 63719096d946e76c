import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planCharge, type PaymentFact } from '../../../jobs/rules/charge-plan.ts'

const OPEN = { status: 'open' }
const CARDS = ['primary', 'second', 'third']
type Status = PaymentFact['status']

const payment = (status: Status, methodId: string | null = 'primary', id = `${status} ${methodId}`): PaymentFact => ({
  id,
  status,
  methodId,
  sentAt: null,
  advice: null,
  code: null,
})

describe('the next step of a charge', () => {
  it('is the primary card, then each other card in order, each once', () => {
    const tried: PaymentFact[] = []
    for (const card of CARDS) {
      expect(planCharge(OPEN, tried, CARDS)).toEqual({ kind: 'charge', methodId: card })
      tried.push(payment('failed', card))
    }
    expect(planCharge(OPEN, tried, CARDS)).toEqual({ kind: 'exhausted' })
  })

  it('is over when there is no card at all', () => {
    expect(planCharge(OPEN, [], [])).toEqual({ kind: 'exhausted' })
  })

  it('passes by a card that asked for its owner’s confirmation, as by one that was declined', () => {
    expect(planCharge(OPEN, [payment('requires_action')], CARDS)).toEqual({ kind: 'charge', methodId: 'second' })
  })

  it('takes a card that was added meanwhile, though older ones failed', () => {
    const step = planCharge(OPEN, [payment('failed', 'second')], ['new', 'second'])
    expect(step).toEqual({ kind: 'charge', methodId: 'new' })
  })

  it('does not mistake a payment by link for a try of any card', () => {
    expect(planCharge(OPEN, [payment('failed', null)], CARDS)).toEqual({ kind: 'charge', methodId: 'primary' })
  })

  it('is nothing once the invoice is paid or void', () => {
    for (const status of ['paid', 'void']) {
      expect(planCharge({ status }, [], CARDS)).toEqual({ kind: 'nothing', reason: `invoice is ${status}` })
      expect(planCharge({ status }, [payment('sent')], CARDS)).toMatchObject({ kind: 'nothing' })
    }
  })

  it('goes on for an uncollectible invoice, which still owes', () => {
    expect(planCharge({ status: 'uncollectible' }, [], CARDS)).toEqual({ kind: 'charge', methodId: 'primary' })
  })

  it('is nothing once a charge succeeded, though the invoice does not say so yet', () => {
    expect(planCharge(OPEN, [payment('succeeded')], CARDS)).toEqual({ kind: 'nothing', reason: 'already charged' })
  })

  it.each(['created', 'sent', 'unknown'] as const)('settles an attempt that is %s before anything else', (status) => {
    const flying = payment(status)
    expect(planCharge(OPEN, [payment('failed', 'second'), flying], CARDS)).toEqual({ kind: 'settle', payment: flying })
  })

  it('waits for what Stripe is still processing', () => {
    expect(planCharge(OPEN, [payment('processing')], CARDS)).toEqual({ kind: 'wait' })
  })
})

describe('a charge under any course of events', () => {
  const status = fc.constantFrom<Status>(
    'created',
    'sent',
    'succeeded',
    'failed',
    'requires_action',
    'processing',
    'unknown',
  )

  it('begins no attempt while another may still take the money, or has', () => {
    const payments = fc.array(fc.tuple(status, fc.constantFrom(...CARDS, null)))
    fc.assert(
      fc.property(payments, (rows) => {
        const facts = rows.map(([status, card], index) => payment(status, card, String(index)))
        const step = planCharge(OPEN, facts, CARDS)
        if (step.kind !== 'charge') return
        expect(facts.every((fact) => fact.status === 'failed' || fact.status === 'requires_action')).toBe(true)
        expect(facts.map((fact) => fact.methodId)).not.toContain(step.methodId)
      }),
    )
  })

  it('ends after each card was tried at most once', () => {
    const end = fc.constantFrom<Status>('succeeded', 'failed', 'requires_action', 'processing')
    const ends = fc.array(end, { minLength: CARDS.length })
    fc.assert(
      fc.property(ends, fc.subarray(CARDS), (ends, cards) => {
        const tried: PaymentFact[] = []
        let step = planCharge(OPEN, tried, cards)
        while (step.kind === 'charge') {
          tried.push(payment(ends[tried.length]!, step.methodId))
          step = planCharge(OPEN, tried, cards)
        }
        expect(step.kind).not.toBe('settle')
        expect(tried.map((fact) => fact.methodId)).toEqual(cards.slice(0, tried.length))
        if (step.kind === 'exhausted') expect(tried).toHaveLength(cards.length)
      }),
    )
  })
})

describe('an attempt whose answer was lost, and that Stripe knows nothing of', () => {
  const lost = (id: string) => ({
    id,
    status: 'failed' as const,
    methodId: 'card',
    sentAt: null,
    advice: null,
    code: 'not_found_at_provider',
  })

  it('has not tried its card; but three times are enough', () => {
    const open = { status: 'open' }
    expect(planCharge(open, [lost('a'), lost('b')], ['card'])).toEqual({ kind: 'charge', methodId: 'card' })
    expect(planCharge(open, [lost('a'), lost('b'), lost('c')], ['card'])).toEqual({ kind: 'exhausted' })
  })
})
