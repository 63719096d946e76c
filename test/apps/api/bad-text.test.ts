// Texts and addresses that are none: the rest of bad-input.test.ts.
import { describe, it } from 'vitest'
import { expectProblem, send } from './support.ts'
import { account, history, keepWorldUntouched, license, world } from './untouched-world.ts'

keepWorldUntouched()

const issueOn = (site: unknown) =>
  world.call('POST', '/v1/licenses', { key: account.key, body: { product: 'backup', site } })
const newAccount = (fields: object) =>
  world.call('POST', '/v1/admin/accounts', { body: { name: 'A', currency: 'usd', ...fields } })

describe('control characters are refused in every text a person types', () => {
  const CONTROL = ['\u0000', 'a\u0000b', 'a\nBcc: x@evil.example', 'a\rb', 'a\tb', 'a\u001b[31mb', 'a\u007fb']
  it.each(CONTROL)('%j', async (text) => {
    expectProblem(
      await world.call('POST', '/v1/licenses', { key: account.key, body: { product: text } }),
      400,
      'invalid_request',
      'product',
    )
    expectProblem(await issueOn({ external_id: text }), 400, 'invalid_request', 'site.external_id')
    expectProblem(await issueOn({ external_id: '1', client: text }), 400, 'invalid_request', 'site.client')
    for (const field of ['name', 'external_id', 'po_number', 'billing_email', 'timezone', 'currency']) {
      expectProblem(await newAccount({ [field]: text }), 400, 'invalid_request', field)
    }
    for (const field of ['name', 'contact_name', 'address', 'city', 'tax_id', 'country', 'postal_code', 'state']) {
      const answer = await world.call('PUT', '/v1/company', { key: account.key, body: { [field]: text } })
      expectProblem(answer, 400, 'invalid_request', field)
    }
  })

  it.each(['\u0000', '\n', '\r\nX: y', '\t', '\u001b'])('within an address: %j', async (text) => {
    for (const url of [`https://a.exa${text}mple/`, `https://a.example/a${text}b`, `https://a.example/?q=${text}b`]) {
      expectProblem(await issueOn({ url }), 400, 'invalid_request', 'site.url')
    }
  })

  it.each(['\u0000', '\n', '\t'])("within a company's or a return address: %j", async (text) => {
    const company = await world.call('PUT', '/v1/company', {
      key: account.key,
      body: { website: `https://a.example/a${text}b` },
    })
    expectProblem(company, 400, 'invalid_request', 'website')
    const body = { return_url: `https://a.example/a${text}b` }
    const cards = await world.call('POST', '/v1/payment-methods/setup', { key: account.key, body })
    expectProblem(cards, 400, 'invalid_request', 'return_url')
  })

  it.each(['\\ud800', 'a\\udc00b', '\\ud83d', '\\udc00\\ud800'])(
    'half a character, which no text is: %s',
    async (half) => {
      const raw = (path: string, body: string, method = 'POST', key = account.key) =>
        send(world, { method, path, key, body, headers: { 'Content-Type': 'application/json' } })
      const issued = await raw('/v1/licenses', `{"product":"backup","site":{"external_id":"${half}"}}`)
      expectProblem(issued, 400, 'invalid_request', 'site.external_id')
      const assigned = await raw(`/v1/licenses/${license}/assign`, `{"site":{"external_id":"1","client":"${half}"}}`)
      expectProblem(assigned, 400, 'invalid_request', 'site.client')
      expectProblem(await raw('/v1/company', `{"name":"${half}"}`, 'PUT'), 400, 'invalid_request', 'name')
      const body = `{"name":"${half}","currency":"usd"}`
      expectProblem(await raw('/v1/admin/accounts', body, 'POST', world.operatorKey), 400, 'invalid_request', 'name')
    },
  )
})

describe('texts of the wrong length or kind', () => {
  it.each([
    ['name', ''],
    ['name', '   '],
    ['name', 'x'.repeat(201)],
    ['external_id', ''],
    ['external_id', 'x'.repeat(201)],
    ['currency', 'USD'],
    ['currency', 'us'],
    ['currency', 'dollar'],
    ['timezone', 'Mars/Phobos'],
    ['timezone', '+02:00'],
    ['timezone', ''],
    ['timezone', '../etc/passwd'],
    ['billing_email', 'nobody'],
    ['billing_email', 'a@b'],
    ['billing_email', 'a@b.example, c@d.example'],
    ['billing_email', `${'a'.repeat(250)}@b.example`],
    ['po_number', 'x'.repeat(101)],
    ['net_days', -1],
    ['net_days', 366],
    ['net_days', 1.5],
    ['invoice_day', 0],
    ['invoice_day', 9],
    ['autopay_cap', -1],
    ['autopay_cap', 0.5],
    ['autopay_cap', 2 ** 53],
    ['autopay_cap', '100'],
    ['card_required', 'yes'],
    ['card_required', null],
  ])('an account whose %s is %j', async (field, value) => {
    expectProblem(await newAccount({ [field]: value }), 400, 'invalid_request', field)
  })

  it.each([
    ['product', 'Back up'],
    ['currency', 'USD'],
    ['model', 'per_hour'],
    ['monthly_amount', '1,00'],
    ['monthly_amount', '-1'],
    ['monthly_amount', '1e3'],
    ['monthly_amount', '1.0000001'],
    ['monthly_amount', '9999999999'],
    ['monthly_amount', ''],
    ['monthly_amount', 24.95],
    ['effective_from', '2027-02-29'],
    ['effective_from', '2027-1-1'],
    ['effective_from', '2027-01-01T00:00:00Z'],
    ['effective_from', 'yesterday'],
    ['effective_from', '0000-01-01'],
    ['ends_on', '2026-12-31'],
    ['ends_on', '2027-01-01'],
    ['ends_on', '2027-13-01'],
    ['bill_while_paused', 'yes'],
    ['bill_while_paused', null],
    ['account', 'lic_1'],
    ['account', 'acct_1'],
  ])('a price whose %s is %j', async (field, value) => {
    const price = {
      product: 'backup',
      currency: 'usd',
      model: 'per_day',
      monthly_amount: '1',
      effective_from: '2027-01-01',
      [field]: value,
    }
    expectProblem(await world.call('POST', '/v1/admin/prices', { body: price }), 400, 'invalid_request', field)
  })
})

