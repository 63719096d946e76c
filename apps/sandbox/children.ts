// Starts and stops the processes of the sandbox. Each is a real process of its own, as in production, in a process
// group of its own, so that Ctrl-C reaches the supervisor alone and it decides the order of the end.
import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StartupError } from './startup-error.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** As in the Procfile: V8 would rather grow than collect, and rows by the thousand make garbage by the megabyte. */
export const MEMORY_FLAGS = ['--max-semi-space-size=4', '--max-old-space-size=512']
/** A cold start reads some thousand small files from a slow disk. */
const READY_WITHIN_MS = 90_000
/** After this a child that does not stop is killed: what it was doing is done again at the next start. */
const STOP_WITHIN_MS = 8_000

export interface Child {
  readonly name: string
  readonly pid: number
  readonly ready: string
  stop(): Promise<void>
}

export interface ChildOptions {
  readonly name: string
  /** Path below the project's folder. */
  readonly program: string
  readonly args?: readonly string[]
  /** Flags of node itself. */
  readonly flags?: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly logs: string
  /** Told when it ends without having been asked to. */
  readonly onExit: (name: string, how: string) => void
}

/**
 * Starts a program and waits until it says over IPC that it is ready. It writes to its log file itself: through a
 * pipe of ours, a log line written after our death would block it for ever.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  mkdirSync(options.logs, { recursive: true, mode: 0o700 })
  const path = join(options.logs, `${options.name}.log`)
  const log = openSync(path, 'a', 0o600)
  const child = fork(join(ROOT, options.program), [...(options.args ?? [])], {
    cwd: ROOT,
    env: options.env,
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning', ...(options.flags ?? MEMORY_FLAGS)],
  })
  closeSync(log)
  const exited = new Promise<string>((done) => child.once('exit', (code, signal) => done(signal ?? `code ${code}`)))
  const ready = await becomeReady(child, options.name, path, exited)
  let stopping = false
  void exited.then((how) => {
    if (!stopping) options.onExit(options.name, how)
  })
  return {
    name: options.name,
    pid: child.pid!,
    ready,
    async stop() {
      stopping = true
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
      await exited
      clearTimeout(timer)
    },
  }
}

async function becomeReady(child: ChildProcess, name: string, log: string, exited: Promise<string>): Promise<string> {
  try {
    return await new Promise<string>((resolve, reject) => {
      child.on('message', (message: { ready?: string; failed?: string }) => {
        if (message.ready !== undefined) resolve(message.ready)
        if (message.failed !== undefined) reject(new StartupError(`${name} did not start: ${message.failed}`))
      })
      void exited.then((how) => {
        const last = readFileSync(log, 'utf8').trim().slice(-1_000)
        reject(new StartupError(`${name} did not start (${how}). The end of ${log}:\n${last}`))
      })
      const late = (): void =>
        reject(new StartupError(`${name} was not ready within ${READY_WITHIN_MS / 1_000} s; see ${log}.`))
      setTimeout(late, READY_WITHIN_MS).unref()
    })
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
