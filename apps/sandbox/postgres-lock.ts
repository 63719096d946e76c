import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartupError, systemErrorCode } from './startup-error.ts'

const NO_SUCH_PID = 2_147_483_646

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}

/** Linux's fields on a process from its state on; the name before these may hold spaces. */
function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/**
 * True while a process of that id runs. One that ended and waits to be reaped does not count: in a
 * container where nobody reaps, it waits for ever.
 */
export function isAlive(pid: number): boolean {
  if (!exists(pid)) return false
  const state = process.platform === 'linux' ? statFields(pid)[0] : ps(pid, 'stat')
  return state?.startsWith('Z') !== true
}

/** Waits until the process is gone; false when it is still there after the bound. */
export async function waitForEnd(pid: number, milliseconds: number): Promise<boolean> {
  const end = performance.now() + milliseconds
  while (isAlive(pid)) {
    if (performance.now() >= end) return false
    await delay(20)
  }
  return true
}

function ps(pid: number, column: string): string {
  const result = spawnSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim() : ''
}

/** When the process started, in whatever form the system has: tells a reused id from the first. */
function startOf(pid: number): string {
  return process.platform === 'linux' ? (statFields(pid)[19] ?? '') : ps(pid, 'lstart')
}

function commandOf(pid: number): string {
  if (process.platform !== 'linux') return ps(pid, 'command')
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The process that holds a lock with this text, or undefined when it is gone. */
function holderOf(text: string): number | undefined {
  const [pidText = '', started = ''] = text.trim().split('\n')
  const pid = Number(pidText)
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined
  const now = startOf(pid)
  // An id that another process has meanwhile does not hold the lock.
  return now !== '' && started !== '' && now !== started ? undefined : pid
}

/** Removes a lock nobody holds; true when it was ours to remove, false when somebody was faster. */
function removeStale(path: string, text: string): boolean {
  const aside = `${path}.${randomUUID()}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
  const taken = readFileSync(aside, 'utf8')
  if (taken !== text) {
    // Between our look and our grip another start put its own lock there: give it back.
    try {
      linkSync(aside, path)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    }
  }
  rmSync(aside, { force: true })
  return taken === text
}

/**
 * Makes this process the only one that runs PostgreSQL for a home. The lock of a process that died
 * does not count. Returns the function that gives the lock back.
 */
export function lockHome(home: string): () => void {
  const path = join(home, 'postgres.lock')
  const text = `${process.pid}\n${startOf(process.pid)}\n${randomUUID()}\n`
  const draft = `${path}.${randomUUID()}`
  // Written whole under another name first, so that nobody ever reads half a lock.
  writeFileSync(draft, text, { mode: 0o644 })
  try {
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        linkSync(draft, path)
        return () => {
          if (read(path) === text) rmSync(path, { force: true })
        }
      } catch (error) {
        if (systemErrorCode(error) !== 'EEXIST') throw error
      }
      const found = read(path)
      if (found === undefined) continue
      const holder = holderOf(found)
      if (holder !== undefined) throw inUse(home, holder)
      removeStale(path, found)
    }
    throw inUse(home)
  } finally {
    rmSync(draft, { force: true })
  }
}

function inUse(home: string, pid?: number): StartupError {
  const who = pid === undefined ? '' : ` (process ${pid})`
  return new StartupError(
    `Another Perdiem${who} is running with the home ${home}. ` +
      'Stop it first, or give this one another home (PERDIEM_HOME).',
  )
}

/**
 * Clears what an earlier run left in a data folder that is ours now: a PostgreSQL that is still
 * running there is stopped, and a process id that meanwhile belongs to some other program no longer
 * keeps PostgreSQL from starting.
 */
export async function clearLeftOver(data: string): Promise<void> {
  const path = join(data, 'postmaster.pid')
  const text = read(path)
  const pid = Number(text?.split('\n')[0])
  if (text === undefined || !Number.isInteger(pid) || pid <= 0 || !exists(pid)) return
  if (!commandOf(pid).includes(data)) {
    // Not removed: PostgreSQL looks into the file for shared memory that is still in use, and that
    // look is what keeps two of them from writing to one folder.
    writeFileSync(path, [NO_SUCH_PID, ...text.split('\n').slice(1)].join('\n'))
    return
  }
  await endPostgres(pid)
}

/** Stops a PostgreSQL: fast, then at once, then by force. Each step has a bound. */
export async function endPostgres(pid: number): Promise<void> {
  const bounds = { SIGINT: 10_000, SIGQUIT: 5000, SIGKILL: 5000 } as const
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (systemErrorCode(error) === 'ESRCH') return
      throw error
    }
    if (await waitForEnd(pid, bounds[signal])) return
  }
}
