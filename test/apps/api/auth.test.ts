// Who calls: keys, limits, and the headers every answer bears.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../../apps/api/app.ts'
import type { Services } from '../../../apps/api/context.ts'
import { createWorld, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, keyOf, send } from './support.ts'

let world: World
let account: TestAccount
beforeAll(async () => {
  world = await createWorld()
  account = await world.account()
})
afterAll(() => world.close())

const get = (authorization: string | null, path = '/v1/account') =>
  send(world, {
    method: 'GET',
    path,
    key: null,
    headers: authorization === null ? {} : { Authorization: authorization },
  })

describe('a call without a valid key is refused with 401', () => {
  it('a valid key is let in, whatever the case of the scheme', async () => {
    expect((await get(`Bearer ${account.key}`)).status).toBe(200)
    expect((await get(`bearer ${account.key}`)).status).toBe(200)
  })

  it.each([
    ['no key', () => null],
    ['an empty key', () => 'Bearer '],
    ['another scheme', () => `Basic ${Buffer.from(account.key).toString('base64')}`],
    ['the key without a scheme', () => account.key],
    ['a key nobody has', () => `Bearer pd_acct_${'A'.repeat(43)}`],
    ['a key cut short', () => `Bearer ${account.key.slice(0, -1)}`],
    ['a key with more behind it', () => `Bearer ${account.key}x`],
    ['a key in other letters', () => `Bearer ${account.key.toUpperCase()}`],
    ['two keys', () => `Bearer ${account.key}, Bearer ${account.key}`],
    ['a key of 301 characters', () => `Bearer ${'k'.repeat(301)}`],
    ['a key of 8,000 characters', () => `Bearer ${'k'.repeat(8_000)}`],
    ['a quote', () => `Bearer '`],
  ])('%s', async (_name, authorization) => {
    expectProblem(await get(authorization()), 401, 'unauthorized')
  })

  it('says which scheme it wants (RFC 9110, 11.6.1)', async () => {
    expect((await get(null)).headers.get('www-authenticate') ?? '').toMatch(/^Bearer\b/)
  })

  it('a revoked key', async () => {
    const key = await keyOf(world, account, 'owner')
    expect((await get(`Bearer ${key}`)).status).toBe(200)
    await asSuperuser(world, `UPDATE api_keys SET revoked_at = now() WHERE hint = $1`, [key.slice(-4)])
    expectProblem(await get(`Bearer ${key}`), 401, 'unauthorized')
  })

  it('a key in the query or in a cookie counts for nothing', async () => {
    for (const name of ['key', 'api_key', 'access_token', 'token', 'authorization']) {
      expectProblem(await get(null, `/v1/account?${name}=${account.key}`), 401, 'unauthorized')
    }
    const cookie = await send(world, {
      method: 'GET',
      path: '/v1/account',
      key: null,
      headers: { Cookie: `key=${account.key}` },
    })
    expectProblem(cookie, 401, 'unauthorized')
  })

  it('a key in a form body counts for nothing', async () => {
    const answer = await send(world, {
      path: '/v1/licenses',
      key: null,
      body: `access_token=${account.key}`,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    })
    expectProblem(answer, 401, 'unauthorized')
  })

  it('who calls is asked before whether the id exists or the body is right', async () => {
    expectProblem(await send(world, { method: 'GET', path: '/v1/licenses/nonsense', key: null }), 401, 'unauthorized')
    const body = await send(world, {
      path: '/v1/licenses',
      key: null,
      body: '{"nonsense":1}',
      headers: { 'Content-Type': 'application/json' },
    })
    expectProblem(body, 401, 'unauthorized')
  })

  it('no secret is stored: the database holds its hash and the last four characters', async () => {
    const rows = await asSuperuser<{ all: string }>(world, `SELECT string_agg(k::text, ' ') AS all FROM api_keys k`)
    expect(rows[0]!.all).toContain(account.key.slice(-4))
    expect(rows[0]!.all).not.toContain(account.key.slice(-12))
    expect(rows[0]!.all).not.toContain(world.operatorKey.slice(-12))
  })
})

