// What no account owns: Stripe's webhook, and whether we are alive and ready.
import { raw, type RequestHandler, type Response, type Router } from 'express'
import followStripeEvent from '../../../jobs/payments/follow-stripe-event.job.ts'
import { crashPoint } from '../../adapters/crash-point.ts'
import { newId } from '../../adapters/ids.ts'
import type { Services } from '../context.ts'
import { Problem } from '../problem.ts'

/** Stripe's events are some kilobytes; the largest, an invoice with many lines, a few hundred. */
const WEBHOOK_MAX = '1mb'
/** A job undone for longer than this means that nobody works. Ticks come every quarter of an hour. */
const JOB_AGE_MAX_S = 20 * 60

/** Stored by event id and staged before the 200; what it says is not believed but fetched again. */
function webhook(services: Services): RequestHandler {
  return async (request, response) => {
    const signature = request.get('stripe-signature') ?? ''
    const event = Buffer.isBuffer(request.body) ? services.verifyWebhook(request.body, signature) : null
    if (!event) throw new Problem(400, 'invalid_signature', 'This is not a webhook signed by Stripe for this endpoint.')
    const at = await services.clock.now()
    const jobId = newId()
    crashPoint('webhook: before')
    const rows = await services.db.prisma.$queryRaw<{ fresh: boolean }[]>`
      SELECT receive_stripe_event(${event.id}, ${event.type}, ${event.objectId}, ${at}::timestamptz,
        ${jobId}::uuid) AS fresh`
    crashPoint('webhook: recorded')
    if (rows[0]?.fresh)
      services.relay.offer([{ id: jobId, name: followStripeEvent.name, payload: { event: event.id } }])
    response.json({ received: true })
  }
}

function ready(services: Services): RequestHandler {
  return async (_request, response: Response) => {
    const problems: string[] = []
    let oldestS: number | null = null
    try {
      const rows = await services.db.prisma.$queryRaw<{ age: number | null }[]>`SELECT oldest_undone_job_s() AS age`
      oldestS = rows[0]?.age ?? null
      if (oldestS !== null && oldestS > JOB_AGE_MAX_S)
        problems.push(`the oldest undone job has waited ${Math.round(oldestS)} s`)
    } catch {
      problems.push('the database does not answer')
    }
    // Without its queue the API accepts all the same; balancing requests away from it would help nobody.
    const trouble = services.queueTrouble()
    const warnings = trouble === null ? [] : [`${trouble}; what is accepted waits in PostgreSQL`]
    response
      .status(problems.length === 0 ? 200 : 503)
      .json({ ready: problems.length === 0, problems, warnings, oldest_undone_job_s: oldestS })
  }
}

export function mountSystem(router: Router, services: Services): void {
  router.get('/healthz', (_request, response) => void response.json({ alive: true }))
  router.get('/readyz', ready(services))
  router.post('/webhooks/stripe', raw({ type: () => true, limit: WEBHOOK_MAX }), webhook(services))
}
