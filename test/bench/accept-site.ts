// What accepting is measured on: a database whose accounts may issue licenses, and the processes of the Procfile on it.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { openBackend } from '../../apps/adapters/queue-backend.ts'
import { hashApiSecret } from '../../apps/adapters/secrets.ts'
import { childEnvironment } from '../../apps/config.ts'
import { startChild, type Child } from '../../apps/sandbox/children.ts'
import type { TestRedis } from '../support/redis.ts'
import type { Lab, Site } from './lab.ts'
import { say } from './measure.ts'

export type Backend = 'PostgreSQL' | 'Redis'

/** What the load asks for; the generator knows the product, with a price in every currency. */
export const REQUEST = JSON.stringify({ product: 'product-1' })
/** What a partner's worker, webshop and portal would be, many times over. */
const ACCOUNTS = 1_000
const LICENSES = 100_000
const FLOOR_QUEUE = 'floor'
const LICENSES_QUEUE = 'licenses'
/** As in the Procfile. */
const WORKED = [LICENSES_QUEUE, 'imports', 'usage', 'invoices', 'payments', 'notifications']

export interface AcceptSite {
  readonly backend: Backend
  readonly site: Site
  /** API keys, one of every account. */
  readonly keys: readonly string[]
  startFloor(): Promise<Child>
  startWeb(): Promise<Child>
  startWorker(): Promise<Child>
  /** Empties the queue and forgets the actions. */
  reset(): Promise<void>
  /** How many jobs the queue holds, of the floor's or of ours. */
  queued(side: 'ours' | 'floor'): Promise<number>
  drop(): Promise<void>
}

/** As in the Procfile; the floor's are web's. */
const flagsOf = (name: string): string[] => [
  `--max-semi-space-size=${name === 'worker' ? 4 : 16}`,
  '--max-old-space-size=512',
]

/** An account's key and card. The months of before are closed: the schedules find nothing to do. */
const KEYS = `
  INSERT INTO api_keys (id, account_id, name, secret_hash, hint, scopes, created_at)
  SELECT gen_random_uuid(), a.id, 'bench', k.hash, 'WXYZ', '{licenses}', a.created_at
  FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) AS n FROM accounts) AS a
  JOIN unnest($1::bytea[]) WITH ORDINALITY AS k (hash, n) ON k.n = a.n`
const CARDS = `
  INSERT INTO payment_methods (id, account_id, stripe_id, brand, last4, exp_month, exp_year, "primary", added_at)
  SELECT gen_random_uuid(), id, 'pm_bench_' || id, 'visa', '4242', 12, 2099, true, created_at FROM accounts`
const NOTHING_DUE = `UPDATE accounts SET bill_from = date_trunc('month', current_date) + interval '1 month'`

async function fill({ admin }: Site): Promise<string[]> {
  const { rows } = await admin.query<{ n: string }>('SELECT count(*) AS n FROM accounts')
  const keys = Array.from({ length: Number(rows[0]!.n) }, () => `pd_acct_${randomBytes(32).toString('base64url')}`)
  await admin.query(KEYS, [keys.map((key) => Buffer.from(hashApiSecret(key)))])
  await admin.query(CARDS)
  await admin.query(NOTHING_DUE)
  await admin.query('VACUUM ANALYZE')
  return keys
}

/** The environment of our processes. Nothing that is measured calls Stripe or sends mail: nobody listens there. */
function environmentOf(lab: Lab, site: Site, redis: TestRedis | null): NodeJS.ProcessEnv {
  const nowhere = '127.0.0.1:9'
  return childEnvironment({
    NODE_ENV: 'production',
    API_DATABASE_URL: site.apiUrl,
    WORKER_DATABASE_URL: site.workerUrl,
    PERDIEM_HOME: join(lab.home, 'processes'),
    PERDIEM_SECRET: randomBytes(32).toString('hex'),
    STRIPE_SECRET_KEY: 'sk_test_bench',
    STRIPE_WEBHOOK_SECRET: 'whsec_bench',
    STRIPE_URL: `http://${nowhere}`,
    SMTP_URL: `smtp://${nowhere}`,
    MAIL_FROM: 'bench@example.com',
    PORT: '0',
    RATE_LIMIT_PER_MINUTE: '1000000000',
    REDIS_URL: redis?.url,
  })
}

/** @param redis null: the queue is in PostgreSQL */
export async function openAcceptSite(lab: Lab, redis: TestRedis | null, divisor: number): Promise<AcceptSite> {
  const backend = redis === null ? 'PostgreSQL' : 'Redis'
  const shape = { name: `accept_${backend.toLowerCase()}`, licenses: LICENSES / divisor, accounts: ACCOUNTS / divisor }
  const site = await lab.make(shape)
  const keys = await fill(site)
  const env = environmentOf(lab, site, redis)
  const logs = join(lab.home, 'logs')
  const onExit = (name: string, how: string): void => say(`${name} ended (${how})`)
  const start = (name: string, program: string, args: readonly string[] = []): Promise<Child> =>
    startChild({ name: `${name}-${backend}`, program, args, flags: flagsOf(name), env, logs, onExit })
  return {
    backend,
    site,
    keys,
    startFloor: () => start('floor', 'test/bench/accept-floor.ts', [backend, redis?.url ?? site.apiUrl, FLOOR_QUEUE]),
    startWeb: () => start('web', 'apps/api/main.ts'),
    startWorker: () => start('worker', 'apps/worker/main.ts', WORKED),
    async reset() {
      await site.admin.query('TRUNCATE actions, staged_jobs')
      if (redis) await redis.client.flushall()
      else await site.admin.query('TRUNCATE bullmq.job, bullmq.event CASCADE')
      await site.admin.query('CHECKPOINT')
    },
    queued: (side) => countQueued(side, redis, site.apiUrl),
    drop: () => site.drop(),
  }
}

async function countQueued(side: 'ours' | 'floor', redis: TestRedis | null, databaseUrl: string): Promise<number> {
  // BullMQ's own prefix: the floor is bare.
  if (side === 'floor' && redis !== null) return await redis.client.llen(`bull:${FLOOR_QUEUE}:wait`)
  const backend = openBackend({ databaseUrl, redisUrl: redis?.url }, 'work', 1, () => undefined)
  try {
    return await backend.queue(side === 'ours' ? LICENSES_QUEUE : FLOOR_QUEUE).getJobCountByTypes('wait')
  } finally {
    await backend.close()
  }
}
