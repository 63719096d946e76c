// I11: nothing of one account can be read or changed with the credentials of another. Every route is asked, also one
// that is added tomorrow; first as the API is, then with the code's own scoping switched off, so that only PostgreSQL
// stands there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { routes } from '../../../apps/api/app.ts'
import { createWorld } from '../../support/world.ts'
import {
  accountRoutes,
  ask,
  BODIES,
  hasId,
  hostUnscoped,
  leaks,
  nameOf,
  operatorRoutes,
  twoAccounts,
  type TwoAccounts,
  type Unscoped,
} from './isolation-support.ts'
import { asSuperuser, expectProblem, keyOf, unknownId } from './support.ts'

let two: TwoAccounts
beforeAll(async () => {
  two = await twoAccounts()
})
afterAll(() => two?.world.close())

/** Everything that is the first account's, as the database has it. */
async function firstAccount(): Promise<Record<string, unknown>> {
  const tables = await asSuperuser<{ name: string }>(
    two.world,
    `
    SELECT table_name AS name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'account_id' ORDER BY 1`,
  )
  const texts = tables.map(
    ({ name }) => `(SELECT string_agg(t::text, '|' ORDER BY t::text) FROM ${name} t WHERE account_id = $1) AS ${name}`,
  )
  const [row] = await asSuperuser<Record<string, unknown>>(
    two.world,
    `
    SELECT (SELECT a::text FROM accounts a WHERE id = $1) AS account, ${texts.join(', ')}`,
    [two.first.uuid],
  )
  return row!
}

const names = (of: readonly { method: string; path: string }[]): string[] =>
  of.map(({ method, path }) => `${method} ${path}`)
const routeOf = (name: string) => routes.find((route) => nameOf(route) === name)!

it('every route that takes a body has one here that is understood', () => {
  const missing = routes.filter((route) => route.body !== undefined && !(nameOf(route) in BODIES))
  expect(names(missing)).toEqual([])
})

it("the first account's own key does see its secrets, so that looking for them means something", async () => {
  const seen = new Set<string>()
  for (const route of accountRoutes.filter(({ method }) => method === 'get')) {
    for await (const { text } of ask(two, route, two.first.key)) for (const secret of leaks(two, text)) seen.add(secret)
  }
  const shown = two.secrets.filter((secret) => secret !== two.first.uuid)
  expect(shown.filter((secret) => !seen.has(secret))).toEqual([])
})

describe("another account's key", () => {
  it.each(names(accountRoutes))('%s shows and changes nothing of the first', async (name) => {
    const route = routeOf(name)
    const before = await firstAccount()
    const keys = [two.other.key, await keyOf(two.world, two.other, 'owner', 'billing', 'licenses', 'viewer')]
    for (const key of keys) {
      for await (const { path, answer, text } of ask(two, route, key)) {
        if (hasId(route)) expectProblem(answer, 404, 'not_found')
        else expect([path, answer.status]).toEqual([path, expect.toBeOneOf([200, 201, 202])])
        // The path was the caller's own; no answer may hold more than it did.
        expect({ path, leaked: leaks(two, text) }).toEqual({ path, leaked: [] })
      }
    }
    await two.world.drain()
    expect(await firstAccount()).toEqual(before)
  })

  it.each(names(operatorRoutes))('%s is for operators', async (name) => {
    const before = await firstAccount()
    for (const key of [two.other.key, two.first.key, await keyOf(two.world, two.other, 'viewer')]) {
      for await (const { answer } of ask(two, routeOf(name), key)) expectProblem(answer, 403, 'forbidden')
    }
    expect(await firstAccount()).toEqual(before)
  })

  it("another account's site as a filter, or its place as a cursor, finds nothing", async () => {
    const { world, other, ids } = two
    const site = ids.find((id) => id.startsWith('site_'))
    const filtered = await world.call('GET', `/v1/licenses?site=${site}`, { key: other.key })
    expect([filtered.status, filtered.body.data, filtered.body.total]).toEqual([200, [], 0])
    for (const list of ['/v1/licenses', '/v1/invoices', '/v1/sites']) {
      const page = await world.call('GET', `${list}?limit=1`, { key: two.first.key })
      const cursor =
        page.body.next_cursor ?? Buffer.from('["ffffffff-ffff-7fff-bfff-ffffffffffff"]').toString('base64url')
      const answer = await world.call('GET', `${list}?cursor=${cursor}`, { key: other.key })
      expect({ list, leaked: leaks(two, JSON.stringify(answer.body)) }).toEqual({ list, leaked: [] })
    }
  })

  it('Perdiem-Account with an account key changes nothing about whom the call is for', async () => {
    const { world, other, first } = two
    const answer = await world.call('GET', '/v1/account', { key: other.key, headers: { 'Perdiem-Account': first.id } })
    expect(leaks(two, JSON.stringify(answer.body))).toEqual([])
  })

  it("another account's site words name one's own sites", async () => {
    const { world, other } = two
    const accepted = await world.call('POST', '/v1/licenses', {
      key: other.key,
      body: { product: 'backup', site: { url: `https://${two.secrets[0]}.example` } },
    })
    await world.drain()
    const { body } = await world.call('GET', `/v1/actions/${accepted.body.id}`, { key: other.key })
    expect(body.result.licenses[0].site).toMatchObject({ external_id: null, client: null })
    expect(two.ids).not.toContain(body.result.licenses[0].site.id)
    await asSuperuser(world, `UPDATE sites SET url = 'https://own.example' WHERE account_id = $1`, [other.uuid])
  })
})

