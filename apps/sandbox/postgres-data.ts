import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { giveTo } from './postgres-place.ts'
import type { PostgresPlace } from './postgres-place.ts'
import { diskFull, saysDiskFull, StartupError, systemErrorCode } from './startup-error.ts'

/** The role initdb makes. */
export const SUPERUSER = 'postgres'

/** Initializes the data folder unless it is there; returns the superuser's password. */
export async function ensureData(place: PostgresPlace, passwordPath: string, noSync: boolean): Promise<string> {
  const parent = dirname(place.data)
  const prefix = `${basename(place.data)}.new-`
  for (const name of readdirSync(parent)) {
    // Left by an initialization that was killed.
    if (name.startsWith(prefix)) rmSync(join(parent, name), { recursive: true, force: true })
  }
  if (existsSync(place.data)) return readPassword(passwordPath, place.data)
  const password = randomBytes(24).toString('hex')
  writeFileSync(passwordPath, `${password}\n`, { mode: 0o600 })
  const draft = join(parent, `${prefix}${process.pid}`)
  const passwordFile = `${draft}-password`
  try {
    mkdirSync(draft, { mode: 0o700 })
    giveTo(place.user, draft)
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
    giveTo(place.user, passwordFile)
    await initialize(place, draft, passwordFile, noSync)
    renameSync(draft, place.data)
  } finally {
    rmSync(passwordFile, { force: true })
    rmSync(draft, { recursive: true, force: true })
  }
  return password
}

function readPassword(path: string, data: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    throw new StartupError(
      `${path} is missing, the password of the database in ${data}. ` +
        'Put it back, or delete the data to start without.',
      { cause: error },
    )
  }
}

async function initialize(place: PostgresPlace, data: string, passwordFile: string, noSync: boolean): Promise<void> {
  const flags = [
    '-D',
    data,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(noSync ? ['--no-sync'] : []),
  ]
  const child = spawn(join(place.bin, 'initdb'), flags, {
    ...place.user,
    cwd: '/',
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const [code, signal] = await ended(child)
  if (code === 0) return
  if (saysDiskFull(output)) throw new StartupError(diskFull(data))
  throw new StartupError(
    `PostgreSQL's data folder could not be initialized (${signal ?? `exit code ${code}`}): ` + lastLines(output),
  )
}

/** PostgreSQL's whole environment: PGPORT, PGDATA or LANG of ours would change what it does. */
export function environment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
}

/** Resolves when a child has ended and said all it had to say; rejects when it never began. */
export function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve([code, signal]))
  })
}

/** The last lines of a program's output, in one line. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-4).join(' | ') || 'it said nothing'
}
