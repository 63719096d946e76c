// A partner's month, step by step, stopping where a given job has work: its payload is handed back, the job is not run.
import { workStaged } from '../../apps/adapters/outbox.ts'
import { openMonth } from '../../jobs/invoices/close.store.ts'
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

type Step = (world: World, account: TestAccount, wanted: string) => Promise<unknown>

const accepted = async (call: Promise<{ status: number; body: unknown }>): Promise<void> => {
  const { status, body } = await call
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`)
}

/** A history of one account that nobody knows yet, with a list price, an own price, and a license that has moved. */
async function sendHistory(world: World): Promise<void> {
  const send = async (path: string, body?: unknown) => {
    const answer = await world.call('POST', `/v1/admin/imports${path}`, { body })
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const { id } = await send('', { bill_from: '2026-08' })
  for (const [file, cells] of Object.entries(HISTORY)) {
    const [columns, ...rows] = cells.map((line) => line.split(','))
    await send(`/${id}/rows`, { file, columns, rows: rows.map((row, n) => [n + 2, ...row]) })
  }
  await send(`/${id}/apply`)
}

const HISTORY = {
  'accounts.csv': [
    'account,name,currency,timezone,invoice_day,net_days,autopay_cap,company_name,contact_name,website,address,city,' +
      'postal_code,country',
    'old-1,Old partner,usd,Europe/Berlin,3,14,4000.00,Old GmbH,,,,Berlin,10115,DE',
  ],
  'prices.csv': [
    'product,name,family,currency,model,monthly_amount,effective_from,account',
    'legacy,Legacy,test,usd,per_day,5.00,2026-01-01,',
    'backup,Backup,test,usd,per_day,7.50,2026-01-01,old-1',
  ],
  'events.csv': [
    'at,account,license,event,product,site_url,site_external_id,client',
    '2026-08-03T10:00:00Z,old-1,L-1,issue,backup,https://old.example,,Client',
    '2026-08-20T10:00:00Z,old-1,L-1,unassign,backup,,,',
    '2026-08-21T10:00:00Z,old-1,L-1,assign,backup,,blog-2,Client',
    '2026-08-04T10:00:00Z,old-1,L-2,issue,legacy,,,',
    '2026-09-04T10:00:00Z,old-1,L-2,revoke,legacy,,,',
  ],
}

/** A tick is named; what lies between is done. */
const MONTH: readonly (string | Step)[] = [
  // Only where it is asked for: two months of another account are counted and closed after it.
  async (world, _, wanted) => {
    if (wanted.startsWith('imports.')) await sendHistory(world)
  },
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
  // The count of the last day has staged the close already; the tick is for a month that was opened again.
  async (world, { uuid }, wanted) => {
    if (wanted !== 'invoices.close-all-months') return
    await world.db.acrossAccounts((tx) => openMonth(tx, uuid, '2026-10-01'))
  },
  'invoices.close-all-months',
  (world) => world.at('2026-11-03T00:00:00Z'),
  'invoices.finalize-all-invoices',
]

/** Lives an October up to where the job of this name is next, and gives its payload. */
export async function walkTo(world: World, account: TestAccount, wanted: string): Promise<unknown> {
  for (const step of MONTH) {
    if (typeof step !== 'string') await step(world, account, wanted)
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