describe('an account makes and revokes its own keys', () => {
  const keys = (method: string, path: string, key: string, body?: unknown) =>
    world.call(method, `/v1/api-keys${path}`, { key, body })

  it('a key may do what its scopes say; its secret is shown once; revoked, it is of no use at once', async () => {
    const made = await keys('POST', '', account.key, { name: 'Shop', scopes: ['viewer', 'viewer'] })
    expect([made.status, made.body]).toMatchObject([201, { object: 'api_key', name: 'Shop', scopes: ['viewer'] }])
    const { id, secret } = made.body
    expect((await get(`Bearer ${secret}`)).status).toBe(200)
    for (const answer of [
      await keys('GET', '', secret),
      await keys('POST', '', secret, { name: 'x', scopes: ['owner'] }),
    ]) {
      expectProblem(answer, 403, 'forbidden')
    }
    const listed = await keys('GET', '', account.key)
    expect(listed.body.data).toContainEqual(expect.objectContaining({ id, name: 'Shop', hint: secret.slice(-4) }))
    expect(JSON.stringify(listed.body)).not.toContain(secret)
    expect((await keys('DELETE', `/${id}`, account.key)).status).toBe(204)
    expectProblem(await get(`Bearer ${secret}`), 401, 'unauthorized')
    expectProblem(await keys('DELETE', `/${id}`, account.key), 404, 'not_found')
    const entries = await asSuperuser<{ action: string }>(
      world,
      `SELECT action FROM audit_entries WHERE account_id = $1 AND action LIKE 'api_key.%' ORDER BY seq`,
      [account.uuid],
    )
    expect(entries.map(({ action }) => action)).toEqual(['api_key.created', 'api_key.revoked'])
  })

  it('nobody makes an operator, or a key without scopes', async () => {
    for (const scopes of [['operator'], ['owner', 'operator'], [], 'owner']) {
      const answer = await keys('POST', '', account.key, { name: 'x', scopes })
      expect(answer.body.errors[0].path).toMatch(/^scopes/)
      expectProblem(answer, 400, 'invalid_request')
    }
  })

  it('the last owner key stays, also when two are revoked by each other at once', async () => {
    const lone = await world.account()
    const mine = async () => (await keys('GET', '', lone.key)).body.data as { id: string; scopes: string[] }[]
    const [first] = await mine()
    expectProblem(await keys('DELETE', `/${first!.id}`, lone.key), 409, 'last_owner_key')
    const second = (await keys('POST', '', lone.key, { name: 'Second', scopes: ['owner'] })).body
    const answers = await Promise.all([
      keys('DELETE', `/${first!.id}`, second.secret),
      keys('DELETE', `/${second.id}`, lone.key),
    ])
    expect(answers.map(({ status }) => status).filter((status) => status === 204)).toHaveLength(1)
    const [{ n }] = (await asSuperuser<{ n: number }>(
      world,
      `SELECT count(*)::int AS n FROM api_keys WHERE account_id = $1 AND revoked_at IS NULL`,
      [lone.uuid],
    )) as [{ n: number }]
    expect(n).toBe(1)
  })
})

describe('requests are limited per key', () => {
  let url: string
  let close: () => void
  beforeAll(async () => {
    const { apiDb, ports } = world
    const services = { db: apiDb, clock: ports.clock, log: pino({ level: 'silent' }) } as unknown as Services
    const server = express()
      .use(createApp({ services, rateLimitPerMinute: 3 }))
      .listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    close = () => {
      server.close()
      server.closeAllConnections()
    }
  })
  afterAll(() => close())

  const company = async (key: string | null) => {
    const limited = { ...world, url } as World
    return await send(limited, { method: 'GET', path: '/v1/company', key })
  }

  it('the fourth of three is a 429 problem that says when to come again; another key is not held up', async () => {
    const other = await keyOf(world, account, 'viewer')
    for (let left = 2; left >= 0; left -= 1) {
      const answer = await company(account.key)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('ratelimit')).toContain(`r=${left}`)
      expect(answer.headers.get('ratelimit-policy')).toMatch(/q=3;\s*w=60/)
    }
    const refused = await company(account.key)
    expectProblem(refused, 429, 'rate_limited')
    expect(refused.headers.get('ratelimit')).toContain('r=0')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await company(other)).status).toBe(200)
  })

  it('callers without a key are limited by their address', async () => {
    for (let call = 0; call < 3; call += 1) expectProblem(await company(null), 401, 'unauthorized')
    expectProblem(await company(null), 429, 'rate_limited')
  })

  it('the headers do not tell the key', async () => {
    const key = await keyOf(world, account, 'viewer')
    const text = JSON.stringify([...(await company(key)).headers])
    expect(text).toContain('ratelimit')
    expect(text).not.toContain(key.slice('pd_acct_'.length, 16))
  })
})

describe('every answer bears the security headers, and none names the software', () => {
  const answers: [string, () => Promise<{ headers: Headers }>][] = [
    ['an answer', () => get(`Bearer ${account.key}`)],
    ['a refusal', () => get(null)],
    ['an unknown path', () => get(null, '/nowhere')],
    ['the OpenAPI document', () => get(null, '/v1/openapi.json')],
    ['the docs', () => get(null, '/docs')],
  ]
  it.each(answers)('%s', async (_name, answer) => {
    const { headers } = await answer()
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(headers.get('content-security-policy')).toContain("object-src 'none'")
    expect(headers.get('x-powered-by')).toBeNull()
    expect(headers.get('server')).toBeNull()
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })

  it('neither /healthz, /readyz nor a webhook names the software', async () => {
    for (const path of ['/healthz', '/readyz', '/webhooks/stripe']) {
      expect((await get(null, path)).headers.get('x-powered-by')).toBeNull()
    }
  })
})
