// A worker process: works the queues named on its command line. One program; the Procfile starts it twice, because
// documents need a browser's memory and nothing else does.
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { catalog, queues, ticks } from '../../jobs/catalog.ts'
import type { Job } from '../../jobs/kit/job.ts'
import { stage } from '../../jobs/kit/stage.ts'
import type { Mailer, Ports } from '../../jobs/kit/ports.ts'
import { sandboxClock, wallClock, type SandboxClock } from '../adapters/clock.ts'
import { connectDatabase, POOL_MAX, type ProcessDatabase } from '../adapters/database.ts'
import { createFiles } from '../adapters/files.ts'
import { newId } from '../adapters/ids.ts'
import { createLog, quieten } from '../adapters/log.ts'
import { folderMailer, smtpMailer } from '../adapters/mailer.ts'
import { createRelay, sweep, workStaged } from '../adapters/outbox.ts'
import { createPdfRenderer } from '../adapters/pdf.ts'
import { preflight } from '../adapters/preflight.ts'
import { connectQueue, startWorkers, troubleOf, type JobQueue, type QueueWorkers } from '../adapters/queue.ts'
import { startClockwork } from '../adapters/schedules.ts'
import { createSecrets } from '../adapters/secrets.ts'
import { connectStripe, stripeProvider } from '../adapters/stripe.ts'
import { startWatchdog } from '../adapters/watchdog.ts'
import { ConfigError, workerConfig, type WorkerConfig } from '../config.ts'
import { runProcess, type Running } from '../lifecycle.ts'

/**
 * Jobs at once, per queue and process. Most wait for PostgreSQL or Stripe; a count of days is a heavy statement, and a
 * page is printed by one browser.
 */
const CONCURRENCY: Record<string, number> = { usage: 2, imports: 2, documents: 2, payments: 8, licenses: 8 }
const CONCURRENCY_ELSE = 4
export const concurrencyOf = (queue: string): number => CONCURRENCY[queue] ?? CONCURRENCY_ELSE
/** How soon work that the relay lost is found again. */
const SWEEP_EVERY_MS = 1_000

/** @throws ConfigError when a queue does not exist */
export function queuesOf(names: readonly string[]): string[] {
  const unknown = names.filter((name) => !queues.includes(name))
  if (names.length === 0 || unknown.length > 0) {
    throw new ConfigError(
      `Name the queues to work, of: ${queues.join(', ')}. Unknown: ${unknown.join(', ') || 'none named'}.`,
    )
  }
  return [...new Set(names)]
}

export async function startWorker(config: WorkerConfig, names: readonly string[]): Promise<Running> {
  const worked = queuesOf(names)
  const log = createLog({ name: worked.join('+'), level: config.LOG_LEVEL ?? 'info' })
  const onError = quieten((error) => log.warn({ err: error }, 'queue'))
  const around = config.CHAOS_CRASHES === undefined ? undefined : await armForChaos(config.CHAOS_CRASHES)
  const { address, applicationName, release } = await preflight({
    kind: 'worker',
    databaseUrl: config.WORKER_DATABASE_URL,
    redisUrl: config.REDIS_URL,
    connections: POOL_MAX,
    worked: worked.length,
    warn: (words) => log.warn(words),
  })
  const queue = connectQueue(address, queues, onError)
  const relay = createRelay(queue, onError)
  const db = connectDatabase({
    url: config.WORKER_DATABASE_URL,
    onStaged: (rows) => relay.offer(rows),
    applicationName,
  })
  const { ports, close } = openPorts(config, db, log)
  const { clock } = ports
  const concurrency = new Map(worked.map((name) => [name, concurrencyOf(name)]))
  const workers = startWorkers(
    { address, concurrency, lockMs: config.CHAOS_LOCK_MS },
    { work: (id) => work(id, db, ports, around), tick: (name, at) => stageTick(ports, name, at) },
    onError,
  )
  const fire = async (tick: Job): Promise<void> => await stageTick(ports, tick.name, await clock.now())
  const clockwork = startClockwork({ db, queue, ticks, holder: newId(), fire }, onError)
  const watchdog = watch(workers, queue, db, log, onError)
  const sweeper = keepSweeping(async () => await sweep(db, queue, await clock.now()), onError)
  log.info({ queues: worked }, 'working')
  return {
    ready: worked.join(', '),
    async stop() {
      await Promise.all([watchdog.stop(), clockwork.stop(), sweeper.stop()])
      await workers.close()
      await relay.drain()
      await Promise.allSettled([close(), queue.close(), db.close(), release()])
    },
  }
}

