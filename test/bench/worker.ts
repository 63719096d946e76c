// Starts programs of the bench's own, each a process of its own, and talks to them.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { MEMORY_FLAGS } from '../../apps/sandbox/children.ts'
import type { Order, Worked } from './program.ts'

/** What a program answers to an order. */
export type Answer<Result> = { readonly done: Result } | { readonly failed: string }

export interface Program<Order, Result> {
  work(order: Order): Promise<Result>
  stop(): Promise<void>
}
export type BenchWorker = Program<Order, Worked>

export const startWorker = (databaseUrl: string): BenchWorker => startProgram('program.ts', [databaseUrl])

/** @param file beside this one; it ends when its parent disconnects */
export function startProgram<Order extends object, Result>(
  file: string,
  args: readonly string[] = [],
): Program<Order, Result> {
  const program = fileURLToPath(new URL(file, import.meta.url))
  const child = fork(program, [...args], { execArgv: ['--disable-warning=ExperimentalWarning', ...MEMORY_FLAGS] })
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  // What cannot be sent is told by the child's end.
  child.on('error', () => undefined)
  return {
    async work(order) {
      if (child.connected) child.send(order)
      const [answer] = (await Promise.race([
        once(child, 'message'),
        exited.then(() => [{ failed: `${file} ended` }]),
      ])) as [Answer<Result>]
      if ('failed' in answer) throw new Error(answer.failed)
      return answer.done
    },
    async stop() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

/** The other side: a program works each order and answers it. */
export function serveOrders<Order, Result>(
  work: (order: Order) => Promise<Result>,
  close: () => Promise<void> = async () => undefined,
): void {
  process.on('message', (order: Order) => {
    const answer = (what: Answer<Result>): void => void process.send!(what)
    work(order).then(
      (done) => answer({ done }),
      (error: unknown) => answer({ failed: error instanceof Error ? error.stack! : String(error) }),
    )
  })
  process.on('disconnect', () => void close().finally(() => process.exit(0)))
}
