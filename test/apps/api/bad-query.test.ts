// Queries, paths and methods that cannot be understood: the rest of bad-input.test.ts.
import { describe, expect, it } from 'vitest'
import { routes } from '../../../apps/api/app.ts'
import { expectProblem, unknownId } from './support.ts'
import { account, history, keepWorldUntouched, license, world } from './untouched-world.ts'

keepWorldUntouched()

const PRICE_COLUMNS = ['product', 'name', 'family', 'currency', 'model', 'monthly_amount', 'effective_from', 'account']

const get = (path: string, key = account.key) => world.call('GET', path, { key })

describe('queries', () => {
  const LISTS = [
    '/v1/licenses',
    '/v1/sites',
    '/v1/invoices',
    '/v1/admin/accounts',
    '/v1/admin/products',
    '/v1/admin/jobs',
    '/v1/admin/imports/{id}/failures',
  ]
  const ask = (path: string) =>
    get(path.replace('{id}', history), path.startsWith('/v1/admin') ? world.operatorKey : account.key)

  it('every list there is, is asked', () => {
    const paged = routes.filter((route) => route.query?.safeParse({ limit: '1', cursor: 'x' }).success)
    const lists = paged.map((route) => route.path)
    expect(lists.sort()).toEqual([...LISTS].sort())
  })

  it.each(LISTS)('%s refuses limits and cursors that are none', async (path) => {
    expect((await ask(`${path}?limit=1`)).status).toBe(200)
    for (const limit of [
      '0',
      '-1',
      '101',
      '1.5',
      'abc',
      '',
      'NaN',
      'Infinity',
      '1e400',
      '1;2',
      'null',
      'true',
      '%00',
    ]) {
      expectProblem(await ask(`${path}?limit=${limit}`), 400, 'invalid_request', 'limit')
    }
    const place = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const cursors = [
      '',
      'abc',
      '%00',
      '../..',
      "'",
      place(null),
      place({}),
      place([]),
      place(['x', 'y', 'z']),
      place(['x', '9999999999', 'z']),
      place(['x', '-1', 'z']),
      place([1]),
      place([null]),
      place([{ not: '' }]),
      place(['\u0000']),
      place(['2026-01-01T00:00:00Z', 'nobody']),
      place(['nobody']),
      place(['0000-01-01T00:00:00Z', '00000000-0000-0000-0000-000000000000']),
      place('x'.repeat(300)),
    ].filter((cursor) => !(path.endsWith('products') && cursor === place(['nobody'])))
    for (const cursor of cursors) expectProblem(await ask(`${path}?cursor=${cursor}`), 400, 'invalid_request', 'cursor')
  })

  it.each(LISTS)('%s refuses parameters twice, nested, or unknown', async (path) => {
    expectProblem(await ask(`${path}?limit=1&limit=2`), 400, 'invalid_request', 'limit')
    expectProblem(await ask(`${path}?cursor=a&cursor=b`), 400, 'invalid_request', 'cursor')
    expectProblem(await ask(`${path}?limit[gt]=1`), 400, 'invalid_request', 'limit[gt]')
    expectProblem(await ask(`${path}?cursor[not]=`), 400, 'invalid_request', 'cursor[not]')
    expectProblem(await ask(`${path}?account_id=x`), 400, 'invalid_request', 'account_id')
    expectProblem(await ask(`${path}?__proto__=x`), 400, 'invalid_request', '__proto__')
  })

  it('filters that are none', async () => {
    for (const state of ['Active', 'all', '', 'deleted']) {
      expectProblem(await get(`/v1/licenses?state=${state}`), 400, 'invalid_request', 'state')
    }
    expectProblem(await get('/v1/licenses?state=active&state=revoked'), 400, 'invalid_request', 'state')
    expectProblem(await get('/v1/licenses?product=Backup%20'), 400, 'invalid_request', 'product')
    expectProblem(await get(`/v1/licenses?site=${'x'.repeat(101)}`), 400, 'invalid_request', 'site')
    expectProblem(await get('/v1/licenses?site=nonsense'), 404, 'not_found')
    expectProblem(await get('/v1/invoices?status=overdue'), 400, 'invalid_request', 'status')
    expectProblem(await get(`/v1/admin/accounts?q=${'x'.repeat(201)}`, world.operatorKey), 400, 'invalid_request', 'q')
  })

  it('a search for what no name can hold finds nothing or is refused, and breaks nothing', async () => {
    for (const q of ["'", '%25', '_', '\\', '%27%3B--', '%F0%9F%98%80', '%ff']) {
      const answer = await get(`/v1/admin/accounts?q=${q}`, world.operatorKey)
      expect([answer.status, answer.body.data]).toEqual([200, []])
    }
    expectProblem(await get('/v1/admin/accounts?q=%00', world.operatorKey), 400, 'invalid_request', 'q')
  })

  it('calls that take no query refuse one', async () => {
    for (const path of ['/v1/account', `/v1/licenses/${license}`, '/v1/licenses/counts', '/v1/company', '/v1/prices']) {
      expectProblem(await get(`${path}?expand=account`), 400, 'invalid_request', 'expand')
    }
    const shown = await get(`/v1/admin/imports/${history}?expand=rows`, world.operatorKey)
    expectProblem(shown, 400, 'invalid_request', 'expand')
  })
})

