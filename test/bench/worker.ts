// Starts the bench's worker program and talks to it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { MEMORY_FLAGS } from '../../apps/sandbox/children.ts'
import type { Answer, Order, Worked } from './program.ts'

export interface BenchWorker {
  work(order: Order): Promise<Worked>
  stop(): Promise<void>
}

export function startWorker(databaseUrl: string): BenchWorker {
  const program = fileURLToPath(new URL('./program.ts', import.meta.url))
  const child = fork(program, [databaseUrl], { execArgv: ['--disable-warning=ExperimentalWarning', ...MEMORY_FLAGS] })
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  // What cannot be sent is told by the child's end.
  child.on('error', () => undefined)
  return {
    async work(order) {
      if (child.connected) child.send(order)
      const [answer] = (await Promise.race([
        once(child, 'message'),
        exited.then(() => [{ failed: 'the worker ended' }]),
      ])) as [Answer]
      if ('failed' in answer) throw new Error(answer.failed)
      return answer.worked
    },
    async stop() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
