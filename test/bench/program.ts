// A worker of the bench: a process of its own that performs real jobs with real ports, tells how long they took, how
// many statements they sent and how much memory the process ever had.
import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { connectDatabase } from '../../apps/adapters/database.ts'
import { newId } from '../../apps/adapters/ids.ts'
import { createLog } from '../../apps/adapters/log.ts'
import { workStaged } from '../../apps/adapters/outbox.ts'
import { concurrencyOf } from '../../apps/worker/main.ts'
import { catalog } from '../../jobs/catalog.ts'
import { queueOf } from '../../jobs/kit/job.ts'
import { perform } from '../../jobs/kit/perform.ts'
import type { Ports } from '../../jobs/kit/ports.ts'
import { serveOrders } from './worker.ts'

/** Performs a tick at an instant, then works all jobs of a name that are staged, as many at once as a worker does. */
export interface Order {
  readonly tick: string
  readonly job: string
  readonly at: string
}
export interface Worked {
  /** Of the tick. */
  readonly planMs: number
  /** Of the jobs alone, without the tick. */
  readonly ms: number
  readonly jobs: readonly { reason: string; statements: number; ms: number }[]
  readonly peakBytes: number
}

/** Statements sent, told apart by job. */
const sent = new AsyncLocalStorage<{ statements: number }>()
const query = pg.Client.prototype.query
pg.Client.prototype.query = function (this: pg.Client, ...given: unknown[]) {
  const job = sent.getStore()
  if (job) job.statements += 1
  return Reflect.apply(query, this, given)
} as typeof query

let now = new Date(0)
const absent = (name: string): never =>
  new Proxy(
    {},
    {
      get: () => {
        throw new Error(`the bench has no ${name}`)
      },
    },
  ) as never
const db = connectDatabase({ url: process.argv[2]! })
const ports: Ports = {
  db,
  clock: { now: async () => now },
  newId,
  log: createLog({ name: 'bench', level: 'warn' }),
  keys: absent('keys'),
  stripe: absent('stripe'),
  pdf: absent('printer'),
  files: absent('files'),
  mailer: absent('mailer'),
}

async function work({ tick, job, at }: Order): Promise<Worked> {
  now = new Date(at)
  const begun = performance.now()
  const planned = await perform(catalog.get(tick)!, { at: now.toISOString() }, ports)
  if (planned.kind !== 'done') throw new Error(`${tick} ended as ${planned.kind}`)
  const planMs = performance.now() - begun
  const staged = await db.prisma.stagedJob.findMany({
    select: { id: true },
    where: { name: job, finishedAt: null },
    orderBy: { key: 'asc' },
  })
  const done: { id: string; statements: number; ms: number }[] = []
  const start = performance.now()
  const lane = async (): Promise<void> => {
    for (let next = staged.shift(); next; next = staged.shift()) {
      const { id } = next
      const [own, since] = [{ statements: 0 }, performance.now()]
      await sent.run(own, () => workStaged(id, db, ports))
      done.push({ id, statements: own.statements, ms: performance.now() - since })
    }
  }
  await Promise.all(Array.from({ length: concurrencyOf(queueOf({ name: job })) }, lane))
  const ms = performance.now() - start
  const ended = await db.prisma.stagedJob.findMany({ where: { name: job } })
  const failed = ended.find(({ outcome }) => outcome !== 'done')
  if (failed || ended.length !== done.length) throw new Error(`${job}: ${failed?.outcome} ${failed?.reason}`)
  const reasons = new Map(ended.map(({ id, reason }) => [id, reason ?? '']))
  const peakBytes = process.resourceUsage().maxRSS * 1024
  return { planMs, ms, peakBytes, jobs: done.map(({ id, ...rest }) => ({ ...rest, reason: reasons.get(id)! })) }
}

serveOrders(work, () => db.close())
