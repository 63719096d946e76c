// The web process: checks, records, stages, answers. It never rates, renders, charges or mails.
import { join, resolve } from 'node:path'
import { queues } from '../../jobs/catalog.ts'
import { sandboxClock, wallClock } from '../adapters/clock.ts'
import { connectDatabase, POOL_MAX } from '../adapters/database.ts'
import { createFiles } from '../adapters/files.ts'
import { createLog, quieten } from '../adapters/log.ts'
import { createRelay } from '../adapters/outbox.ts'
import { preflight } from '../adapters/preflight.ts'
import { connectQueue, troubleOf } from '../adapters/queue.ts'
import { createSecrets } from '../adapters/secrets.ts'
import { connectStripe, stripeProvider, verifyWebhook } from '../adapters/stripe.ts'
import { apiConfig, type ApiConfig } from '../config.ts'
import { runProcess, type Running } from '../lifecycle.ts'
import { listen, type ListenOptions } from '../listen.ts'
import { createApp } from './app.ts'
import type { Services } from './context.ts'
import { createActionWaiter } from './waiting.ts'

/** A transaction of the API that takes longer than this holds up a person; it is ended. */
const TRANSACTION_TIMEOUT_MS = 20_000
/** Six thousand a minute is a hundred a second from one key: no partner's portal, and no crowd either. */
const RATE_LIMIT_PER_MINUTE = 6_000

/** The sandbox's own calls see every account and stage ticks: a small pool of their own, and the queue's once more. */
const SANDBOX_POOL_MAX = 7

const PORT = 3_000

export async function startApi(config: ApiConfig): Promise<Running> {
  const log = createLog({ name: 'api', level: config.LOG_LEVEL ?? 'info' })
  const onError = quieten((error) => log.warn({ err: error }, 'queue'))
  if (config.CHAOS_CRASHES !== undefined) await armForChaos(config.CHAOS_CRASHES)
  const { address, applicationName, release } = await look(config, log)
  const queue = connectQueue(address, queues, onError)
  const relay = createRelay(queue, onError)
  const db = connectDatabase({
    url: config.API_DATABASE_URL,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    onStaged: (rows) => relay.offer(rows),
    applicationName,
  })
  const waiter = createActionWaiter(config.API_DATABASE_URL, onError, applicationName)
  const stripe = connectStripe({ secretKey: config.STRIPE_SECRET_KEY, url: config.STRIPE_URL })
  const home = resolve(config.PERDIEM_HOME ?? '.perdiem')
  const secrets = [config.STRIPE_WEBHOOK_SECRET, config.STRIPE_WEBHOOK_SECRET_OLD].filter(
    (secret) => secret !== undefined,
  )
  const services: Services = {
    db,
    relay,
    queueTrouble: () => troubleOf(queue),
    waiter,
    log,
    clock: config.PERDIEM_SANDBOX === undefined ? wallClock : sandboxClock(db.prisma),
    secrets: createSecrets(config.PERDIEM_SECRET),
    stripe: stripeProvider(stripe),
    verifyWebhook: (body, signature) => verifyWebhook(stripe, body, signature, secrets),
    files: createFiles(join(home, 'files')),
    publicUrl: config.PUBLIC_URL ?? `http://127.0.0.1:${config.PORT ?? PORT}`,
  }
  const sandbox = config.PERDIEM_SANDBOX === undefined ? null : await loadSandbox(config, services)
  const app = createApp({
    services,
    rateLimitPerMinute: config.RATE_LIMIT_PER_MINUTE ?? RATE_LIMIT_PER_MINUTE,
    ...(sandbox && { extend: sandbox.mount }),
  })
  const { url, close } = await listen(app, addressOf(config))
  log.info({ url }, 'listening')
  return {
    ready: url,
    async stop() {
      await close()
      await relay.drain()
      await Promise.allSettled([waiter.close(), sandbox?.close(), queue.close(), db.close(), release()])
    },
  }
}

/** What must be so before anything is opened. */
const look = (config: ApiConfig, log: Services['log']): ReturnType<typeof preflight> =>
  preflight({
    kind: 'web',
    databaseUrl: config.API_DATABASE_URL,
    redisUrl: config.REDIS_URL,
    // Beside the pool, one connection listens for the ends of actions.
    connections: POOL_MAX + 1 + (config.PERDIEM_SANDBOX === undefined ? 0 : SANDBOX_POOL_MAX),
    warn: (words) => log.warn(words),
  })

async function armForChaos(folder: string): Promise<void> {
  const { armAll } = await import('../sandbox/crash-points.ts')
  armAll(folder)
}

/** Loaded only in the sandbox: production has none of it in memory. */
async function loadSandbox(config: ApiConfig, services: Services) {
  const { createSandbox } = await import('../sandbox/routes.ts')
  return createSandbox(config, services)
}

const addressOf = ({ PORT: port = PORT, HOST: host = '127.0.0.1' }: ApiConfig): ListenOptions => ({
  port,
  host,
  headersMs: 20_000,
  requestMs: 90_000,
})

if (import.meta.main) await runProcess(() => startApi(apiConfig()))