describe("an operator's key", () => {
  it.each(names(accountRoutes))('%s needs the account to be named', async (name) => {
    for await (const { answer } of ask(two, routeOf(name), two.world.operatorKey)) {
      expectProblem(answer, 400, 'account_required', 'Perdiem-Account')
    }
  })

  it('works for the account it names, and for no other', async () => {
    const { world, first, other } = two
    const asked = async (account: string, path: string) =>
      await world.call('GET', path, { headers: { 'Perdiem-Account': account } })
    expect((await asked(first.id, '/v1/account')).body.id).toBe(first.id)
    expect((await asked(other.id, '/v1/account')).body.id).toBe(other.id)
    const license = two.ids.find((id) => id.startsWith('lic_'))!
    expect((await asked(first.id, `/v1/licenses/${license}`)).body.id).toBe(license)
    expectProblem(await asked(other.id, `/v1/licenses/${license}`), 404, 'not_found')
    for (const nobody of [unknownId('account'), 'acct_1', first.uuid, license, `${first.id},${other.id}`, '']) {
      expectProblem(await asked(nobody, '/v1/account'), 404, 'not_found')
    }
  })
})

describe("with the code's own scoping switched off", () => {
  let asApi: Unscoped
  let asWorker: Unscoped
  beforeAll(async () => {
    asApi = await hostUnscoped(two, two.world.apiDb)
    asWorker = await hostUnscoped(two, two.world.db)
  })
  afterAll(() => Promise.all([asApi.close(), asWorker.close()]))

  const reads = names(accountRoutes.filter(({ method }) => method === 'get'))
  const writes = names(accountRoutes.filter(({ method }) => method !== 'get'))
  /** Numbers alone: there is no text to look for, but counts of the first account's rows. */
  const counted = ['get /v1/licenses/counts', 'get /v1/usage', 'get /v1/billing/estimate']

  it.each(reads)('row-level security holds for %s, and without it the first account would be seen', async (name) => {
    const route = routeOf(name)
    const held: unknown[] = []
    for await (const { path, answer, text } of ask(two, route, two.other.key, asApi.url)) {
      if (hasId(route)) expectProblem(answer, 404, 'not_found')
      expect({ path, leaked: leaks(two, text) }).toEqual({ path, leaked: [] })
      held.push(answer.body)
    }
    const found = new Set<string>()
    const open: unknown[] = []
    for await (const { answer, text } of ask(two, route, two.other.key, asWorker.url)) {
      for (const secret of leaks(two, text)) found.add(secret)
      // A PDF is bytes without our words; that it was given at all is the leak.
      if (answer.headers.get('content-type') === 'application/pdf') found.add('pdf')
      open.push(answer.body)
    }
    expect(open).not.toEqual(held)
    if (!counted.includes(name)) expect([...found]).not.toEqual([])
  })

  it.each(writes)('row-level security holds for %s', async (name) => {
    const route = routeOf(name)
    const before = await firstAccount()
    for await (const { path, answer, text } of ask(two, route, two.other.key, asApi.url)) {
      if (hasId(route)) expectProblem(answer, 404, 'not_found')
      expect({ path, leaked: leaks(two, text) }).toEqual({ path, leaked: [] })
    }
    await two.world.drain()
    expect(await firstAccount()).toEqual(before)
  })

  it('and without it a write would reach the first account', async () => {
    const before = await firstAccount()
    for await (const { answer } of ask(two, routeOf('patch /v1/account'), two.other.key, asWorker.url)) {
      expect(answer.status).toBe(200)
    }
    expect((await firstAccount()).account).not.toEqual(before.account)
  })
})

describe('the API role itself', () => {
  it('every table with an account is under row-level security, and has a policy for the API', async () => {
    const { world } = two
    const open = await asSuperuser<{ name: string }>(
      world,
      `
      SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      WHERE c.relkind = 'r'
        AND (NOT c.relrowsecurity OR NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid))
        AND (c.relname = 'accounts' OR EXISTS (
          SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'account_id' AND NOT a.attisdropped))`,
    )
    expect(open).toEqual([])
    const [role] = await asSuperuser<{ strong: boolean }>(
      world,
      `
      SELECT rolsuper OR rolbypassrls AS strong FROM pg_roles WHERE rolname = 'perdiem_api'`,
    )
    expect(role!.strong).toBe(false)
  })

  it('a transaction that names nobody sees no row of any account', async () => {
    const { world } = two
    const seen = await world.apiDb.withNobody(async (tx) => {
      const tables = await tx.$queryRaw<{ name: string }[]>`
        SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND has_table_privilege(c.oid, 'SELECT')`
      expect(tables.length).toBeGreaterThan(15)
      const counts: [string, number][] = []
      for (const { name } of [...tables, { name: 'accounts' }]) {
        const only = name === 'prices' ? 'account_id IS NOT NULL' : 'true'
        const [row] = await tx.$queryRawUnsafe<[{ n: number }]>(`SELECT count(*)::int AS n FROM ${name} WHERE ${only}`)
        counts.push([name, row.n])
      }
      return counts.filter(([, n]) => n > 0)
    })
    expect(seen).toEqual([])
  })

  it('a dropped policy is seen: the check above can fail', async () => {
    const broken = await createWorld()
    try {
      await broken.account()
      const count = () =>
        broken.apiDb.withNobody((tx) => tx.$queryRaw<{ n: number }[]>`SELECT count(*)::int AS n FROM api_keys`)
      expect(await count()).toEqual([{ n: 0 }])
      await asSuperuser(broken, 'ALTER TABLE api_keys DISABLE ROW LEVEL SECURITY')
      expect(await count()).toEqual([{ n: 2 }])
    } finally {
      await broken.close()
    }
  })
})
