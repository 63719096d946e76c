// Connections to Redis, and what a Redis must be like before we trust it with queues.
import { Redis } from 'ioredis'
import { ConfigError } from '../config.ts'

/** How soon a lost connection is tried again: an outage is over within a second of its end. */
const RECONNECT_MAX_MS = 1_000
/** An unreachable Redis is no reason not to start: the API accepts without it, and workers wait for it. */
const PREFLIGHT_MS = 3_000

/**
 * @param role `add`: a command fails at once while there is no connection. `work`: it waits, as BullMQ's workers need.
 *   No command has a time limit of its own: BullMQ keeps the failure of its first one for ever.
 */
export function connectRedis(url: string, role: 'add' | 'work', onError: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(times * 100, RECONNECT_MAX_MS),
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    keepAlive: 5_000,
    connectTimeout: 5_000,
    ...(role === 'add' && { enableOfflineQueue: false }),
  })
  redis.on('error', onError)
  return redis
}

/**
 * What is wrong with a Redis for our purpose, from its own words.
 * @param info what INFO answers
 * @returns null when nothing is
 */
export function unfitness(info: string): string | null {
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1]
  if (policy === undefined) return 'it does not tell its maxmemory-policy'
  if (policy === 'noeviction') return null
  return `its maxmemory-policy is ${policy}, under which it forgets jobs when memory is short; set noeviction`
}

/** What may stay, but should be known: jobs in flight are told again after a loss, at the price of some seconds. */
export const weakness = (info: string): string | null =>
  /^aof_enabled:0/m.test(info)
    ? 'it has no append-only file: after a crash its queues are refilled from PostgreSQL'
    : null

/** To be let in later is not to be hoped for: somebody has to mend the address. */
function refuseStranger(error: Error): null {
  if (!/^(WRONGPASS|NOAUTH|NOPERM|ERR invalid (password|username))/.test(error.message)) return null
  throw new ConfigError(`The Redis of REDIS_URL does not let us in: ${error.message}`)
}

/**
 * Asks Redis before a process starts to work.
 * @returns a warning, or null; 'unreachable' when it does not answer within 3 s
 * @throws ConfigError when this Redis may not be used
 */
export async function preflightRedis(url: string): Promise<string | null> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: null, connectTimeout: PREFLIGHT_MS })
  let cause = ''
  redis.on('error', (error: Error & { code?: string }) => (cause = ` (${error.code ?? error.message})`))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((done) => (timer = setTimeout(() => done(null), PREFLIGHT_MS)))
  try {
    const info = await Promise.race([redis.connect().then(() => redis.info()), late]).catch(refuseStranger)
    if (info === null)
      return `${new URL(url).host} cannot be reached now${cause}; work waits in PostgreSQL until it can`
    const reason = unfitness(info)
    if (reason !== null) throw new ConfigError(`The Redis of REDIS_URL is not fit for queues: ${reason}.`)
    return weakness(info)
  } finally {
    clearTimeout(timer)
    redis.disconnect()
  }
}
