// The embedded default: everything Perdiem is made of, on one machine, from what npm brought along. PostgreSQL, the
// Stripe stand-in and the processes of the Procfile, each kept running; nothing of it is used in production.
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import pg from 'pg'
import { connectDatabase } from '../adapters/database.ts'
import { preflightRedis } from '../adapters/redis.ts'
import { createKey } from '../api/keys.ts'
import { release } from '../release.ts'
import { bootstrapDatabase, ROLES, type DatabaseUrls } from './bootstrap.ts'
import type { Child } from './children.ts'
import { keepRunning, type Kept, type KeepOptions, type Part } from './keep.ts'
import { startPostgres, type EmbeddedPostgres } from './postgres.ts'
import { startProcesses, startStandIn } from './processes.ts'
import { StartupError } from './startup-error.ts'
import { loadState, saveState, type SandboxState } from './state.ts'

/** A part that ends so often cannot be helped by starting it again. */
const ENDS_PER_MINUTE = 10

export interface SandboxOptions {
  readonly home: string
  /** 0: any free one. */
  readonly port: number
  readonly operatorKey?: string | undefined
  /** Starting instant of business time; for a new home only. */
  readonly now?: string | undefined
  readonly logLevel?: string | undefined
  readonly executablePath?: string | undefined
  /** Where the queues are kept; left out, in PostgreSQL. */
  readonly redisUrl?: string | undefined
  /** How many processes of a line of the Procfile, where not one. */
  readonly counts?: Readonly<Record<string, number>>
  /** More variables for the processes. */
  readonly environment?: Readonly<Record<string, string>>
  /** More settings for PostgreSQL. */
  readonly postgres?: Record<string, string>
  readonly endsPerMinute?: number
  readonly say: (line: string) => void
  /** Told when a part ends over and over, and is not started again. */
  readonly onExit: (name: string, how: string) => void
}

export interface Sandbox {
  readonly url: string
  /** Of Bull Board. */
  readonly boardUrl: string
  readonly operatorKey: string
  readonly isNew: boolean
  /** Everything that runs: PostgreSQL, the stand-in, and the processes of the Procfile. */
  readonly parts: readonly Kept<Part>[]
  /** Sees everything: for whoever checks the sandbox from outside. */
  readonly superuserUrl: string
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
  const stopAll = (): Promise<void> => stopInTurn(stop.splice(0).reverse(), options.say)
  const keep: KeepOptions = {
    say: options.say,
    giveUp: options.onExit,
    endsPerMinute: options.endsPerMinute ?? ENDS_PER_MINUTE,
  }
  try {
    await lookAtRedis(options)
    options.say('PostgreSQL …')
    const postgres = await keepPostgres(home, options, keep)
    stop.push(() => postgres.stop())
    const urls = await prepareDatabase(postgres.part(), state, options, isNew)
    options.say('Stripe stand-in …')
    // The same port again, so that pay links of earlier days still work; another when somebody took it meanwhile.
    const standInPort = await freePort(state.stripePort).catch(() => 0)
    const standIn = await startStandIn({ home, state, port, standInPort, keep })
    stop.push(() => standIn.stop())
    const stripeUrl = standIn.part().ready
    state = saveState(home, {
      ...state,
      stripePort: Number(new URL(stripeUrl).port),
      operatorKey: options.operatorKey ?? state.operatorKey,
    })
    options.say('web, worker, documents, board …')
    const boardPort = await freePort(options.port === 0 ? 0 : port + 1).catch(() => freePort(0))
    const processes = await startProcesses({ ...options, home, state, urls, port, boardPort, stripeUrl, keep })
    stop.push(() => stopTogether(processes))
    return {
      url: readyOf(processes, 'web'),
      boardUrl: readyOf(processes, 'board'),
      operatorKey: state.operatorKey,
      isNew,
      databaseUrl: urls.workerUrl,
      superuserUrl: postgres.part().superuserUrl('perdiem'),
      parts: [postgres, standIn, ...processes],
      markSeeded: () => void (state = saveState(home, { ...state, seeded: true })),
      stop: stopAll,
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

/** Nobody reads the log of a process to learn that its address is wrong. */
async function lookAtRedis({ redisUrl, say }: SandboxOptions): Promise<void> {
  const warning = redisUrl === undefined ? null : await preflightRedis(redisUrl)
  if (warning !== null) say(`Redis: ${warning}`)
}

async function stopInTurn(steps: readonly (() => Promise<void>)[], say: SandboxOptions['say']): Promise<void> {
  for (const step of steps) await step().catch((error: unknown) => say(String(error)))
}

const stopTogether = async (parts: readonly Kept<Part>[]): Promise<void> =>
  void (await Promise.allSettled(parts.map((part) => part.stop())))

const readyOf = (processes: readonly Kept<Child>[], name: string): string =>
  processes.find((one) => one.name === name)?.part().ready ?? ''

const keepPostgres = (home: string, { postgres }: SandboxOptions, keep: KeepOptions): Promise<Kept<EmbeddedPostgres>> =>
  keepRunning(
    'postgres',
    (ended) =>
      startPostgres({ home, settings: postgres ?? {}, onExit: (code, signal) => ended(signal ?? `code ${code}`) }),
    keep,
  )

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
