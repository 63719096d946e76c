// What is in a queue is clear text there and on the board: ids, dates, numbers and words of our own, never what
// somebody typed. And what an error brought along is cut out.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createRelay } from '../../../apps/adapters/outbox.ts'
import { connectQueue, startWorkers } from '../../../apps/adapters/queue.ts'
import type { Running } from '../../../apps/lifecycle.ts'
import { release } from '../../../apps/release.ts'
import { catalog, queues } from '../../../jobs/catalog.ts'
import type { StagedRow } from '../../../jobs/kit/stage.ts'
import { BACKENDS } from '../../support/backends.ts'
import { waitUntil } from '../../support/wait.ts'
import { act, createProduct, createWorld, type World } from '../../support/world.ts'
import { openBoard, visit, type Visitor } from './visitor.ts'

/** Texts that no schema bounds, and why they are no secret. */
const EXPLAINED: Readonly<Record<string, string>> = {
  'payments.follow-stripe-event event': 'an id of Stripe’s',
  'usage.count-day zone': 'the name of a time zone',
  'usage.count-day days[]': 'a date, checked by isDay',
  'invoices.close-month zone': 'the name of a time zone',
  'invoices.close-month month': 'a month: four digits and two',
}

/** The properties of a payload that might hold any text. */
function openTexts(schema: z.core.$ZodType, path: string): string[] {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def']
  if (def.type === 'object') {
    return Object.entries(def.shape).flatMap(([key, one]) => openTexts(one, path === '' ? key : `${path}.${key}`))
  }
  if (def.type === 'array') return openTexts(def.element, `${path}[]`)
  if (def.type === 'optional' || def.type === 'nullable') return openTexts(def.innerType, path)
  if (['enum', 'literal', 'number', 'int', 'boolean'].includes(def.type)) return []
  const { format } = def as { format?: string }
  return def.type === 'string' && ['uuid', 'datetime', 'date'].includes(format ?? '') ? [] : [path]
}

it('the payload of every job has ids, instants, numbers and words of our own, property by property', () => {
  expect(catalog.size).toBeGreaterThan(10)
  const open = [...catalog.values()].flatMap((job) => openTexts(job.payload, '').map((path) => `${job.name} ${path}`))
  expect(open.sort()).toEqual(Object.keys(EXPLAINED).sort())
})

const CANARY = 'Kanarienvogel'
const MAIL = 'kanarienvogel@canary.example'

describe.each(BACKENDS)('the board on $name', ({ missing, start }) => {
  let world: World
  let key: string
  let board: Running
  let visitor: Visitor
  let stop: () => Promise<unknown>
  beforeAll(async () => {
    if (missing !== null) return
    world = await createWorld('2026-10-30T12:00:00Z')
    await release(world.database)
    key = await liveThroughMonth(world)
    const backend = await start(world.database)
    const queue = connectQueue(backend.api, queues, () => {})
    const fails = async (id: string): Promise<void> => {
      throw new Error(`550 ${MAIL} refused; ${key}; ${world.operatorKey}; postgres://u:geheim@host/db (${id})`)
    }
    const concurrency = new Map(queues.map((name) => [name, 4]))
    const workers = startWorkers(
      { address: backend.worker, concurrency },
      { work: fails, tick: async () => {} },
      () => {},
    )
    board = await openBoard(world.database.apiUrl, { REDIS_URL: backend.api.redisUrl })
    visitor = visit(board.ready)
    await visitor.signIn(world.operatorKey)
    stop = () => Promise.allSettled([workers.close(), queue.close(), board.stop()]).then(() => backend.stop())
    const rows = await world.db.prisma.$queryRaw<StagedRow[]>`SELECT id, name, payload FROM staged_jobs`
    const relay = createRelay(queue, (error) => expect.fail(String(error)))
    relay.offer(rows)
    await relay.drain()
    await waitUntil('every job has failed', async () => (await shownJobs()).length === rows.length)
  })
  afterAll(async () => {
    await stop?.()
    await world?.close()
  })

  async function shownJobs(): Promise<{ queue: string; id: string; name: string }[]> {
    const pages = await Promise.all(
      queues.map((name) => visitor.get(`/api/queues?activeQueue=${name}&status=failed&page=1&jobsPerPage=50`)),
    )
    return pages.flatMap((page, index) => {
      const one = page.json().queues.find(({ name }: { name: string }) => name === queues[index])
      return one.jobs.map(({ id, name }: { id: string; name: string }) => ({ queue: queues[index], id, name }))
    })
  }

  it.skipIf(missing !== null)('shows nothing of an account’s names, addresses, sites and keys', async () => {
    const jobs = await shownJobs()
    expect(new Set(jobs.map(({ name }) => name)).size).toBeGreaterThan(6)
    const served = await Promise.all([
      ...['/', '/api/queues', '/api/job-schedulers', '/api/redis/stats'].map((path) => visitor.get(path)),
      ...queues.map((name) => visitor.get(`/api/queues?activeQueue=${name}&status=latest&page=1&jobsPerPage=50`)),
      ...jobs.flatMap(({ queue, id }) =>
        ['', '/logs', '/flow'].map((part) => visitor.get(`/api/queues/${queue}/${encodeURIComponent(id)}${part}`)),
      ),
    ])
    expect(new Set(served.map(({ status }) => status))).toEqual(new Set([200]))
    const text = served.map((one) => one.text).join('\n')
    expect(text).toContain('550 [mail address] refused')
    for (const secret of [CANARY, MAIL, key, world.operatorKey, 'geheim']) {
      expect(text.toLowerCase().includes(secret.toLowerCase()), secret).toBe(false)
    }
  })

  it.skipIf(missing !== null)('shows nothing of what a stranger put into a queue', async () => {
    const address = { databaseUrl: world.database.apiUrl }
    const left = connectQueue(address, ['documents'], () => {})
    await left.add([
      { queue: 'documents', jobId: 'forged', name: 'documents.render-invoice', data: { html: CANARY, kind: CANARY } },
    ])
    await left.close()
    const { queues: all } = (await visitor.get('/api/queues')).json()
    const path = all.some(({ name }: { name: string }) => name === 'postgresql.documents') ? 'postgresql.' : ''
    const { text } = await visitor.get(`/api/queues/${path}documents/forged`)
    expect(text).toContain('[not shown]')
    expect(text).not.toContain(CANARY)
  })
})

/** An account with telling names, from its first license to a paid invoice. @returns the license's key */
async function liveThroughMonth(world: World): Promise<string> {
  await createProduct(world, 'backup', '4.95')
  const account = await world.account({ name: `${CANARY} GmbH`, billing_email: MAIL })
  await world.card(account)
  const site = { url: `https://${CANARY.toLowerCase()}.example`, client: `${CANARY} & Sons` }
  const issued = await act(world, account, '/v1/licenses', { product: 'backup', quantity: 1, site })
  expect(issued.status).toBe('done')
  const { data } = (await world.call('GET', '/v1/licenses', { key: account.key })).body
  const { key } = (await world.call('GET', `/v1/licenses/${data[0].id}`, { key: account.key })).body
  expect(key).toMatch(/^backup_/)
  await world.at('2026-11-05T12:00:00Z')
  await world.tick()
  expect(world.mails.length).toBeGreaterThan(0)
  return key
}
