import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ended, ensureData, environment, lastLines, SUPERUSER } from './postgres-data.ts'
import { clearLeftOver, endPostgres, lockHome } from './postgres-lock.ts'
import { findPlace } from './postgres-place.ts'
import type { PostgresPlace } from './postgres-place.ts'
import { choosePort, portTaken } from './postgres-port.ts'
import { diskFull, explainFileError, saysDiskFull, StartupError, systemErrorCode } from './startup-error.ts'

const LOG_LIMIT = 20_000_000
const READY_BOUND = 120_000
const WATCHDOG = fileURLToPath(new URL('./watchdog.sh', import.meta.url))

/** How to start PostgreSQL. */
export interface PostgresOptions {
  /** Absolute folder for data, password, port and logs; made when missing. */
  home: string
  /** Fixed port. 0 or undefined: a free one, the same again at the next start if it is free. */
  port?: number
  /** Server settings on top of (or instead of) the usual ones. */
  settings?: Record<string, string>
  /** Called when PostgreSQL ends without `stop()` having been called. */
  onExit?: (code: number | null, signal: string | null) => void
}

/** A PostgreSQL that is ready for connections. */
export interface EmbeddedPostgres {
  port: number
  pid: number
  superuserUrl(database?: string): string
  stop(): Promise<void>
}

interface Files {
  password: string
  port: string
  log: string
}

/** What one attempt to start came to: it runs, or its log says why it does not. */
type Attempt = { child: ChildProcess; pid: number } | { log: string }

/**
 * Starts PostgreSQL from the binaries npm brought, on 127.0.0.1 only. The first start in a home
 * initializes its data. Fails with a `StartupError` where the operator can do something about it.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { home, unlock } = takeHome(options.home)
  try {
    const files = {
      password: join(home, 'postgres-password'),
      port: join(home, 'postgres-port'),
      log: join(home, 'logs', 'postgres.log'),
    }
    const place = findPlace(home)
    const settings = { ...defaultSettings(), ...options.settings }
    await clearLeftOver(place.data)
    const password = await ensureData(place, files.password, settings['fsync'] === 'off')
    const { port, child, pid } = await launch(place, files, settings, options.port ?? 0)
    return supervise({ child, pid, port, password, unlock, onExit: options.onExit })
  } catch (error) {
    unlock()
    throw explainFileError(error, home)
  }
}

function takeHome(path: string): { home: string; unlock: () => void } {
  try {
    mkdirSync(join(path, 'logs'), { recursive: true })
    const home = realpathSync(path)
    return { home, unlock: lockHome(home) }
  } catch (error) {
    throw explainFileError(error, path)
  }
}

function defaultSettings(): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_destination: 'stderr',
    logging_collector: 'off',
    log_line_prefix: '%m [%p] %q%u@%d ',
  }
}

async function launch(
  place: PostgresPlace,
  files: Files,
  settings: Record<string, string>,
  wanted: number,
): Promise<{ port: number; child: ChildProcess; pid: number }> {
  let log = ''
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = await choosePort(wanted, attempt === 0 ? files.port : undefined)
    const result = await attemptStart(place, files, { ...settings, port: String(port) })
    if ('child' in result) {
      writeFileSync(files.port, `${port}\n`)
      return { port, ...result }
    }
    log = result.log
    const taken = log.includes('could not bind')
    if (taken && wanted !== 0) throw portTaken(wanted)
    // After a crash, processes of the old server may take a moment to notice.
    const stillUsed = log.includes('pre-existing shared memory block')
    if (!taken && !stillUsed) break
    await delay(200)
  }
  if (saysDiskFull(log)) throw new StartupError(diskFull(place.data))
  throw new StartupError(`PostgreSQL did not start; ${files.log} says: ${lastLines(log)}`)
}

function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > LOG_LIMIT) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o640)
}

async function attemptStart(place: PostgresPlace, files: Files, settings: Record<string, string>): Promise<Attempt> {
  const log = openLog(files.log)
  const before = fstatSync(log).size
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let child: ChildProcess
  try {
    child = spawn(join(place.bin, 'postgres'), ['-D', place.data, ...flags], {
      ...place.user,
      // A process group of its own: Ctrl-C in the terminal is for the supervisor alone.
      detached: true,
      cwd: '/',
      env: environment(),
      stdio: ['ignore', log, log],
    })
  } finally {
    closeSync(log)
  }
  const end = ended(child)
  const pid = child.pid
  // Without an id it never began, and waiting for its end brings out why.
  if (pid === undefined) return { log: `${await end}` }
  guard(child, pid)
  if (await isReady(place.data, child, pid)) return { child, pid }
  await end
  return { log: readFileSync(files.log).subarray(before).toString('utf8') }
}

/** Starts the process that stops PostgreSQL when this one dies without doing so. */
function guard(postgres: ChildProcess, pid: number): void {
  const watchdog = spawn('/bin/sh', [WATCHDOG], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchdog.on('error', () => {})
  // It may be gone before us, and then there is nobody to tell.
  watchdog.stdin.on('error', () => {})
  watchdog.stdin.write(`${pid}\n`)
  postgres.once('exit', () => watchdog.stdin.end('done\n'))
  watchdog.unref()
}

/** Waits for PostgreSQL's own word in its process file; false when it ended instead. */
async function isReady(data: string, child: ChildProcess, pid: number): Promise<boolean> {
  const end = performance.now() + READY_BOUND
  while (child.exitCode === null && child.signalCode === null) {
    const lines = processFile(data)
    if (Number(lines[0]) === pid && lines[7]?.trim() === 'ready') return true
    if (performance.now() > end) {
      await endPostgres(pid)
      throw new StartupError(`PostgreSQL was not ready after ${READY_BOUND / 1000} seconds.`)
    }
    await delay(10)
  }
  return false
}

function processFile(data: string): string[] {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
}

interface Running {
  child: ChildProcess
  pid: number
  port: number
  password: string
  unlock: () => void
  onExit: PostgresOptions['onExit']
}

function supervise({ child, pid, port, password, unlock, onExit }: Running): EmbeddedPostgres {
  let stopping = false
  const exited = new Promise<void>((resolve) => {
    const onEnd = () => {
      unlock()
      resolve()
      if (!stopping) onExit?.(child.exitCode, child.signalCode)
    }
    if (child.exitCode !== null || child.signalCode !== null) onEnd()
    else child.once('exit', onEnd)
  })
  return {
    port,
    pid,
    superuserUrl: (database = SUPERUSER) =>
      `postgresql://${SUPERUSER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    async stop() {
      stopping = true
      if (child.exitCode === null && child.signalCode === null) await endPostgres(pid)
      await exited
    },
  }
}
