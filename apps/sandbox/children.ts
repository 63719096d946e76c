// Starts and stops the processes of the sandbox. Each is a real process of its own, as in production, in a process group
// of its own, so that Ctrl-C reaches the supervisor alone and it decides the order of the end.
import { fork, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StartupError } from './startup-error.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
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
  readonly env: NodeJS.ProcessEnv
  readonly logs: string
  /** Told when it ends without having been asked to. */
  readonly onExit: (name: string, how: string) => void
}

/** Starts a program and waits until it says that it is ready, over IPC or as a line `ready …` on its output. */
export async function startChild(options: ChildOptions): Promise<Child> {
  mkdirSync(options.logs, { recursive: true })
  const log = createWriteStream(join(options.logs, `${options.name}.log`), { flags: 'a' })
  const child = fork(join(ROOT, options.program), [...(options.args ?? [])], {
    cwd: ROOT, env: options.env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  child.stdout!.pipe(log, { end: false })
  child.stderr!.pipe(log, { end: false })
  const exited = new Promise<string>((done) => child.once('exit', (code, signal) => done(signal ?? `code ${code}`)))
  const ready = await becomeReady(child, options.name, exited)
  let stopping = false
  void exited.then((how) => {
    log.end()
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

async function becomeReady(child: ChildProcess, name: string, exited: Promise<string>): Promise<string> {
  let output = ''
  let listen = (_chunk: Buffer): void => {}
  const said = new Promise<string>((resolve, reject) => {
    child.on('message', (message: { ready?: string; failed?: string }) => {
      if (message.ready !== undefined) resolve(message.ready)
      if (message.failed !== undefined) reject(new StartupError(`${name} did not start: ${message.failed}`))
    })
    listen = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-4_000)
      const line = /^ready (\S+)$/m.exec(output)
      if (line) resolve(line[1]!)
    }
    child.stdout!.on('data', listen)
    child.stderr!.on('data', listen)
    void exited.then((how) => reject(new StartupError(`${name} did not start (${how}): ${output.trim().slice(-1_000)}`)))
    setTimeout(() => reject(new StartupError(`${name} was not ready within ${READY_WITHIN_MS / 1_000} s.`)), READY_WITHIN_MS).unref()
  })
  try {
    return await said
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    child.stdout!.off('data', listen)
    child.stderr!.off('data', listen)
  }
}
