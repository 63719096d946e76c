// Where BullMQ keeps its queues: in Redis when REDIS_URL is set, else in PostgreSQL, in a schema of its own beside our
// tables. Everything above this file is the same on both.
import { createPostgresBackend, Queue, withBackend, Worker, type Processor, type WorkerOptions } from 'bullmq'
import pg from 'pg'
import { connectRedis } from './redis.ts'

export interface QueueAddress {
  /** The process's own database. */
  readonly databaseUrl: string
  readonly redisUrl?: string | undefined
  /** How the process calls itself among PostgreSQL's connections. */
  readonly applicationName?: string | undefined
}

export interface QueueBackend {
  readonly kind: 'Redis' | 'PostgreSQL'
  queue(name: string): Queue
  worker(name: string, work: Processor, options: Omit<WorkerOptions, 'connection' | 'prefix'>): Worker
  /** @throws at once when the store cannot be asked now */
  assertReachable(): void
  /** An answer did not come in time: the connection may lead nowhere. */
  doubt(): void
  close(): Promise<void>
}

/** A PostgreSQL that does not answer must not hold up whoever could do something else. */
const CONNECT_MS = 10_000

const onPostgres = withBackend(createPostgresBackend)

/** Keeps an hour of finished jobs to look at, and a week of failed ones; the truth is in staged_jobs. */
export const KEEP = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 7 * 86_400, count: 5_000 },
} as const

const DEFAULTS = { attempts: 1, ...KEEP } as const
/** Nobody reads the stream of events; by default it keeps ten thousand of them for every queue. */
const STREAMS = { events: { maxLen: 100 } } as const

/** One hash tag per queue: its keys live in one slot, so that Redis Cluster serves. */
export const prefixOf = (queue: string): string => `{perdiem:${queue}}`

/**
 * @param role `add` fails fast, for a caller who has a sweep behind him; `work` waits for the store to come back
 * @param max connections of the PostgreSQL pool
 */
export function openBackend(
  address: QueueAddress,
  role: 'add' | 'work',
  max: number,
  onError: (error: Error) => void,
): QueueBackend {
  return address.redisUrl === undefined ? postgresBackend(address, max) : redisBackend(address.redisUrl, role, onError)
}

/**
 * One pool per process: a pool per queue took 98 of 100 connections when tried. Its connections take on the role that
 * owns the queue's schema, which sees none of our own tables.
 */
function postgresBackend({ databaseUrl, applicationName }: QueueAddress, max: number): QueueBackend {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max,
    options: '-c search_path=bullmq -c role=perdiem_queue',
    application_name: applicationName ?? 'perdiem-queue',
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
  })
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {})
  const connection = pool as never
  return {
    kind: 'PostgreSQL',
    queue: (name) => new onPostgres.Queue(name, { connection, defaultJobOptions: DEFAULTS }) as unknown as Queue,
    worker: (name, work, options) =>
      new onPostgres.Worker(name, work, { ...(options as object), connection }) as unknown as Worker,
    // Whoever adds has asked our own tables a moment ago.
    assertReachable: () => {},
    doubt: () => {},
    close: () => pool.end(),
  }
}

function redisBackend(url: string, role: 'add' | 'work', onError: (error: Error) => void): QueueBackend {
  const redis = connectRedis(url, role, onError)
  return {
    kind: 'Redis',
    queue: (name) =>
      new Queue(name, { connection: redis, prefix: prefixOf(name), defaultJobOptions: DEFAULTS, streams: STREAMS }),
    worker: (name, work, options) => new Worker(name, work, { ...options, connection: redis, prefix: prefixOf(name) }),
    assertReachable() {
      if (redis.status !== 'ready') throw new Error(`Redis cannot be reached (${redis.status})`)
    },
    doubt: () => redis.disconnect(true),
    close: async () => redis.disconnect(),
  }
}
