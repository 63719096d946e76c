// A month of licenses becomes a paid invoice, through every real component but the printer and the mail server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { act, createProduct, createWorld, type TestAccount, type World } from '../support/world.ts'

describe('a month, from an issued license to a paid invoice', () => {
  let world: World
  let account: TestAccount
  let licenses: string[] = []

  beforeAll(async () => {
    world = await createWorld('2026-10-01T12:00:00Z')
    await createProduct(world, 'backup', '10.00')
    await createProduct(world, 'security', '24.95')
    account = await world.account({ timezone: 'Europe/Berlin', company: { name: 'Nordlicht GmbH', country: 'DE' } })
    await world.card(account)
  })
  afterAll(() => world.close())

  it('October 1: licenses are issued, and active from then on', async () => {
    const issued = await act(world, account, '/v1/licenses', { product: 'backup', quantity: 2 })
    expect(issued.status).toBe('done')
    licenses = issued.result.licenses.map((license: { id: string }) => license.id)
    const one = await act(world, account, '/v1/licenses', {
      product: 'security',
      site: { url: 'https://a.example', client: 'A' },
    })
    licenses.push(one.result.licenses[0].id)
    expect(one.result.licenses[0].state).toBe('assigned')
  })

  it('October 10: one is revoked; the day of revocation is its last', async () => {
    await world.at('2026-10-10T21:59:59Z') // 23:59:59 in Berlin, still on the 10th.
    const revoked = await act(world, account, `/v1/licenses/${licenses[0]}/revoke`)
    expect(revoked.result.license.state).toBe('revoked')
  })

  it('November 1: the month is closed once its last day is counted, and drafted', async () => {
    await world.at('2026-10-31T22:59:59Z') // A second before midnight in Berlin, where winter time has begun.
    await world.tick()
    expect((await world.call('GET', '/v1/invoices', { key: account.key })).body.data).toEqual([])
    await world.at('2026-10-31T23:00:00Z')
    await world.tick()
    const [draft] = (await world.call('GET', '/v1/invoices', { key: account.key })).body.data
    expect(draft).toMatchObject({ status: 'draft', number: null, due_on: null, period: '2026-10', pdf: false })
    // backup: 10 + 31 = 41 days × 10.00 × 12/365 = 13.4794… → 13.48
    // security: 31 × 24.95 × 12/365 = 25.4284… → 25.43
    expect(
      draft.lines.map((line: { product: string; quantity: number; amount: { amount: number } }) => [
        line.product,
        line.quantity,
        line.amount.amount,
      ]),
    ).toEqual([
      ['backup', 41, 1348],
      ['security', 31, 2543],
    ])
    expect(draft.total).toEqual({ amount: 3891, currency: 'usd' })
  })

  it('November 3: it is finalized with a number, mirrored, charged, rendered and mailed', async () => {
    await world.at('2026-11-02T22:59:59Z')
    await world.tick()
    expect((await world.call('GET', '/v1/invoices', { key: account.key })).body.data[0].status).toBe('draft')
    await world.at('2026-11-02T23:00:00Z')
    await world.tick()
    const [invoice] = (await world.call('GET', '/v1/invoices', { key: account.key })).body.data
    expect(invoice).toMatchObject({
      status: 'paid',
      number: 'PD-000001',
      issued_on: '2026-11-03',
      due_on: '2026-11-17',
      past_due: false,
      pdf: true,
      collection: 'charge',
      balance: { amount: 0, currency: 'usd' },
    })
    expect(world.mails.map((mail) => [mail.to, mail.subject])).toEqual([
      [[expect.stringMatching(/@partner\.example$/)], 'Paid: invoice PD-000001 from Your company'],
    ])
    const pdf = await world.call('GET', `/v1/invoices/${invoice.id}/pdf`, { key: account.key })
    expect([pdf.status, pdf.headers.get('content-type')]).toEqual([200, 'application/pdf'])
    expect(world.pages[0]).toContain('Nordlicht GmbH')
  })

  it('charged once, in at most four calls to Stripe beside reading', async () => {
    const { data } = (await world.standIn.requests(1000)) as { data: { operation: string; method: string }[] }
    const writes = data.filter((request) => request.method === 'POST' && request.operation.startsWith('invoices.'))
    expect(writes.map((request) => request.operation)).toEqual([
      'invoices.create',
      'invoices.addLines',
      'invoices.finalizeInvoice',
      'invoices.pay',
    ])
  })

  it('nothing more happens, however often the ticks fire', async () => {
    const before = await world.db.prisma.$queryRaw<{ n: number }[]>`
      SELECT count(*)::int AS n FROM audit_entries WHERE account_id = ${account.uuid}::uuid`
    await world.at('2026-11-04T12:00:00Z')
    await world.tick()
    await world.tick()
    const after = await world.db.prisma.$queryRaw<{ n: number }[]>`
      SELECT count(*)::int AS n FROM audit_entries WHERE account_id = ${account.uuid}::uuid`
    expect(after).toEqual(before)
    expect(world.mails).toHaveLength(1)
  })
})

