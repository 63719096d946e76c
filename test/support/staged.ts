// Jobs of a test's own, and a queue that only remembers, for tests of the outbox.
import { z } from 'zod'
import type { ProcessDatabase } from '../../apps/adapters/database.ts'
import type { JobQueue, QueueEntry, QueueState } from '../../apps/adapters/queue.ts'
import { catalog } from '../../jobs/catalog.ts'
import { defineJob, type Job } from '../../jobs/kit/job.ts'
import type { Outcome } from '../../jobs/kit/outcome.ts'

export type TestJob = Job<{ n: number }>

const mutable = catalog as Map<string, Job>

/** As a job that a later version has no more. */
export const unregister = (job: TestJob): boolean => mutable.delete(job.name)

/** A job of the test's own, in the catalog under this name. */
export function register(name: string, run: () => Promise<Outcome>, more: Partial<TestJob> = {}): TestJob {
  const job = defineJob<{ n: number }>({
    name,
    payload: z.object({ n: z.number() }),
    key: ({ n }) => String(n),
    retry: { attempts: 3, firstDelayMs: 60_000, maxDelayMs: 100_000 },
    timeoutMs: 10_000,
    run,
    ...more,
  })
  mutable.set(name, job as unknown as Job)
  return job
}

export interface StagedFacts {
  id: string
  attempts: number
  redrives: number
  outcome: string | null
  reason: string | null
  finished: boolean
  dueAt: Date | null
}

export async function stagedFacts(db: ProcessDatabase, id: string): Promise<StagedFacts> {
  const rows = await db.prisma.$queryRaw<StagedFacts[]>`
    SELECT id, attempts, redrives, outcome, reason, finished_at IS NOT NULL AS finished, due_at AS "dueAt"
    FROM staged_jobs WHERE id = ${id}::uuid`
  return rows[0]!
}

/** What next_at was set to by some work: at least and at most so many seconds after the moment of setting it. */
export async function delayOf(
  db: ProcessDatabase,
  id: string,
  work: () => Promise<unknown>,
): Promise<[number, number]> {
  const now = async () =>
    (
      await db.prisma.$queryRaw<[{ now: number }]>`
    SELECT extract(epoch FROM clock_timestamp())::float8 AS now`
    )[0].now
  const before = await now()
  await work()
  const after = await now()
  const [{ next }] = await db.prisma.$queryRaw<[{ next: number }]>`
    SELECT extract(epoch FROM next_at)::float8 AS next FROM staged_jobs WHERE id = ${id}::uuid`
  return [next - after, next - before]
}

export interface FakeQueue extends JobQueue {
  readonly added: QueueEntry[]
  readonly states: Map<string, QueueState>
}

/** Holds what is added, as a queue does: an id it has is swallowed. */
export function fakeQueue(): FakeQueue {
  const added: QueueEntry[] = []
  const states = new Map<string, QueueState>()
  return {
    added,
    states,
    add: async (entries) => {
      for (const entry of entries) {
        if (states.has(entry.jobId)) continue
        added.push(entry)
        states.set(entry.jobId, 'pending')
      }
    },
    state: async (_, jobId) => states.get(jobId) ?? 'unknown',
    keepSchedules: async () => [],
    assertReachable: () => {},
    addCanary: async () => null,
    close: async () => {},
  }
}
