// Usage, its evidence and what it will cost, by sums done by hand. An October: backup costs 10.00 a month and from the
// 16th on 20.00, one partner's own price of scan is 3.65 (0.12 a day), days paused are billed for keep alone, and gone
// has no price any more from the 21st on.
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../../apps/adapters/ids.ts'
import { liftHold, placeHold } from '../../../jobs/licenses/holds.store.ts'
import { evidence, evidencePages, type EvidenceRow } from '../../../jobs/usage/evidence.ts'
import { issue } from '../../support/invoices.ts'
import { act, createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, keyOf, sitesOf } from './support.ts'

let world: World
let partner: TestAccount
let berlin: TestAccount
let keeper: TestAccount
let priceless: TestAccount
/** The partner's licenses: stays, is revoked on the 10th, is issued on the 10th and paused for a while, scan's. */
let [stays, revoked, paused, scan] = ['', '', '', '']
const hold = newId()
const SITE = { url: 'https://a.example', external_id: '-7', client: '=1+"1", or so' }

const uuid = (id: string): string => id.slice(4).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
const pause = (account: TestAccount, id: string, license: string) =>
  world.db.withAccount(account.uuid, (tx) =>
    placeHold(tx, {
      id,
      accountId: account.uuid,
      source: 'operator',
      reason: 'test',
      since: world.now(),
      licenses: [uuid(license)],
    }),
  )
const price = async (product: string, monthly: string, from: string, rest: object = {}): Promise<void> => {
  const terms = { product, currency: 'usd', model: 'per_day', monthly_amount: monthly, effective_from: from, ...rest }
  expect((await world.call('POST', '/v1/admin/prices', { body: terms })).status).toBe(201)
}

