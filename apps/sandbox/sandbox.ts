// The embedded default: everything Perdiem is made of, on one machine, from what npm brought along. PostgreSQL, the
// Stripe stand-in and the three processes of the Procfile, supervised; nothing of it is used in production.
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { resolve, join } from 'node:path'
import pg from 'pg'
import { connectDatabase } from '../adapters/database.ts'
import { createKey } from '../api/keys.ts'
import { childEnvironment } from '../config.ts'
import { release } from '../release.ts'
import { bootstrapDatabase, ROLES, type DatabaseUrls } from './bootstrap.ts'
import { startChild, type Child } from './children.ts'
import { startPostgres, type EmbeddedPostgres } from './postgres.ts'
import { StartupError } from './startup-error.ts'
import { loadState, saveState, type SandboxState } from './state.ts'

/** Nobody shares a sandbox: the limit is there to be seen, not to slow a benchmark. */
const RATE_LIMIT_PER_MINUTE = 1_000_000

export interface SandboxOptions {
  readonly home: string
  /** 0: any free one. */
  readonly port: number
  readonly operatorKey?: string | undefined
  /** Starting instant of business time; for a new home only. */
  readonly now?: string | undefined
  readonly logLevel?: string | undefined
  readonly executablePath?: string | undefined
  readonly say: (line: string) => void
  /** Told when a part ends that should not have. */
  readonly onExit: (name: string, how: string) => void
}

export interface Sandbox {
  readonly url: string
  readonly operatorKey: string
  readonly isNew: boolean
  readonly pids: readonly number[]
  /** As the worker: sees every account. */
  readonly databaseUrl: string
  /** Marks the home as filled with what a new one gets. */
  markSeeded(): void
  stop(): Promise<void>
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const home = resolve(options.home)
  let state = loadState(home)
  const isNew = !state.seeded
  const port = await freePort(options.port)
  const stop: (() => Promise<void>)[] = []
  const stopAll = async (): Promise<void> => {
    for (const step of stop.splice(0).reverse()) await step().catch((error: unknown) => options.say(String(error)))
  }
  try {
    options.say('PostgreSQL …')
    const postgres = await startPostgres({
      home,
      onExit: (code, signal) => options.onExit('PostgreSQL', signal ?? `code ${code}`),
    })
    stop.push(() => postgres.stop())
    const urls = await prepareDatabase(postgres, state, options, isNew)
    options.say('Stripe stand-in …')
    const standIn = await startStandIn(home, state, port, options)
    stop.push(() => standIn.stop())
    state = saveState(home, {
      ...state,
      stripePort: Number(new URL(standIn.ready).port),
      operatorKey: options.operatorKey ?? state.operatorKey,
    })
    options.say('web, worker, documents …')
    const children = await startProcesses({ home, state, urls, port, options, stripeUrl: standIn.ready })
    stop.push(async () => void (await Promise.allSettled(children.map((child) => child.stop()))))
    return {
      url: children[0]!.ready,
      operatorKey: state.operatorKey,
      isNew,
      databaseUrl: urls.workerUrl,
      pids: [postgres.pid, standIn.pid, ...children.map((child) => child.pid)],
      markSeeded: () => void (state = saveState(home, { ...state, seeded: true })),
      stop: stopAll,
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

/** Finds out in time, and in a sentence, that a port is taken. */
async function freePort(port: number): Promise<number> {
  return await new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      fail(
        error.code === 'EADDRINUSE'
          ? new StartupError(
              `Port ${port} is taken by another program. Stop it, or choose another: PORT=${port + 1} npm start`,
            )
          : error.code === 'EACCES'
            ? new StartupError(`Port ${port} is not for ordinary users. Choose one above 1023, with PORT.`)
            : error,
      )
    })
    probe.listen(port, '127.0.0.1', () => {
      const found = (probe.address() as { port: number }).port
      probe.close(() => done(found))
    })
  })
}

async function prepareDatabase(
  postgres: EmbeddedPostgres,
  state: SandboxState,
  options: SandboxOptions,
  isNew: boolean,
): Promise<DatabaseUrls> {
  const { ownerPassword, apiPassword, workerPassword } = state
  const urls = await bootstrapDatabase(postgres.superuserUrl(), {
    database: 'perdiem',
    ownerPassword,
    apiPassword,
    workerPassword,
  })
  await release(urls)
  await prepareClock(urls.ownerUrl, isNew ? options.now : undefined)
  const db = connectDatabase({ url: urls.apiUrl, max: 1 })
  try {
    const secret = options.operatorKey ?? state.operatorKey
    await db.withOperator((tx) =>
      createKey(tx, { accountId: null, name: 'sandbox operator', scopes: ['operator'], at: new Date(0), secret }),
    )
  } finally {
    await db.close()
  }
  return urls
}