/** Everything foreign that jobs may ask for. */
function openPorts(config: WorkerConfig, db: ProcessDatabase, log: Logger) {
  const clock = config.PERDIEM_SANDBOX === undefined ? wallClock : sandboxClock(db.prisma)
  const home = resolve(config.PERDIEM_HOME ?? '.perdiem')
  const mailer = mailerOf(config, home)
  const pdf = createPdfRenderer({ home, executablePath: config.PUPPETEER_EXECUTABLE_PATH, log })
  const ports: Ports = {
    db,
    clock,
    newId,
    mailer,
    pdf,
    log,
    keys: createSecrets(config.PERDIEM_SECRET),
    stripe: stripeProvider(connectStripe({ secretKey: config.STRIPE_SECRET_KEY, url: config.STRIPE_URL })),
    files: createFiles(join(home, 'files')),
  }
  return {
    ports,
    async close() {
      mailer.close?.()
      await pdf.close()
    },
  }
}

/** A database that has not answered by then does not answer. */
const ANSWER_MS = 3_000

const answers = (db: ProcessDatabase): Promise<boolean> =>
  Promise.race([
    db.prisma.$queryRaw`SELECT 1`.then(
      () => true,
      () => false,
    ),
    delay(ANSWER_MS, false, { ref: false }),
  ])

function watch(
  workers: QueueWorkers,
  queue: JobQueue,
  db: ProcessDatabase,
  log: Logger,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  return startWatchdog(
    {
      appetite: () => workers.appetite(),
      away: async () => troubleOf(queue) !== null || !(await answers(db)),
      addCanary: (name) => queue.addCanary(name),
      state: (name, id) => queue.state(name, id),
      starved: (name) => endStarved(log, name),
    },
    onError,
  )
}

/** Exit codes from 64 on are for reasons; 75 is `try again`. */
const STARVED = 75

function endStarved(log: Ports['log'], queue: string): void {
  log.warn({ queue }, 'no job was taken for 30 s though there were some: this process ends, to be started anew')
  process.exit(STARVED)
}

async function armForChaos(folder: string) {
  const { armAll, crashingPorts } = await import('../sandbox/crash-points.ts')
  armAll(folder)
  return crashingPorts
}

function mailerOf(config: WorkerConfig, home: string): Mailer & { close?(): void } {
  if (config.PERDIEM_SANDBOX !== undefined) return folderMailer(join(home, 'mail'))
  return smtpMailer(config.SMTP_URL!, config.MAIL_FROM!)
}

/** A job that is dead fails in the queue, too, so that the board shows it where people look for it. */
async function work(...staged: Parameters<typeof workStaged>): Promise<void> {
  const reason = await workStaged(...staged)
  if (reason !== null) throw new Error(reason)
}

/** Clocks of two hosts differ; a tick that is early by so little asks what is due now. */
const SKEW_MS = 60_000
/** A tick that was not staged is not asked again for a quarter of an hour. */
const TICK_TRIES = 5

async function insist(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries === TICK_TRIES) throw error
      await delay(tries * 1_000)
    }
  }
}

/** A schedule fired. It is staged like any other job: recorded, retried, seen. */
async function stageTick({ db, clock, log }: Ports, name: string, at: Date): Promise<void> {
  const tick = catalog.get(name)
  if (!tick) return log.warn({ tick: name }, 'a schedule of an earlier version fired')
  // Where business time stands still, only its mover fires ticks.
  if ('standsStill' in clock && (await (clock as SandboxClock).standsStill())) return
  const now = await clock.now()
  if (at.getTime() > now.getTime() + SKEW_MS) return log.warn({ tick: name, at }, 'a tick from the future is refused')
  const asked = at < now ? at : now
  await insist(() => db.acrossAccounts((tx) => stage(tx, tick, { at: asked.toISOString() })))
}

/** Sweeps every second, and again at once while there was something to tell: a queue that was emptied is long. */
function keepSweeping(once: () => Promise<number>, onError: (error: unknown) => void): { stop(): Promise<void> } {
  let stopped = false
  let running: Promise<void> | null = null
  const sweepAll = async (): Promise<void> => {
    try {
      while (!stopped && (await once()) > 0);
    } catch (error) {
      onError(error)
    }
    running = null
  }
  const timer = setInterval(() => (running ??= sweepAll()), SWEEP_EVERY_MS)
  return {
    async stop() {
      stopped = true
      clearInterval(timer)
      await running
    },
  }
}

if (import.meta.main) await runProcess(() => startWorker(workerConfig(), process.argv.slice(2)))