describe('an import', () => {
  it.each(['', '2026', '2026-13', '2026-00', '2026-9', '1969-12', '2026-09-01', ' 2026-09', '0000-01'])(
    'billed from %j, which is no month',
    async (bill_from) => {
      const answer = await world.call('POST', '/v1/admin/imports', { body: { bill_from } })
      expectProblem(answer, 400, 'invalid_request', 'bill_from')
    },
  )

  it('billed from a month that has not come', async () => {
    const answer = await world.call('POST', '/v1/admin/imports', { body: { bill_from: '2026-11' } })
    expectProblem(answer, 422, 'future_month', 'bill_from')
  })

  const COLUMNS = ['product', 'name', 'family', 'currency', 'model', 'monthly_amount', 'effective_from', 'account']
  const row = [2, 'legacy', 'Legacy', 'test', 'usd', 'per_day', '5.00', '2026-01-01', '']
  it.each([
    ['of a file there is none of', { file: 'sites.csv' }, 'file'],
    ['that lack a column', { columns: COLUMNS.slice(1), rows: [row.slice(0, 8)] }, 'columns'],
    ['with a column nobody knows', { columns: [...COLUMNS, 'vat'], rows: [[...row, '']] }, 'columns'],
    ['with a column twice', { columns: [...COLUMNS, 'name'], rows: [[...row, 'Legacy']] }, 'columns'],
    ['with a cell too few', { rows: [row, row.slice(0, 8)] }, 'rows.1'],
    ['with a cell too many', { rows: [[...row, '']] }, 'rows.0'],
    ['without a line number', { rows: [[]] }, 'rows.0.0'],
    ['on line 0', { rows: [[0, ...row.slice(1)]] }, 'rows.0.0'],
    ['on half a line', { rows: [[1.5, ...row.slice(1)]] }, 'rows.0.0'],
    ['on a line no file has', { rows: [[2_000_000_001, ...row.slice(1)]] }, 'rows.0.0'],
    ['with a number for a text', { rows: [row.map(() => 2)] }, 'rows.0.1'],
    ['with a cell far too long', { rows: [[2, 'x'.repeat(10_001), ...row.slice(2)]] }, 'rows.0.1'],
    ['too many at once', { rows: Array.from({ length: 5_001 }, () => row) }, 'rows'],
    ['with a word nobody knows', { dry_run: true }, 'dry_run'],
  ])('rows %s', async (_, fields, path) => {
    const body = { file: 'prices.csv', columns: COLUMNS, rows: [row], ...fields }
    expectProblem(await world.call('POST', `/v1/admin/imports/${history}/rows`, { body }), 400, 'invalid_request', path)
  })
})

describe('addresses that are no site', () => {
  it.each([
    'javascript:alert(1)',
    'javascript://a.example/%0aalert(1)',
    'JaVaScRiPt://a.example',
    'data:text/html,x',
    'file:///etc/passwd',
    'ftp://a.example',
    'mailto:a@b.example',
    'https://user:secret@a.example',
    'https://user@a.example',
    'user:secret@a.example',
    'https://',
    '',
    '   ',
    'https:///x',
    'localhost',
    'http://localhost:8080',
    'https://a..example',
    'https://.example',
    'https://a b.example',
    'https://a.example:99999',
    'https://[::1]/',
    'https://a%00.example',
    'https://a<b>.example',
    'https://-',
    `https://a.example/${'x'.repeat(2_000)}`,
  ])('%s', async (url) => {
    expectProblem(await issueOn({ url }), 400, 'invalid_request', 'site.url')
    const assigned = await world.call('POST', `/v1/licenses/${license}/assign`, {
      key: account.key,
      body: { site: { url } },
    })
    expectProblem(assigned, 400, 'invalid_request', 'site.url')
  })

  it('neither url nor external_id', async () => {
    expectProblem(await issueOn({}), 400, 'invalid_request', 'site')
    expectProblem(await issueOn({ client: 'A' }), 400, 'invalid_request', 'site')
  })

  it.each(['javascript:alert(1)', 'ftp://a.example', '//a.example', '/x', 'x'])('to return to: %s', async (url) => {
    const answer = await world.call('POST', '/v1/payment-methods/setup', {
      key: account.key,
      body: { return_url: url },
    })
    expectProblem(answer, 400, 'invalid_request', 'return_url')
  })
})