describe('paths and methods', () => {
  it.each([
    '/',
    '/v1',
    '/v1/nothing',
    '/v2/licenses',
    '/v1/licenses/x/y/z',
    '/v1/admin',
    '/.env',
    '/v1/licenses/%2e%2e/x/y',
  ])('unknown: %s', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE']) expectProblem(await world.call(method, path), 404, 'not_found')
  })

  it.each([
    'lic_',
    'lic_1',
    'LIC_00000000000000000000000000000000',
    '1',
    '%27',
    'lic_..%2f..',
    '00000000-0000-0000-0000-000000000000',
  ])('an id that cannot be one is answered like one that does not exist: %s', async (id) => {
    expectProblem(await get(`/v1/licenses/${id}`), 404, 'not_found')
    expectProblem(await world.call('POST', `/v1/licenses/${id}/revoke`, { key: account.key }), 404, 'not_found')
  })

  it("an id of another kind, or nobody's, does not exist", async () => {
    expectProblem(await get(`/v1/licenses/${unknownId('license')}`), 404, 'not_found')
    expectProblem(await get(`/v1/licenses/${license.replace('lic_', 'act_')}`), 404, 'not_found')
    expectProblem(await get(`/v1/actions/${license.replace('lic_', 'act_')}`), 404, 'not_found')
    expectProblem(await get(`/v1/invoices/${unknownId('invoice')}/pdf`), 404, 'not_found')
  })

  it('an id too long, or with characters no text has, is answered like one that does not exist', async () => {
    for (const id of [`lic_${'0'.repeat(100)}`, 'lic_%00', 'lic_%0a']) {
      expectProblem(await get(`/v1/licenses/${id}`), 404, 'not_found')
      const revoked = await world.call('POST', `/v1/licenses/${id}/revoke`, { key: account.key })
      expectProblem(revoked, 404, 'not_found')
    }
  })

  it('an import that cannot be, or that nobody began, is none', async () => {
    const { operatorKey: key } = world
    for (const id of ['imp_1', '1', unknownId('import'), license, license.replace('lic_', 'imp_')]) {
      for (const path of [`/v1/admin/imports/${id}`, `/v1/admin/imports/${id}/failures`]) {
        expectProblem(await get(path, key), 404, 'not_found')
      }
      expectProblem(await world.call('POST', `/v1/admin/imports/${id}/apply`), 404, 'not_found')
      const body = { file: 'prices.csv', columns: PRICE_COLUMNS, rows: [] }
      expectProblem(await world.call('POST', `/v1/admin/imports/${id}/rows`, { body }), 404, 'not_found')
    }
  })

  it('a path that is not even encoded', async () => {
    for (const path of ['/v1/licenses/%zz', '/v1/licenses/%', '/v1/licenses/%c0%af']) {
      expectProblem(await get(path), 400, 'malformed_request')
    }
  })

  it('another method is 405, and Allow names those there are', async () => {
    const paths = Map.groupBy(routes, (route) => route.path)
    for (const [path, known] of paths) {
      const allowed = new Set<string>(known.map((route) => route.method.toUpperCase()))
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((name) => !allowed.has(name))) {
        // A path with a name in place of the id has methods of its own: counts is none of the licenses.
        const answer = await world.call(method, path.replace(/\{\w+\}/, license))
        expectProblem(answer, 405, 'method_not_allowed')
        expect(new Set(answer.headers.get('allow')?.split(', '))).toEqual(allowed)
      }
    }
  })
})
