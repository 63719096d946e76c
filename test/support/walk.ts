// A partner's month, step by step, stopping where a given job has work: its payload is handed back, the job is not run.
import { workStaged } from '../../apps/adapters/outbox.ts'
import type { Ports } from '../../jobs/kit/ports.ts'
import { waitUntil } from './wait.ts'
import type { TestAccount, World } from './world.ts'

export interface DueJob {
  readonly id: string
  readonly name: string
  readonly payload: unknown
  readonly account: string | null
  /** What the webhook is about that it follows. */
  readonly event: string | null
}

/** Most webhooks say nothing that we do not know: these two are acted upon. */
const FOLLOWED = new Set([null, 'checkout.session.completed', 'invoice.paid'])

export async function dueJobs(world: World): Promise<DueJob[]> {
  return await world.db.prisma.$queryRaw`
    SELECT s.id, name, payload, account_id AS account, e.type AS event
    FROM staged_jobs s LEFT JOIN stripe_events e ON e.id = payload ->> 'event'
    WHERE finished_at IS NULL AND (due_at IS NULL OR due_at <= ${world.now()}::timestamptz) ORDER BY s.created_at, s.id`
}

/** Waits until the stand-in has delivered what it has to say. */
export const webhooksDelivered = (world: World): Promise<void> =>
  waitUntil('every webhook is delivered', async () => (await world.standIn.pendingWebhooks()) === 0)

/** Works what is due, job by job, until one of this name is. */
async function workUntil(world: World, wanted: string): Promise<DueJob | null> {
  for (;;) {
    await webhooksDelivered(world)
    const due = await dueJobs(world)
    const found = due.find(({ name, event }) => name === wanted && FOLLOWED.has(event))
    if (found || due.length === 0) return found ?? null
    await workStaged(due[0]!.id, world.db, world.ports)
  }
}

type Step = (world: World, account: TestAccount) => Promise<unknown>

const accepted = async (call: Promise<{ status: number; body: unknown }>): Promise<void> => {
  const { status, body } = await call
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`)
}

/** A tick is named; what lies between is done. */
const MONTH: readonly (string | Step)[] = [
  async (world, { key }) => {
    const setup = await world.call('POST', '/v1/payment-methods/setup', { key, body: {} })
    const refused = await world.standIn.enterCard(setup.body.url, { number: '4242424242424242', exp: '12/38' })
    if (refused) throw new Error(refused.message)
  },
  (world, { key }) =>
    accepted(
      world.call('POST', '/v1/licenses', {
        key,
        body: {
          product: 'backup',
          quantity: 2,
          site: { url: 'https://a.example' },
        },
      }),
    ),
  (world) => world.at('2026-11-01T00:00:00Z'),
  'usage.count-all-days',
  'invoices.close-all-months',
  (world) => world.at('2026-11-03T00:00:00Z'),
  'invoices.finalize-all-invoices',
]

/** Lives an October up to where the job of this name is next, and gives its payload. */
export async function walkTo(world: World, account: TestAccount, wanted: string): Promise<unknown> {
  for (const step of MONTH) {
    if (typeof step !== 'string') await step(world, account)
    else {
      const payload = { at: world.now().toISOString() }
      if (step === wanted) return payload
      await world.perform(step, payload)
    }
    const found = await workUntil(world, wanted)
    if (found) return found.payload
  }
  throw new Error(`a month went by and ${wanted} had nothing to do`)
}

/** More tries than any story needs. */
const TRIES_MAX = 6

/**
 * Works everything off, each job tried again at once when it throws.
 * @returns how many tries threw
 */
export async function workAll(world: World, portsOf: (job: DueJob) => Ports = () => world.ports): Promise<number> {
  let thrown = 0
  for (;;) {
    await webhooksDelivered(world)
    const due = await dueJobs(world)
    if (due.length === 0) return thrown
    for (const job of due) {
      for (let tries = 1; ; tries += 1) {
        const error = await workStaged(job.id, world.db, portsOf(job)).then(
          () => null,
          (reason: Error) => reason,
        )
        if (!error) break
        thrown += 1
        if (tries === TRIES_MAX) throw error
      }
    }
  }
}
