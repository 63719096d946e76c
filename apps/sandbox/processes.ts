// The processes of the sandbox: what the Procfile shows, and the Stripe stand-in. Each is kept running.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { childEnvironment } from '../config.ts'
import type { DatabaseUrls } from './bootstrap.ts'
import { startChild, type Child } from './children.ts'
import { keepRunning, type Kept, type KeepOptions } from './keep.ts'
import { readProcfile, type ProcfileLine } from './procfile.ts'
import type { SandboxState } from './state.ts'

export interface StandInParts {
  readonly home: string
  readonly state: SandboxState
  /** Of the API: where webhooks go. */
  readonly port: number
  /** The stand-in's own; 0: any free one. */
  readonly standInPort: number
  readonly keep: KeepOptions
}

export async function startStandIn({ home, state, port, standInPort, keep }: StandInParts): Promise<Kept<Child>> {
  const book = join(home, 'stripe')
  mkdirSync(book, { recursive: true, mode: 0o700 })
  // Pay links bear the port: started again, it must be the same.
  let ownPort = standInPort
  return await keepRunning(
    'stripe',
    async (ended) => {
      const child = await startChild({
        name: 'stripe',
        program: 'apps/sandbox/stripe/main.ts',
        args: [
          ...['--book', book, '--secret-key', state.stripeSecretKey, '--port', String(ownPort)],
          ...['--webhook-url', `http://127.0.0.1:${port}/webhooks/stripe`, '--webhook-secret', state.webhookSecret],
        ],
        env: childEnvironment({}),
        logs: join(home, 'logs'),
        onExit: (_, how) => ended(how),
      })
      ownPort = Number(new URL(child.ready).port)
      return child
    },
    keep,
  )
}

export interface ProcessParts {
  readonly home: string
  readonly state: SandboxState
  readonly urls: DatabaseUrls
  readonly stripeUrl: string
  readonly redisUrl?: string | undefined
  readonly port: number
  readonly boardPort: number
  readonly logLevel?: string | undefined
  readonly executablePath?: string | undefined
  /** How many of a line of the Procfile, where not one. */
  readonly counts?: Readonly<Record<string, number>>
  readonly environment?: Readonly<Record<string, string>>
  readonly keep: KeepOptions
}

/** Nobody shares a sandbox: the limit is there to be seen, not to slow a benchmark. */
const RATE_LIMIT_PER_MINUTE = 1_000_000

/** @returns them in the order of the Procfile: the web process first */
export async function startProcesses(parts: ProcessParts): Promise<Kept<Child>[]> {
  const { home, state, urls } = parts
  const env = childEnvironment({
    PERDIEM_HOME: home,
    PERDIEM_SANDBOX: home,
    PERDIEM_SECRET: state.secret,
    LOG_LEVEL: parts.logLevel ?? 'info',
    STRIPE_SECRET_KEY: state.stripeSecretKey,
    STRIPE_URL: parts.stripeUrl,
    STRIPE_WEBHOOK_SECRET: state.webhookSecret,
    API_DATABASE_URL: urls.apiUrl,
    WORKER_DATABASE_URL: urls.workerUrl,
    REDIS_URL: parts.redisUrl,
    PORT: String(parts.port),
    BOARD_PORT: String(parts.boardPort),
    RATE_LIMIT_PER_MINUTE: String(RATE_LIMIT_PER_MINUTE),
    PUPPETEER_EXECUTABLE_PATH: parts.executablePath,
    ...parts.environment,
  })
  const start = (line: ProcfileLine, name: string): Promise<Kept<Child>> =>
    keepRunning(
      name,
      (ended) => startChild({ ...line, name, env, logs: join(home, 'logs'), onExit: (_, how) => ended(how) }),
      parts.keep,
    )
  const starts = await Promise.allSettled(
    readProcfile().flatMap((line) => {
      const count = parts.counts?.[line.name] ?? 1
      return Array.from({ length: count }, (_, n) => start(line, n === 0 ? line.name : `${line.name}-${n + 1}`))
    }),
  )
  const failed = starts.find((one) => one.status === 'rejected')
  const started = starts.filter((one) => one.status === 'fulfilled').map((one) => one.value)
  if (!failed) return started
  await Promise.allSettled(started.map((child) => child.stop()))
  throw failed.reason
}
