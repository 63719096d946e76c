// What every process does alike: start, say so, and stop within bounds, whoever asks.
import { ConfigError } from './config.ts'
import { StartupError } from './sandbox/startup-error.ts'

/** A deployment waits about this long; what is cut off is done again by another worker. */
const STOP_WITHIN_MS = 25_000
/** With the supervisor gone its PostgreSQL is going too: there is little left to finish, and nobody to wait for it. */
const STOP_ORPHANED_WITHIN_MS = 5_000

export interface Running {
  /** What to tell whoever started us. */
  readonly ready: string
  stop(): Promise<void>
}

/** Errors a person can act on are one sentence; only the others bear a stack. */
export function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartupError) return error.message
  if ((error as { code?: unknown } | null)?.code === 'EADDRINUSE') {
    const { port } = error as { port?: number }
    return `Port ${port ?? ''} is taken by another program. Stop it, or choose another (PORT; of the board BOARD_PORT).`
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Runs a process until a signal, or until the parent that started it over IPC is gone. */
export async function runProcess(start: () => Promise<Running>): Promise<void> {
  let running: Running | null = null
  let stopping = false
  async function stop(withinMs: number): Promise<void> {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(1), withinMs).unref()
    try {
      await running?.stop()
      process.exit(0)
    } catch (error) {
      console.error(explain(error))
      process.exit(1)
    }
  }
  process.on('SIGTERM', () => void stop(STOP_WITHIN_MS))
  process.on('SIGINT', () => void stop(STOP_WITHIN_MS))
  process.on('disconnect', () => void stop(STOP_ORPHANED_WITHIN_MS))
  try {
    running = await start()
    process.send?.({ ready: running.ready })
  } catch (error) {
    console.error(explain(error))
    if (process.send) process.send({ failed: explain(error) }, () => process.exit(1))
    else process.exit(1)
  }
}
