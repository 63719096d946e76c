// A value of another type, in every field there is: the rest of bad-input.test.ts.
import { describe, expect, it } from 'vitest'
import { expectProblem } from './support.ts'
import { account, history, keepWorldUntouched, license, world } from './untouched-world.ts'

keepWorldUntouched()

const issue = (body: unknown) => world.call('POST', '/v1/licenses', { key: account.key, body })
const assign = (body: unknown) => world.call('POST', `/v1/licenses/${license}/assign`, { key: account.key, body })
const admin = (what: string, body: unknown, method = 'POST') => world.call(method, `/v1/admin/${what}`, { body })

describe('something else than a text, a number or a yes, in every field', () => {
  const valid = {
    issue: { product: 'backup', quantity: 1, site: { url: 'a.example', external_id: '1', client: 'A' } },
    assign: { site: { url: 'a.example', external_id: '1', client: 'A' }, transfer: false },
    account: {
      name: 'A',
      external_id: 'x',
      currency: 'usd',
      timezone: 'UTC',
      card_required: true,
      net_days: 1,
      invoice_day: 1,
      autopay_cap: 1,
      billing_email: 'a@a.example',
      po_number: '1',
      company: { name: 'A', website: 'https://a.example', country: 'DE', address: 'x', tax_id: '1' },
    },
    product: { slug: 'x', name: 'x', family: 'x' },
    price: {
      product: 'backup',
      currency: 'usd',
      model: 'per_day',
      monthly_amount: '1',
      effective_from: '2027-01-01',
      ends_on: '2027-02-01',
      bill_while_paused: true,
    },
    import: { bill_from: '2026-09' },
    rows: { file: 'prices.csv', columns: ['product'], rows: [[2, 'backup']] },
    settings: { issuer: { name: 'x', address: ['x'], tax_ids: ['x'], support: 'x' }, series: 'X' },
    self: { autopay: true, billing_email: 'a@a.example', po_number: '1' },
    cards: { primary: true, return_url: 'https://a.example' },
  }
  const sendTo: Record<keyof typeof valid, (body: unknown) => ReturnType<typeof issue>> = {
    issue,
    assign,
    account: (body) => admin('accounts', body),
    product: (body) => admin('products', body),
    price: (body) => admin('prices', body),
    import: (body) => admin('imports', body),
    rows: (body) => admin(`imports/${history}/rows`, body),
    settings: (body) => admin('settings', body, 'PUT'),
    self: (body) => world.call('PATCH', '/v1/account', { key: account.key, body }),
    cards: (body) => world.call('POST', '/v1/payment-methods/setup', { key: account.key, body }),
  }

  /** Every place of a value, with a copy of the body in which that place holds something else. */
  function* spoiled(body: object, by: unknown): Generator<[string, object]> {
    for (const [key, value] of Object.entries(body)) {
      if (!(Array.isArray(value) && Array.isArray(by))) yield [key, { ...body, [key]: by }]
      if (typeof value === 'object' && !Array.isArray(value)) {
        for (const [path, inner] of spoiled(value, by)) yield [`${key}.${path}`, { ...body, [key]: inner }]
      }
    }
  }

  it.each(Object.keys(valid) as (keyof typeof valid)[])('%s', async (name) => {
    for (const by of [{ not: '' }, { $gt: '' }, [], ['a'], '\u0000', 1e300]) {
      for (const [path, body] of spoiled(valid[name], by)) {
        const answer = await sendTo[name](body)
        const paths = (answer.body.errors as { path: string }[] | undefined)?.map((error) => error.path) ?? []
        expect({ by, path, status: answer.status, code: answer.body.code, paths }).toEqual({
          by,
          path,
          status: 400,
          code: 'invalid_request',
          paths: expect.arrayContaining([expect.stringMatching(new RegExp(`^${path}`))]),
        })
        expectProblem(answer, 400, 'invalid_request')
      }
    }
  })
})