beforeAll(async () => {
  world = await createWorld('2026-10-01T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
  await createProduct(world, 'scan', '4.95')
  for (const slug of ['keep', 'gone']) {
    await world.call('POST', '/v1/admin/products', { body: { slug, name: slug, family: 'test' } })
  }
  const [one, two, three, four] = await Promise.all(
    ['UTC', 'Europe/Berlin', 'UTC', 'UTC'].map((timezone) => world.account({ timezone, card_required: false })),
  )
  ;[partner, berlin, keeper, priceless] = [one!, two!, three!, four!]
  await price('backup', '20.00', '2026-10-16')
  await price('scan', '3.65', '2026-01-01', { account: partner.id })
  await price('keep', '7.30', '2026-01-01', { bill_while_paused: true })
  await price('gone', '9.99', '2026-01-01', { ends_on: '2026-10-21' })
  const issued = await act(world, partner, '/v1/licenses', { product: 'backup', quantity: 2, site: SITE })
  ;[stays, revoked] = issued.result.licenses.map(({ id }: { id: string }) => id)
  scan = (await issue(world, partner, 'scan'))[0]!
  await issue(world, priceless, 'gone')
  await issue(world, priceless, 'scan')
  await asSuperuser(world, `UPDATE licenses SET external_ref = '@ref,1' WHERE id = $1`, [uuid(stays)])
})
afterAll(() => world?.close())

const get = (path: string, { key } = partner): Promise<Answer> => world.call('GET', path, { key })
const estimate = async (account = partner, query = ''): Promise<Answer['body']> => {
  const answer = await get(`/v1/billing/estimate${query}`, account)
  expect(answer.status).toBe(200)
  return answer.body
}
const usd = (amount: number) => ({ amount, currency: 'usd' })
/** [product, days, subtotal, [days, amount] of each line] */
const sums = (body: Answer['body']) =>
  body.rows.map((row: Answer['body']) => [
    row.product,
    row.days,
    row.subtotal?.amount ?? null,
    row.lines.map((line: Answer['body']) => [line.quantity, line.amount.amount]),
  ])
const rowsOf = async (account = partner, query = ''): Promise<Record<string, string>[]> => {
  const answer = await get(`/v1/usage/licenses.csv${query}`, account)
  expect(answer.status).toBe(200)
  return parse(answer.body, { columns: true, record_delimiter: '\r\n' })
}

describe('as the month goes on', () => {
  it('issued today, revoked today: both days count, and a known change of price does', async () => {
    await world.at('2026-10-10T12:00:00Z')
    await act(world, partner, `/v1/licenses/${revoked}/revoke`)
    await world.at('2026-10-10T13:00:00Z')
    paused = (await issue(world, partner, 'backup'))[0]!
    const body = await estimate()
    // To the 15th: 15 + 10 + 6 (the 10th to the 15th) = 31 days × 10.00 × 12 / 365 = 10.1917.
    // From the 16th: 2 × 16 = 32 days × 20.00 × 12 / 365 = 21.0410. scan: 31 × 0.12 = 3.72.
    expect(sums(body)).toEqual([
      ['backup', 63, 3123, [[31, 1019], [32, 2104]]], // prettier-ignore
      ['scan', 31, 372, [[31, 372]]],
    ])
    expect(body).toMatchObject({
      object: 'estimate',
      month: '2026-10',
      currency: 'usd',
      through_day: '2026-10-09',
      counts: { issued: 3, assigned: 1, unassigned: 2, paused: 0 },
      total: usd(3495),
    })
    expect(body.rows[0]).toMatchObject({ name: 'backup', assigned: 1, unassigned: 1, unit: 'days', unit_amount: null })
    expect(body.rows[1]).toMatchObject({ assigned: 0, unassigned: 1, unit_amount: '0.120000', error: null })
    expect(body.rows[0].lines).toMatchObject([
      { unit: 'days', unit_amount: '0.328767', starts_on: '2026-10-01', ends_on: '2026-10-15' },
      { unit: 'days', unit_amount: '0.657534', starts_on: '2026-10-16', ends_on: '2026-10-31' },
    ])
  })

  it('paused: the day it begins counts, and then none', async () => {
    await world.at('2026-10-12T12:00:00Z')
    keeper = await keepPaused()
    await pause(partner, hold, paused)
    const body = await estimate()
    // To the 15th: 15 + 10 + 3 (the 10th to the 12th) = 28 days: 9.2055. From the 16th: 16 days: 10.5205.
    expect(sums(body)[0]).toEqual(['backup', 44, 921 + 1052, [[28, 921], [16, 1052]]]) // prettier-ignore
    expect([body.total, body.counts]).toEqual([
      usd(921 + 1052 + 372),
      { issued: 3, assigned: 1, unassigned: 1, paused: 1 },
    ])
    expect(body.rows[0]).toMatchObject({ assigned: 1, unassigned: 0, paused: 1 })
    // 1.00 × 7.30 × 12 / 365 = 0.24 a day, paused or not: from the 12th on 20 days.
    expect(await estimate(keeper)).toMatchObject({ total: usd(480), rows: [{ product: 'keep', days: 20, paused: 1 }] })
  })

  /** A license of keep, paused in the instant it is issued. */
  async function keepPaused(): Promise<TestAccount> {
    await pause(keeper, newId(), (await issue(world, keeper, 'keep'))[0]!)
    return keeper
  }

  it('the calendar shows each ended day, what was counted, and what was not', async () => {
    await world.tick()
    await world.at('2026-10-15T12:00:00Z')
    const { body } = await get('/v1/usage')
    expect([body.object, body.month, body.days.length]).toEqual(['usage', '2026-10', 14])
    expect(body.days.filter((day: Answer['body']) => !day.counted)).toEqual(
      ['2026-10-12', '2026-10-13', '2026-10-14'].map((day) => ({ day, counted: false, products: [] })),
    )
    const scanned = { product: 'scan', days: 1, paused_days: 0, peak: 1, assigned: 0, unassigned: 1 }
    expect(body.days[9]).toEqual({
      day: '2026-10-10',
      counted: true,
      products: [{ product: 'backup', days: 3, paused_days: 0, peak: 2, assigned: 1, unassigned: 1 }, scanned],
    })
    // Eleven days are counted: 2 × 9, 3 on the 10th, 2 on the 11th.
    expect(body.totals).toEqual([
      { product: 'backup', days: 23, paused_days: 0, peak: 2 },
      { product: 'scan', days: 11, paused_days: 0, peak: 1 },
    ])
    expect((await rowsOf()).map((row) => [row.license, row.days])).toEqual([
      [stays, '11'],
      [revoked, '10'],
      [scan, '11'],
      [paused, '2'],
    ])
  })

  it('usage that no price covers says so, and from which day on; the rest is priced', async () => {
    const body = await estimate(priceless)
    // scan at the list's 4.95: 31 × 4.95 × 12 / 365 = 5.0449.
    expect(sums(body)).toEqual([
      ['gone', 31, null, []],
      ['scan', 31, 504, [[31, 504]]],
    ])
    expect(body).toMatchObject({ total: null, rows: [{ error: { code: 'no_price', day: '2026-10-21' } }, {}] })
  })

  it('other months: none before the account was billed, twelve ahead', async () => {
    for (const month of ['2026-09', '0001-01']) {
      expect(await estimate(partner, `?month=${month}`)).toMatchObject({ rows: [], total: usd(0), month })
      expect((await get(`/v1/usage?month=${month}`)).body).toMatchObject({ month, days: [], totals: [] })
      expect(await rowsOf(partner, `?month=${month}`)).toEqual([])
    }
    // One of backup and one of scan, each 31 days: 20.3836 + 3.72. The third is taken to stay paused.
    expect(await estimate(partner, '?month=2027-10')).toMatchObject({ total: usd(2038 + 372), through_day: null })
    expectProblem(await get('/v1/billing/estimate?month=2027-11'), 400, 'invalid_request', 'month')
    for (const path of ['/v1/usage', '/v1/usage/licenses.csv', '/v1/billing/estimate']) {
      for (const bad of ['2026-13', '2026-1', '2026-10-01', 'october', '', '0000-01', '9999-12', '+002026-10']) {
        expectProblem(await get(`${path}?month=${encodeURIComponent(bad)}`), 400, 'invalid_request', 'month')
      }
      expectProblem(await get(`${path}?day=1`), 400, 'invalid_request', 'day')
      expect((await get(path, { ...partner, key: await keyOf(world, partner, 'viewer') })).status).toBe(200)
    }
    expectProblem(await get('/v1/usage?month=2026-11'), 400, 'invalid_request', 'month')
  })
})

describe('at the end of the month', () => {
  beforeAll(async () => {
    await world.at('2026-10-20T12:00:00Z')
    await world.db.withAccount(partner.uuid, (tx) => liftHold(tx, partner.uuid, hold, world.now()))
    const elsewhere = { url: 'https://b.example' }
    await act(world, partner, `/v1/licenses/${stays}/assign`, { site: elsewhere, transfer: true })
    await world.at('2026-10-24T22:30:00Z') // 00:30 on the 25th in Berlin, a day of 25 hours.
    await issue(world, berlin, 'backup')
  })

  it("goes by the account's own calendar", async () => {
    // The 25th to the 31st: 7 days × 20.00 × 12 / 365 = 4.6027.
    const body = await estimate(berlin)
    expect([sums(body), body.through_day]).toEqual([[['backup', 7, 460, [[7, 460]]]], '2026-10-24'])
    await world.at('2026-10-31T22:59:59Z')
    expect(await estimate(berlin)).toMatchObject({ month: '2026-10', through_day: '2026-10-30', total: usd(460) })
    await world.at('2026-10-31T23:00:00Z')
    expect(await estimate(berlin)).toMatchObject({ month: '2026-11', through_day: null })
    expect((await get('/v1/usage', berlin)).body).toMatchObject({ month: '2026-11', days: [] })
  })

  it("is the draft's lines and total, and was so the day before", async () => {
    const before = await estimate()
    await world.at('2026-11-01T00:00:00Z')
    await world.tick()
    for (const account of [partner, keeper, berlin]) {
      const [draft] = (await get('/v1/invoices', account)).body.data
      const body = await estimate(account, '?month=2026-10')
      const lines = body.rows.flatMap((row: Answer['body']) =>
        row.lines.map((line: object) => ({ ...line, product: row.product, description: row.name })),
      )
      expect([draft.status, draft.total]).toEqual(['draft', body.total])
      const byDay = (list: Answer['body'][]) => list.toSorted((a, b) => (a.starts_on < b.starts_on ? -1 : 1))
      expect(byDay(lines)).toEqual(byDay(draft.lines))
      // Nothing happened in between.
      if (account === partner) expect({ ...before, through_day: '2026-10-31' }).toEqual(body)
    }
    // To the 15th 28 days as before. From the 16th: 16 + 12 (the 20th to the 31st) = 28 days × 0.657534 = 18.4110.
    expect(before.total).toEqual(usd(921 + 1841 + 372))
  })

  it('the evidence adds up to the lines, day by day where the license stood last', async () => {
    const { body, headers } = await get('/v1/usage/licenses.csv?month=2026-10')
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(headers.get('content-disposition')).toBe('attachment; filename="usage-2026-10.csv"')
    const hints = await asSuperuser<{ id: string; hint: string }>(world, 'SELECT id, key_hint AS hint FROM licenses')
    const hint = (license: string) => hints.find(({ id }) => id === uuid(license))!.hint
    const a = `https://a.example,'-7,"'=1+""1"", or so"`
    expect(body).toBe(
      [
        'license,external_reference,key_hint,product,site_url,site_external_id,client,days',
        `${stays},"'@ref,1",${hint(stays)},backup,${a},19`,
        `${stays},"'@ref,1",${hint(stays)},backup,https://b.example,,,12`,
        `${revoked},,${hint(revoked)},backup,${a},10`,
        `${scan},,${hint(scan)},scan,,,,31`,
        // The 10th to the 12th and the 20th to the 31st; nobody's from the 13th to the 19th.
        `${paused},,${hint(paused)},backup,,,,15`,
        '',
      ].join('\r\n'),
    )
    expect((await rowsOf(keeper, '?month=2026-10')).map((row) => [row.product, row.days])).toEqual([['keep', '20']])
    // The PDF lists the same days.
    const printed = await world.db.withAccount(partner.uuid, (tx) =>
      evidence(tx, partner.uuid, '2026-10-01', '2026-10-31'),
    )
    expect(printed.map((row) => Number(row.days)).sort()).toEqual([10, 12, 15, 19, 31])
  })

  it('comes page by page, and is the same', async () => {
    const all = async (perPage: number) => {
      const pages: EvidenceRow[][] = []
      for await (const page of evidencePages(world.apiDb, partner.uuid, '2026-10-01', '2026-10-31', perPage)) {
        pages.push(page)
      }
      // A page that is full cannot know that it is the last.
      return pages.filter((page) => page.length > 0)
    }
    const [small, large] = [await all(1), await all(100)]
    expect([small.length, large.length]).toEqual([4, 1])
    expect(small.flat()).toEqual(large.flat())
  })

  it('totals count days paused apart, and nothing is seen of another account', async () => {
    const { body } = await get('/v1/usage?month=2026-10')
    expect(body.totals[0]).toEqual({ product: 'backup', days: 56, paused_days: 7, peak: 2 })
    expect(body.days).toHaveLength(31)
    expect((await get('/v1/usage?month=2026-10', keeper)).body.totals).toMatchObject([{ product: 'keep' }])
    expect(await sitesOf(world, keeper)).toEqual([])
    expectProblem(await world.call('GET', '/v1/usage', { key: null }), 401, 'unauthorized')
    expectProblem(await world.call('GET', '/v1/usage'), 400, 'account_required', 'Perdiem-Account')
    const stranger = { headers: { 'Perdiem-Account': 'acct_00000000000070008000000000000000' } }
    expectProblem(await world.call('GET', '/v1/usage/licenses.csv', stranger), 404, 'not_found')
  })
})
