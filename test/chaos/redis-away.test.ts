// The real processes with Redis away: the API accepts, and what it accepted is done when Redis is back; emptied, Redis
// is refilled; and a Redis that forgets is not started with.
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisMissing } from '../support/redis.ts'
import { waitUntil } from '../support/wait.ts'
import { openSite, type Site } from './site.ts'

describe.skipIf(redisMissing !== null)('with its queues in Redis', () => {
  let site: Site
  let account: string
  beforeAll(async () => {
    site = await openSite({ backend: 'redis', now: '2026-10-01T12:00:00Z', say: () => {} })
    await call('POST', '/v1/admin/products', { slug: 'backup', name: 'Backup', family: 'security' })
    await call('POST', '/v1/admin/prices', {
      ...{ product: 'backup', currency: 'usd', model: 'per_day', monthly_amount: '10.00' },
      effective_from: '2026-10-01',
    })
    const { body } = await call('POST', '/v1/admin/accounts', { name: 'A', currency: 'usd', card_required: false })
    account = body.id
  })
  afterAll(() => site?.stop())

  async function call(method: string, path: string, body?: unknown) {
    const response = await fetch(site.sandbox.url + path, {
      method,
      headers: {
        Authorization: `Bearer ${site.sandbox.operatorKey}`,
        ...(account && { 'Perdiem-Account': account }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    return { status: response.status, body: (await response.json()) as any }
  }
  const buy = async (): Promise<string> => {
    const { status, body } = await call('POST', '/v1/licenses', { product: 'backup' })
    expect([status, body.status]).toEqual([202, 'queued'])
    return body.id
  }
  const waiting = (): Promise<number> => site.redis!.client.llen('{perdiem:licenses}:licenses:wait')
  const logOf = (name: string): Promise<string> => readFile(`${site.home}/logs/${name}.log`, 'utf8')
  const statusOf = async (action: string): Promise<string> => (await call('GET', `/v1/actions/${action}`)).body.status
  const done = (actions: readonly string[]) =>
    waitUntil('all are done', async () => (await Promise.all(actions.map(statusOf))).every((one) => one === 'done'))

  it('accepts while Redis is away, one after another, and does it all when Redis is back', async () => {
    await done([await buy()])
    await site.redis!.kill()
    const actions = [await buy(), await buy(), await buy()]
    expect(await Promise.all(actions.map(statusOf))).toEqual(['queued', 'queued', 'queued'])
    const { status, body } = await call('GET', '/readyz')
    expect([status, body.warnings]).toEqual([200, [expect.stringMatching(/^Redis cannot be reached .*PostgreSQL$/)]])
    await site.redis!.start()
    await done(actions)
    expect((await call('GET', '/readyz')).body.warnings).toEqual([])
    expect((await call('GET', '/v1/licenses/counts')).body).toMatchObject({ issued: 4 })
  })

  it('accepts while Redis is stopped and answers nobody', async () => {
    site.redis!.signal('SIGSTOP')
    const action = await buy()
    site.redis!.signal('SIGCONT')
    await done([action])
  })

  it('refills a Redis that was emptied, by itself and when told to', async () => {
    await site.part('worker').down()
    const actions = [await buy(), await buy()]
    await waitUntil('they are in the queue', async () => (await waiting()) === 2)
    await site.redis!.client.flushall()
    await waitUntil('the API has told nobody', async () => (await waiting()) === 0)
    await site.part('worker').release()
    const told = await call('POST', '/v1/admin/queues/rebuild')
    expect([told.status, typeof told.body.jobs]).toEqual([200, 'number'])
    await done(actions)
  })

  it('does not start with a Redis that evicts, and starts when it no longer does', async () => {
    const worker = site.part('worker')
    await site.redis!.client.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await worker.down()
    const started = worker.release()
    await waitUntil('it has said why', async () => (await logOf('worker')).includes('maxmemory-policy is allkeys-lru'))
    const action = await buy()
    expect(await statusOf(action)).toBe('queued')
    await site.redis!.client.config('SET', 'maxmemory-policy', 'noeviction')
    await started
    await done([action])
  })
})
