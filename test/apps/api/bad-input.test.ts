// What cannot be understood is refused with the field named, and leaves nothing behind.
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { expectProblem, send, type RawRequest } from './support.ts'
import { account, history, keepWorldUntouched, license, world } from './untouched-world.ts'

keepWorldUntouched()

const JSON_TYPE = { 'Content-Type': 'application/json' }
const issue = (body: unknown) => world.call('POST', '/v1/licenses', { key: account.key, body })
const raw = (body: string | Buffer, more: Partial<RawRequest> = {}) =>
  send(world, { path: '/v1/licenses', key: account.key, body, headers: JSON_TYPE, ...more })
const admin = (what: string, body: unknown, method = 'POST') => world.call(method, `/v1/admin/${what}`, { body })

describe('a body that is no JSON object', () => {
  it.each([
    '{',
    '{"product":"backup"',
    '{product:"backup"}',
    "{'product':'backup'}",
    '{"product":"backup",}',
    'null',
    '"backup"',
    '1',
    '{"product":"backup"}{}',
    '{"quantity":NaN,"product":"backup"}',
    '{"quantity":01,"product":"backup"}',
    '\ufeff\ufeff{}',
    '{"product":"back\nup"}',
    '{"product":"\\x41"}',
  ])('malformed: %j', async (body) => {
    expectProblem(await raw(body), 400, 'malformed_json')
  })

  it.each([['[]'], ['[{"product":"backup"}]']])('an array: %s', async (body) => {
    expectProblem(await raw(body), 400, 'invalid_request', 'body')
  })

  it('no body at all: the missing field is named', async () => {
    expectProblem(await raw('', { headers: {} }), 400, 'invalid_request', 'product')
    expectProblem(await raw('{}'), 400, 'invalid_request', 'product')
  })

  it('bytes that are not UTF-8 are not quietly read as others', async () => {
    const around = (bytes: number[]) =>
      Buffer.concat([
        Buffer.from('{"product":"backup","site":{"external_id":"blog'),
        Buffer.from(bytes),
        Buffer.from('"}}'),
      ])
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xf0, 0x9f, 0x98]]) {
      expectProblem(await raw(around(bytes)), 400, 'malformed_json')
    }
  })

  it.each([100_000, 49_000])('nested %i deep', async (depth) => {
    const answer = await raw('['.repeat(depth))
    expect([400, 413]).toContain(answer.status)
    expectProblem(
      await raw(`{"product":${'['.repeat(depth / 2 - 50)}${']'.repeat(depth / 2 - 50)}}`),
      400,
      'invalid_request',
      'product',
    )
    const objects = `{"a":`.repeat(8_000)
    expectProblem(
      await raw(`{"product":"backup","site":${objects}1${'}'.repeat(8_000)}}`),
      400,
      'invalid_request',
      'site.a',
    )
  })
})

describe('a body too large, of another type, or wrapped in another way', () => {
  it('over 100 kB is 413, also when it is compressed to little', async () => {
    const large = JSON.stringify({ product: 'backup', site: { client: 'x'.repeat(110_000) } })
    expectProblem(await raw(large), 413, 'body_too_large')
    const headers = { ...JSON_TYPE, 'Content-Encoding': 'gzip' }
    expectProblem(await raw(gzipSync(large), { headers }), 413, 'body_too_large')
    expectProblem(await raw(gzipSync(Buffer.alloc(50_000_000, 0x20)), { headers }), 413, 'body_too_large')
  })

  it('is 413 for every path that takes a body', async () => {
    const large = JSON.stringify({ name: 'x'.repeat(110_000) })
    expectProblem(await admin('accounts', large), 413, 'body_too_large')
    expectProblem(await world.call('PUT', '/v1/company', { key: account.key, body: large }), 413, 'body_too_large')
  })

  it('rows of an import may be more, for operators alone', async () => {
    const path = `/v1/admin/imports/${history}/rows`
    const rows = { file: 'events.csv', columns: ['at'], rows: [], more: 'x'.repeat(2_000_000) }
    expectProblem(await world.call('POST', path, { body: rows }), 400, 'invalid_request', 'more')
    expectProblem(await world.call('POST', path, { body: rows, key: account.key }), 403, 'forbidden')
    const answer = await world.call('POST', path, { body: JSON.stringify({ more: 'x'.repeat(4_200_000) }) })
    expectProblem(answer, 413, 'body_too_large')
  })

  it('something that only claims to be compressed', async () => {
    const answer = await raw('{"product":"backup"}', { headers: { ...JSON_TYPE, 'Content-Encoding': 'gzip' } })
    expect(answer.status).toBe(400)
    expectProblem(answer, 400, answer.body.code)
    expectProblem(
      await raw('{}', { headers: { ...JSON_TYPE, 'Content-Encoding': 'rot13' } }),
      415,
      'unsupported_encoding',
    )
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonx',
    'text/json',
    '',
  ])('content type %j is 415', async (type) => {
    const answer = await raw(Buffer.from('{"product":"backup"}'), {
      headers: type === '' ? {} : { 'Content-Type': type },
    })
    expectProblem(answer, 415, 'unsupported_media_type')
  })

  it('another character set is 415', async () => {
    const answer = await raw('{"product":"backup"}', {
      headers: { 'Content-Type': 'application/json; charset=iso-8859-1' },
    })
    expectProblem(answer, 415, 'unsupported_charset')
  })

  it('a body where none is taken', async () => {
    const revoke = { path: `/v1/licenses/${license}/revoke` }
    expectProblem(await raw('{"force":true}', revoke), 400, 'invalid_request', 'body')
    expectProblem(await raw('[1]', revoke), 400, 'invalid_request', 'body')
    expectProblem(await raw('{', revoke), 400, 'malformed_json')
  })

  it('a body of another type where none is taken', async () => {
    const answer = await raw('force', {
      path: `/v1/licenses/${license}/revoke`,
      headers: { 'Content-Type': 'text/plain' },
    })
    expect([400, 415]).toContain(answer.status)
    expectProblem(answer, answer.status, answer.body.code)
  })
})