describe('an action takes effect at the instant the API accepted it', () => {
  it('accepted at 23:59:58 with no worker running, worked after midnight: billed as of 23:59:58', async () => {
    const world = await createWorld('2026-10-01T12:00:00Z')
    try {
      await createProduct(world, 'backup', '10.00')
      const account = await world.account({ timezone: 'Pacific/Auckland', card_required: false })
      const issued = await act(world, account, '/v1/licenses', { product: 'backup' })
      const license = issued.result.licenses[0].id
      // Auckland is 13 hours ahead in October: 23:59:58 on the 15th there.
      await world.at('2026-10-15T10:59:58Z')
      const accepted = await world.call('POST', `/v1/licenses/${license}/revoke`, { key: account.key })
      expect(accepted.status).toBe(202)
      const inTime = await world.call('POST', '/v1/licenses', { key: account.key, body: { product: 'backup' } })
      expect(inTime.status).toBe(202)

      // Midnight has passed and a tick fires before any worker came to the actions: the day must wait for them.
      await world.at('2026-10-15T11:10:00Z')
      await world.perform('usage.count-all-days', { at: world.now().toISOString() })
      const rows = await world.db.prisma.$queryRaw<{ payload: { days: string[] } }[]>`
        SELECT payload FROM staged_jobs WHERE name = 'usage.count-day' AND finished_at IS NULL`
      const days = Array.from({ length: 14 }, (_, n) => `2026-10-${String(n + 2).padStart(2, '0')}`)
      const missing = { days, zone: 'Pacific/Auckland', from: account.uuid, through: account.uuid }
      // The days before are counted; the one of the open actions is not.
      expect(rows).toEqual([{ payload: missing }])
      expect(await world.perform('usage.count-day', missing)).toEqual({
        kind: 'done',
        note: '13 accounts and days, 13 rows, 1 blocked',
      })

      // Now the workers come. The revoked license had 10-02 … 10-15, the new one has the 15th as its first day.
      await world.drain()
      await world.at('2026-11-03T12:00:00Z')
      await world.tick()
      const [invoice] = (await world.call('GET', '/v1/invoices', { key: account.key })).body.data
      // 14 days (Oct 2 to 15) + 17 days (Oct 15 to 31) = 31: issued Oct 1 12:00 UTC is Oct 2 01:00 in Auckland.
      expect(invoice.lines[0].quantity).toBe(31)
      expect(invoice.total.amount).toBe(1019)
    } finally {
      await world.close()
    }
  })

  it('an action accepted after its day was counted cannot exist: acceptance reads the clock again', async () => {
    const world = await createWorld('2026-10-01T12:00:00Z')
    try {
      await createProduct(world, 'backup', '10.00')
      const account = await world.account({ card_required: false })
      await world.at('2026-10-02T00:00:00Z')
      await world.tick()
      // Straight at the database, as a request would be that read the clock before midnight and was held up.
      const rows = await world.apiDb.prisma.$queryRaw<{ verdict: string }[]>`
        SELECT verdict FROM accept_action(
          ${account.uuid}::uuid, gen_random_uuid(), 'license.issue', '{}'::jsonb, 'key:x',
          '2026-10-01T23:59:59Z'::timestamptz, gen_random_uuid(), NULL, NULL)`
      expect(rows[0]?.verdict).toBe('too_early')
      const open = await world.db.prisma.$queryRaw<
        unknown[]
      >`SELECT 1 FROM actions WHERE account_id = ${account.uuid}::uuid`
      expect(open).toEqual([])
    } finally {
      await world.close()
    }
  })
})
