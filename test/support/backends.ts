// Both stores a queue can be kept in, for tests that must hold on either.
import type { QueueAddress } from '../../apps/adapters/queue-backend.ts'
import type { TestDatabase } from './postgres.ts'
import { redisMissing, startRedis, type TestRedis } from './redis.ts'

export interface Backend {
  readonly api: QueueAddress
  readonly worker: QueueAddress
  /** Null on PostgreSQL. */
  readonly redis: TestRedis | null
  stop(): Promise<void>
}

export interface BackendKind {
  readonly name: 'PostgreSQL' | 'Redis'
  /** Why it cannot be tried here; null when it can. */
  readonly missing: string | null
  start(database: TestDatabase): Promise<Backend>
}

const addresses = (database: TestDatabase, redisUrl?: string) => ({
  api: { databaseUrl: database.apiUrl, redisUrl },
  worker: { databaseUrl: database.workerUrl, redisUrl },
})

export const BACKENDS: readonly BackendKind[] = [
  {
    name: 'PostgreSQL',
    missing: null,
    start: async (database) => ({ ...addresses(database), redis: null, stop: async () => {} }),
  },
  {
    name: 'Redis',
    missing: redisMissing,
    async start(database) {
      const redis = await startRedis()
      return { ...addresses(database, redis.url), redis, stop: () => redis.stop() }
    },
  },
]

if (redisMissing !== null) console.warn(`Tests on Redis are skipped: ${redisMissing}.`)