describe('unknown fields are refused and named', () => {
  it.each([
    [{ product: 'backup', qty: 2 }, 'qty'],
    [{ product: 'backup', account: 'acct_x' }, 'account'],
    [{ product: 'backup', account_id: 'x' }, 'account_id'],
    [{ product: 'backup', issued_at: '2020-01-01T00:00:00Z' }, 'issued_at'],
    [{ product: 'backup', site: { url: 'a.example', id: 'site_x' } }, 'site.id'],
    [{ product: 'backup', site: { url: 'a.example', account_id: 'x' } }, 'site.account_id'],
  ])('POST /v1/licenses %j', async (body, path) => {
    expectProblem(await issue(body), 400, 'invalid_request', path)
  })

  it('in the terms an account may set itself: what only the vendor sets is not among them', async () => {
    const fields = [
      'autopay_cap',
      'card_required',
      'net_days',
      'invoice_day',
      'currency',
      'bill_from',
      'closed_at',
      'balance',
      'id',
      'name',
    ]
    for (const field of fields) {
      const answer = await world.call('PATCH', '/v1/account', { key: account.key, body: { [field]: 0 } })
      expectProblem(answer, 400, 'invalid_request', field)
    }
  })

  it('in what an operator sends', async () => {
    expectProblem(
      await admin('accounts', { name: 'A', currency: 'usd', bill_from: '2020-01-01' }),
      400,
      'invalid_request',
      'bill_from',
    )
    expectProblem(
      await admin('accounts', { name: 'A', currency: 'usd', company: { vat: '1' } }),
      400,
      'invalid_request',
      'company.vat',
    )
    expectProblem(await admin('products', { slug: 'x', name: 'x', family: 'x', id: 1 }), 400, 'invalid_request', 'id')
    expectProblem(
      await admin(`accounts/${account.id}`, { currency: 'eur' }, 'PATCH'),
      400,
      'invalid_request',
      'currency',
    )
  })

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'keys that pollute prototypes: %s',
    async (key) => {
      for (const inner of ['{"polluted":true}', '1', 'null']) {
        expectProblem(await raw(`{"product":"backup","${key}":${inner}}`), 400, 'invalid_request', key)
        const nested = `{"product":"backup","site":{"url":"a.example","${key}":${inner}}}`
        expectProblem(await raw(nested), 400, 'invalid_request', `site.${key}`)
      }
      const values = raw(`{"product":"backup","site":{"__proto__":{"url":"a.example"}}}`)
      expect((await values).status).toBe(400)
      expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    },
  )
})

describe('quantities', () => {
  it.each([
    '0',
    '-1',
    '1001',
    '1.5',
    '"1"',
    '1e400',
    '-1e400',
    '1e21',
    '9007199254740993',
    'true',
    '[1]',
    'null',
    '""',
    '{"gt":0}',
  ])('%s is refused', async (quantity) => {
    expectProblem(await raw(`{"product":"backup","quantity":${quantity}}`), 400, 'invalid_request', 'quantity')
  })
})

describe('a product nobody sells', () => {
  it.each(['nothing', 'Backup', 'backup ; DROP TABLE licenses', "backup' OR '1'='1", '%', 'bäckup'])(
    '%s',
    async (product) => {
      expectProblem(await issue({ product }), 422, 'unknown_product', 'product')
    },
  )

  it('a price for one', async () => {
    const price = {
      product: 'nothing',
      currency: 'usd',
      model: 'per_day',
      monthly_amount: '1',
      effective_from: '2026-10-01',
    }
    expectProblem(await admin('prices', price), 422, 'unknown_product', 'product')
  })
})
