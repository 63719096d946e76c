// What is asked before a process starts: a Redis that forgets is refused, connections that do not fit are refused, each
// with a sentence that says what to do.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimed, connectionName, fitConnections } from '../../../apps/adapters/connections.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { preflight } from '../../../apps/adapters/preflight.ts'
import { preflightRedis, unfitness, weakness } from '../../../apps/adapters/redis.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import { redisMissing, startRedis } from '../../support/redis.ts'

describe('a Redis', () => {
  it('is fit for queues only where nothing is evicted', () => {
    expect(unfitness('maxmemory_policy:noeviction\r\n')).toBeNull()
    for (const policy of ['allkeys-lru', 'volatile-ttl', 'allkeys-random']) {
      expect(unfitness(`used:1\r\nmaxmemory_policy:${policy}\r\n`)).toContain(policy)
    }
    expect(unfitness('something:else')).toContain('does not tell')
    expect(weakness('aof_enabled:1')).toBeNull()
    expect(weakness('aof_enabled:0')).toContain('append-only')
  })

  it.skipIf(redisMissing !== null)('is asked itself: one that evicts is refused, with what to set', async () => {
    const redis = await startRedis({ 'maxmemory-policy': 'allkeys-lru' })
    try {
      await expect(preflightRedis(redis.url)).rejects.toThrow(/allkeys-lru.*noeviction/)
      await redis.client.config('SET', 'maxmemory-policy', 'noeviction')
      expect(await preflightRedis(redis.url)).toBeNull()
      await redis.client.config('SET', 'appendonly', 'no')
      expect(await preflightRedis(redis.url)).toContain('append-only')
    } finally {
      await redis.stop()
    }
  })

  it('that does not answer keeps nobody from starting', async () => {
    expect(await preflightRedis('redis://127.0.0.1:1')).toContain('cannot be reached')
  })
})

const LIMIT = `
  SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - current_setting('reserved_connections')::int AS "limit"`

describe('connections', () => {
  let database: TestDatabase
  let client: pg.Client
  beforeAll(async () => {
    database = await createTestDatabase()
    client = new pg.Client({ connectionString: database.superuserUrl })
    await client.connect()
  })
  afterAll(async () => {
    await client.end()
    await database.drop()
  })

  it('are added up by what each process may open, once per process, and by what others have open', () => {
    const worker = connectionName('worker', 'abcdef-123456', 29)
    expect(worker).toBe('perdiem worker 123456 of 29')
    expect(worker.length).toBeLessThan(64)
    expect(claimed([])).toBe(0)
    expect(
      claimed([
        { name: worker, open: 3 },
        { name: connectionName('web', '654321', 15), open: 15 },
        { name: 'psql', open: 2 },
        { name: '', open: 1 },
      ]),
    ).toBe(29 + 15 + 2 + 1)
    // One that opens more than it said is counted as it is.
    expect(claimed([{ name: 'perdiem web 654321 of 5', open: 9 }])).toBe(9)
  })

  it('of the other role count, too, and two that start together count one another', async () => {
    const { rows } = await client.query<{ limit: number }>(LIMIT)
    const most = Math.ceil(rows[0]!.limit * 0.6)
    const started = await Promise.allSettled([
      fitConnections(database.apiUrl, connectionName('web', newId(), most), most),
      fitConnections(database.workerUrl, connectionName('worker', newId(), most), most),
    ])
    const fit = started.filter((one) => one.status === 'fulfilled')
    for (const { value } of fit) await value.release()
    expect(fit).toHaveLength(1)
  })

  it('that fit are let through; one too many is refused before any is opened, by number', async () => {
    const { rows } = await client.query<{ limit: number }>(LIMIT)
    const { limit } = rows[0]!
    const claim = { kind: 'worker', databaseUrl: database.workerUrl, redisUrl: undefined, warn: () => {} }
    await expect(preflight({ ...claim, connections: limit + 1 })).rejects.toThrow(
      new RegExp(`PostgreSQL allows ${limit} connections; this process may open ${limit + 6}, .*max_connections`),
    )
    const { applicationName, release } = await preflight({ ...claim, connections: 1, worked: 2 })
    expect(applicationName).toMatch(/ of 16$/)
    await release()
  })
})