/** Business time lives in one row that all processes read. Null: real time, until it is first moved. */
async function prepareClock(ownerUrl: string, now: string | undefined): Promise<void> {
  const owner = new pg.Client({ connectionString: ownerUrl })
  await owner.connect()
  try {
    await owner.query(`
      CREATE SCHEMA IF NOT EXISTS sandbox;
      CREATE TABLE IF NOT EXISTS sandbox.clock (
        one boolean PRIMARY KEY DEFAULT true CHECK (one), instant timestamptz(3));
      INSERT INTO sandbox.clock (instant) VALUES (NULL) ON CONFLICT DO NOTHING;
      GRANT USAGE ON SCHEMA sandbox TO ${ROLES.api}, ${ROLES.worker};
      GRANT SELECT ON sandbox.clock TO ${ROLES.api};
      GRANT SELECT, UPDATE ON sandbox.clock TO ${ROLES.worker};`)
    if (now !== undefined) await owner.query('UPDATE sandbox.clock SET instant = $1 WHERE instant IS NULL', [now])
  } finally {
    await owner.end()
  }
}

async function startStandIn(home: string, state: SandboxState, port: number, options: SandboxOptions): Promise<Child> {
  mkdirSync(join(home, 'stripe'), { recursive: true, mode: 0o700 })
  const args = (standInPort: number): string[] => [
    '--book',
    join(home, 'stripe'),
    '--secret-key',
    state.stripeSecretKey,
    '--port',
    String(standInPort),
    '--webhook-url',
    `http://127.0.0.1:${port}/webhooks/stripe`,
    '--webhook-secret',
    state.webhookSecret,
  ]
  const common = {
    name: 'stripe',
    program: 'apps/sandbox/stripe/main.ts',
    env: childEnvironment({}),
    logs: join(home, 'logs'),
    onExit: options.onExit,
  }
  // The same port again, so that pay links of earlier days still work; another when somebody took it meanwhile.
  const port0 = await freePort(state.stripePort).catch(() => 0)
  return await startChild({ ...common, args: args(port0) })
}

interface ProcessesOf {
  readonly home: string
  readonly state: SandboxState
  readonly urls: DatabaseUrls
  readonly port: number
  readonly stripeUrl: string
  readonly options: SandboxOptions
}

async function startProcesses({ home, state, urls, port, stripeUrl, options }: ProcessesOf): Promise<Child[]> {
  const env = childEnvironment({
    PERDIEM_HOME: home,
    PERDIEM_SANDBOX: home,
    PERDIEM_SECRET: state.secret,
    LOG_LEVEL: options.logLevel ?? 'info',
    STRIPE_SECRET_KEY: state.stripeSecretKey,
    STRIPE_URL: stripeUrl,
    STRIPE_WEBHOOK_SECRET: state.webhookSecret,
    API_DATABASE_URL: urls.apiUrl,
    WORKER_DATABASE_URL: urls.workerUrl,
    PORT: String(port),
    RATE_LIMIT_PER_MINUTE: String(RATE_LIMIT_PER_MINUTE),
    PUPPETEER_EXECUTABLE_PATH: options.executablePath,
  })
  const common = { env, logs: join(home, 'logs'), onExit: options.onExit }
  const worker = 'apps/worker/main.ts'
  const starts = await Promise.allSettled([
    startChild({ ...common, name: 'web', program: 'apps/api/main.ts' }),
    startChild({
      ...common,
      name: 'worker',
      program: worker,
      args: ['licenses', 'imports', 'usage', 'invoices', 'payments', 'notifications'],
    }),
    startChild({ ...common, name: 'documents', program: worker, args: ['documents'] }),
  ])
  const failed = starts.find((start) => start.status === 'rejected')
  const started = starts.filter((start) => start.status === 'fulfilled').map((start) => start.value)
  if (!failed) return started
  await Promise.allSettled(started.map((child) => child.stop()))
  throw failed.reason
}
