// The OpenAPI document: whole, and true. What the API answers fits what it says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { routes } from '../../../apps/api/app.ts'
import { act, createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { misfits, resolve, under, type Document } from './openapi-check.ts'
import { asSuperuser, waited } from './support.ts'

let world: World
let account: TestAccount
let document: Document
let license: string
let action: string
beforeAll(async () => {
  world = await createWorld('2026-10-01T12:00:00Z')
  document = (await world.call('GET', '/v1/openapi.json', { key: null })).body
  await createProduct(world, 'backup', '10.00')
  account = await world.account({ company: { name: 'A', country: 'US' } })
  await world.card(account)
  const issued = await act(world, account, '/v1/licenses', {
    product: 'backup',
    quantity: 2,
    site: { url: 'a.example' },
  })
  license = issued.result.licenses[0].id
  action = issued.id
  // A job that nobody has known how to do for a day is dead.
  await asSuperuser(
    world,
    `INSERT INTO staged_jobs (id, name, payload, key, created_at)
     VALUES (gen_random_uuid(), 'test.unknown', '{"a": 1}', 'x', now() - interval '25 hours')`,
  )
  await world.drain()
})
afterAll(() => world.close())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )

describe('the document', () => {
  it('is OpenAPI 3.1 and needs no key', async () => {
    const answer = await world.call('GET', '/v1/openapi.json', { key: null })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      expect.stringMatching(/^application\/json/),
    ])
    expect(document.openapi).toMatch(/^3\.1\.\d+$/)
    expect(document).toMatchObject({
      info: { title: expect.any(String), version: expect.any(String) },
      paths: expect.any(Object),
    })
    expect(
      Object.keys(document).filter(
        (key) =>
          !/^(openapi|info|jsonSchemaDialect|servers|paths|webhooks|components|security|tags|externalDocs|x-.*)$/.test(
            key,
          ),
      ),
    ).toEqual([])
  })

  it('has every route, and nothing else', () => {
    expect(
      operations()
        .map(({ path, method }) => `${method} ${path}`)
        .sort(),
    ).toEqual(routes.map(({ path, method }) => `${method} ${path}`).sort())
  })

  it('each operation has an id of its own, a summary, a tag, and answers, of which one is good', () => {
    const ids = operations().map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { operation } of operations()) {
      expect(operation.operationId).toMatch(/^[a-z][a-z0-9_]*$/i)
      expect(operation.summary).toMatch(/\w/)
      expect(operation.tags).toHaveLength(1)
      const statuses = Object.keys(operation.responses)
      expect(statuses.some((status) => /^2\d\d$/.test(status))).toBe(true)
      expect(operation.responses.default?.content).toHaveProperty('application/problem+json')
      for (const response of Object.values(operation.responses)) expect(response.description).toMatch(/\w/)
    }
  })

  it('every reference resolves, and every component is one', () => {
    const references = [...under(document, '$ref')] as string[]
    expect(references.length).toBeGreaterThan(20)
    expect(references.filter((reference) => resolve(document, reference) === undefined)).toEqual([])
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['License', 'Invoice', 'Action', 'Problem', 'Money']),
    )
    for (const name of Object.keys(document.components.schemas)) expect(name).toMatch(/^[\w.-]+$/)
    for (const required of under(document, 'security')) {
      for (const scheme of required as object[])
        expect(document.components.securitySchemes).toHaveProperty(Object.keys(scheme))
    }
  })

  it('every name in a path is a required parameter, and every parameter is named once', () => {
    for (const { path, operation } of operations()) {
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path')
      expect(inPath.map(({ name }) => name)).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
      for (const parameter of inPath) expect(parameter.required).toBe(true)
      const names = operation.parameters.map((parameter) => `${parameter.in} ${parameter.name}`)
      expect(new Set(names).size).toBe(names.length)
      for (const { name, schema } of operation.parameters)
        expect([path, name, schema.type ?? schema.anyOf]).not.toEqual([path, name, undefined])
    }
  })

  it('what is refused as unknown is documented as refused', () => {
    const issue = document.paths['/v1/licenses']!.post!.requestBody!.content['application/json']!.schema
    const of = (body: unknown) => misfits(document, issue, body)
    expect(of({ product: 'backup', quantity: 2, site: { url: 'a.example' } })).toEqual([])
    expect(of({ product: 'backup', qty: 2 })).toEqual(['$.qty: is not documented'])
    expect(of({ quantity: '2' })).toEqual(['$.product: is missing', '$.quantity: string is not integer'])
    expect(of({ product: 'backup', site: { id: 1 } })).toEqual(['$.site.id: is not documented'])
  })

  it('the docs are a page of our own, with nothing from elsewhere', async () => {
    const page = await world.call('GET', '/docs', { key: null })
    expect(page.status).toBe(200)
    for (const [, source] of (page.body as string).matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect(source).toMatch(/^\/docs\//)
      expect((await world.call('GET', source!, { key: null })).status).toBe(200)
    }
  })
})

function check(method: string, path: string, answer: Answer): void {
  const { responses } = document.paths[path]![method.toLowerCase()]!
  const response = responses[answer.status] ?? responses.default!
  if (answer.status < 300) expect(Object.keys(responses)).toContain(String(answer.status))
  if (response.content === undefined) {
    expect(answer.body).toBe('')
    return
  }
  const type = answer.headers.get('content-type')!.split(';')[0]!
  expect(Object.keys(response.content)).toContain(type)
  if (/json/.test(type))
    expect({ path, wrong: misfits(document, response.content[type]!.schema, answer.body) }).toEqual({
      path,
      wrong: [],
    })
}

const beginImport = async (): Promise<string> =>
  (await world.call('POST', '/v1/admin/imports', { body: { bill_from: '2026-09' } })).body.id

function sendWrongRow(id: string): Promise<Answer> {
  const columns = ['at', 'account', 'license', 'event', 'product', 'site_url', 'site_external_id', 'client']
  const rows = [[2, 'yesterday', 'old-1', 'L-1', 'issue', 'backup', '', '', '']]
  return world.call('POST', `/v1/admin/imports/${id}/rows`, { body: { file: 'events.csv', columns, rows } })
}

describe('what the API answers fits the document', () => {
  const own = () => ({ key: account.key })
  const calls: Record<string, () => Promise<Answer>> = {
    'POST /v1/licenses': () => world.call('POST', '/v1/licenses', { ...own(), body: { product: 'backup' } }),
    'GET /v1/licenses': () => world.call('GET', '/v1/licenses?limit=1', own()),
    'GET /v1/licenses/counts': () => world.call('GET', '/v1/licenses/counts', own()),
    'GET /v1/licenses/{id}': () => world.call('GET', `/v1/licenses/${license}`, own()),
    'POST /v1/licenses/{id}/assign': () =>
      waited(world, `/v1/licenses/${license}/assign`, {
        ...own(),
        body: { site: { external_id: '1' }, transfer: true },
      }),
    'POST /v1/licenses/{id}/unassign': () => waited(world, `/v1/licenses/${license}/unassign`, own()),
    'POST /v1/licenses/{id}/revoke': () => waited(world, `/v1/licenses/${license}/revoke`, own()),
    'GET /v1/account': () => world.call('GET', '/v1/account', own()),
    'PATCH /v1/account': () => world.call('PATCH', '/v1/account', { ...own(), body: { po_number: null } }),
    'GET /v1/company': () => world.call('GET', '/v1/company', own()),
    'PUT /v1/company': () => world.call('PUT', '/v1/company', { ...own(), body: { name: 'A', country: 'US' } }),
    'GET /v1/usage': () => world.call('GET', '/v1/usage', own()),
    'GET /v1/usage/licenses.csv': () => world.call('GET', '/v1/usage/licenses.csv', own()),
    'GET /v1/billing/estimate': () => world.call('GET', '/v1/billing/estimate', own()),
    'GET /v1/prices': () => world.call('GET', '/v1/prices', own()),
    'GET /v1/sites': () => world.call('GET', '/v1/sites', own()),
    'GET /v1/actions/{id}': () => world.call('GET', `/v1/actions/${action}`, own()),
    'POST /v1/payment-methods/setup': () => world.call('POST', '/v1/payment-methods/setup', { ...own(), body: {} }),
    'GET /v1/payment-methods': () => world.call('GET', '/v1/payment-methods', own()),
    'POST /v1/admin/accounts': () =>
      world.call('POST', '/v1/admin/accounts', { body: { name: 'B', currency: 'eur', company: { country: 'DE' } } }),
    'GET /v1/admin/accounts': () => world.call('GET', '/v1/admin/accounts'),
    'GET /v1/admin/accounts/{id}': () => world.call('GET', `/v1/admin/accounts/${account.id}`),
    'PATCH /v1/admin/accounts/{id}': () =>
      world.call('PATCH', `/v1/admin/accounts/${account.id}`, { body: { net_days: 15 } }),
    'POST /v1/admin/products': () =>
      world.call('POST', '/v1/admin/products', { body: { slug: 'new', name: 'New', family: 'x' } }),
    'GET /v1/admin/products': () => world.call('GET', '/v1/admin/products'),
    'POST /v1/admin/prices': () =>
      world.call('POST', '/v1/admin/prices', {
        body: {
          product: 'backup',
          currency: 'usd',
          model: 'per_day',
          monthly_amount: '1',
          effective_from: '2027-01-01',
          ends_on: '2027-02-01',
          account: account.id,
        },
      }),
    'GET /v1/api-keys': () => world.call('GET', '/v1/api-keys', own()),
    'POST /v1/api-keys': () =>
      world.call('POST', '/v1/api-keys', { ...own(), body: { name: 'New', scopes: ['viewer', 'billing'] } }),
    'DELETE /v1/api-keys/{id}': async () => {
      const made = await world.call('POST', '/v1/api-keys', { ...own(), body: { name: 'Old', scopes: ['viewer'] } })
      return await world.call('DELETE', `/v1/api-keys/${made.body.id}`, own())
    },
    'GET /v1/admin/jobs': () => world.call('GET', '/v1/admin/jobs'),
    'POST /v1/admin/jobs/{id}/retry': async () => {
      const { body } = await world.call('GET', '/v1/admin/jobs')
      return await world.call('POST', `/v1/admin/jobs/${body.data[0].id}/retry`)
    },
    'POST /v1/admin/queues/rebuild': () => world.call('POST', '/v1/admin/queues/rebuild'),
    'GET /v1/admin/billing-runs': () => world.call('GET', '/v1/admin/billing-runs'),
    'POST /v1/admin/imports': () => world.call('POST', '/v1/admin/imports', { body: { bill_from: '2026-09' } }),
    'POST /v1/admin/imports/{id}/rows': async () => await sendWrongRow(await beginImport()),
    'POST /v1/admin/imports/{id}/apply': async () =>
      await world.call('POST', `/v1/admin/imports/${await beginImport()}/apply`),
    'GET /v1/admin/imports/{id}': async () => await world.call('GET', `/v1/admin/imports/${await beginImport()}`),
    'GET /v1/admin/imports/{id}/failures': async () => {
      const id = await beginImport()
      await sendWrongRow(id)
      return await world.call('GET', `/v1/admin/imports/${id}/failures`)
    },
    'GET /v1/admin/settings': () => world.call('GET', '/v1/admin/settings'),
    'PUT /v1/admin/settings': () =>
      world.call('PUT', '/v1/admin/settings', {
        body: { issuer: { name: 'V', address: ['x'], tax_ids: [], support: null }, series: 'PD' },
      }),
  }
  const invoices = ['GET /v1/invoices', 'GET /v1/invoices/{id}', 'GET /v1/invoices/{id}/pdf']

  it('every route is asked here', () => {
    expect([...Object.keys(calls), ...invoices].sort()).toEqual(
      routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort(),
    )
  })

  it.each(Object.keys(calls))('%s', async (name) => {
    const [method, path] = name.split(' ') as [string, string]
    const answer = await calls[name]!()
    expect(answer.status).toBeLessThan(300)
    check(method, path, answer)
    await world.drain()
  })

  it('issuing that is waited for, and actions done and refused', async () => {
    const made = await waited(world, '/v1/licenses', {
      key: account.key,
      body: { product: 'backup', site: { url: 'b.example' } },
    })
    expect(made.status).toBe(201)
    check('POST', '/v1/licenses', made)
    const twice = `/v1/licenses/${made.body.licenses[0].id}/unassign`
    await act(world, account, twice)
    const refused = await act(world, account, twice)
    expect(refused.status).toBe('refused')
    check('GET', '/v1/actions/{id}', await world.call('GET', `/v1/actions/${refused.id}`, { key: account.key }))
  })

  it('problems', async () => {
    const invalid = await world.call('POST', '/v1/licenses', { key: account.key, body: { quantity: 0, x: 1 } })
    expect([invalid.status, invalid.body.errors.length]).toEqual([400, 3])
    check('POST', '/v1/licenses', invalid)
    check('GET', '/v1/account', await world.call('GET', '/v1/account', { key: null }))
  })

  it('invoices: drafted, then paid, and their PDF', async () => {
    for (const instant of ['2026-11-01T12:00:00Z', '2026-11-03T12:00:00Z']) {
      await world.at(instant)
      await world.tick()
      const list = await world.call('GET', '/v1/invoices', { key: account.key })
      expect(list.body.data).toHaveLength(1)
      check('GET', '/v1/invoices', list)
      check(
        'GET',
        '/v1/invoices/{id}',
        await world.call('GET', `/v1/invoices/${list.body.data[0].id}`, { key: account.key }),
      )
      const pdf = await world.call('GET', `/v1/invoices/${list.body.data[0].id}/pdf`, { key: account.key })
      expect(pdf.status).toBe(instant.startsWith('2026-11-01') ? 404 : 200)
      check('GET', '/v1/invoices/{id}/pdf', pdf)
    }
  })
})
