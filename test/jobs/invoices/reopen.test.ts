// A closed month that is opened again: its draft is drawn anew under the same id, in the order of the months, and
// nothing of it goes out meanwhile.
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { openMonth } from '../../../jobs/invoices/close.store.ts'
import { uncountDays } from '../../../jobs/usage/usage.store.ts'
import { dueJobs } from '../../support/walk.ts'
import { act, createProduct, createWorld, type TestAccount, type World } from '../../support/world.ts'

async function inWorld(work: (world: World, account: TestAccount) => Promise<void>): Promise<void> {
  const world = await createWorld('2026-08-01T00:00:00Z')
  try {
    await createProduct(world, 'backup', '36.50') // 1.20 a day
    await work(world, await world.account({ card_required: false }))
  } finally {
    await world.close()
  }
}

interface Month {
  readonly id: string
  readonly month: string
  readonly number: string | null
  readonly total: number
  readonly parked: string | null
  /** The month's claim is this invoice's. */
  readonly claimed: boolean
  /** Days and amount of each line. */
  readonly lines: string[]
}

/** An account's invoices, month by month. */
const monthsOf = (world: World, account: TestAccount): Promise<Month[]> =>
  world.db.prisma.$queryRaw`
    SELECT i.id, to_char(period_start, 'YYYY-MM') AS month, number, total::int, parked_reason AS parked,
           EXISTS (SELECT 1 FROM invoice_claims c WHERE c.invoice_id = i.id) AS claimed,
           ARRAY(SELECT quantity || ' ' || amount FROM invoice_lines l WHERE l.invoice_id = i.id ORDER BY position)
             AS lines
    FROM invoices i WHERE account_id = ${account.uuid}::uuid ORDER BY period_start`

const closedOf = async (world: World, account: TestAccount): Promise<string[]> => {
  const rows = await world.db.prisma.$queryRaw<{ month: string }[]>`
    SELECT to_char(month, 'YYYY-MM') AS month FROM closed_months WHERE account_id = ${account.uuid}::uuid ORDER BY 1`
  return rows.map(({ month }) => month)
}

const open = (world: World, { uuid }: TestAccount, month: string): Promise<void> =>
  world.db.acrossAccounts((tx) => openMonth(tx, uuid, `${month}-01`))
const issue = (world: World, account: TestAccount) => act(world, account, '/v1/licenses', { product: 'backup' })
const price = async (world: World, monthly_amount: string, effective_from: string, fields: object = {}) => {
  const body = { product: 'backup', currency: 'usd', model: 'per_day', monthly_amount, effective_from, ...fields }
  const answer = await world.call('POST', '/v1/admin/prices', { body })
  expect(answer.status).toBe(201)
}
const closeAll = async (world: World): Promise<void> => {
  expect(await world.perform('invoices.close-all-months', { at: world.now().toISOString() })).toMatchObject({
    kind: 'done',
  })
  await world.drain()
}
const finalize = (world: World, invoice: string) => world.perform('invoices.finalize-invoice', { invoice })
/** Moves to an instant after which every month that has ended is counted and closed, and none is reviewed. */
async function closeBy(world: World, instant: string): Promise<void> {
  await world.at(instant)
  await world.perform('usage.count-all-days', { at: instant })
  await world.drain()
}

describe('a month that is opened again', () => {
  it('keeps its draft, with new lines; a second line goes where there was one', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      const [first] = await monthsOf(world, account)
      expect(first).toMatchObject({ month: '2026-08', total: 3720, lines: ['31 3720'], claimed: true })
      await price(world, '73.00', '2026-08-31')
      expect(await closedOf(world, account)).toEqual([])
      await world.drain()
      const second = { ...first, total: 3840, lines: ['30 3600', '1 240'] }
      expect(await monthsOf(world, account)).toEqual([second])
      await price(world, '3.65', '2026-08-01', { account: account.id })
      await world.drain()
      expect(await monthsOf(world, account)).toEqual([{ ...first, total: 372, lines: ['31 372'] }])
      const audited = await world.db.prisma.$queryRaw<{ action: string }[]>`
        SELECT action FROM audit_entries WHERE subject = ${first!.id} ORDER BY seq`
      expect(audited.map(({ action }) => action)).toEqual(['invoice.drafted', 'invoice.redrafted', 'invoice.redrafted'])
      expect(await closedOf(world, account)).toEqual(['2026-08'])
    }))

  it('is parked, and taken out of it again, by what it is drawn from', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      const [draft] = await monthsOf(world, account)
      const tamper = (by: number) => world.db.prisma.$executeRaw`
        UPDATE usage_days SET days = days + ${by}::int WHERE account_id = ${account.uuid}::uuid AND day = '2026-08-20'`
      await tamper(1)
      await open(world, account, '2026-08')
      await closeAll(world)
      const parked = { id: draft!.id, parked: expect.stringContaining('recount_differs'), total: 0, lines: [] }
      expect(await monthsOf(world, account)).toMatchObject([parked])
      await tamper(-1)
      await open(world, account, '2026-08')
      await closeAll(world)
      expect(await monthsOf(world, account)).toEqual([draft])
    }))

  it('is removed with its claim when nothing of it is billed any more, and comes back with another id', () =>
    inWorld(async (world, account) => {
      const license = (await issue(world, account)).result.licenses[0].id as string
      await closeBy(world, '2026-09-01T00:00:00Z')
      const [draft] = await monthsOf(world, account)
      const hold = world.ports.newId()
      const uuid = license.replace(/^lic_(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
      await world.db.prisma.$executeRaw`
        INSERT INTO holds (id, account_id, source, reason, since)
        VALUES (${hold}::uuid, ${account.uuid}::uuid, 'operator', 'late', '2026-07-31T00:00:00Z')`
      await world.db.prisma.$executeRaw`
        INSERT INTO hold_members VALUES (${hold}::uuid, ${account.uuid}::uuid, ${uuid}::uuid)`
      await world.db.acrossAccounts(async (tx) => {
        await openMonth(tx, account.uuid, '2026-08-01')
        await uncountDays(tx, [{ accountId: account.uuid, at: new Date('2026-08-01T00:00:00Z') }])
      })
      await world.tick()
      expect(await monthsOf(world, account)).toEqual([])
      expect(await closedOf(world, account)).toEqual(['2026-08'])
      const left = await world.db.prisma.$queryRaw<unknown[]>`
        SELECT 1 FROM invoice_claims UNION ALL SELECT 1 FROM invoice_lines`
      expect(left).toEqual([])

      await world.db.prisma.$executeRaw`UPDATE holds SET until = '2026-08-11T00:00:00Z'`
      await world.db.acrossAccounts(async (tx) => {
        await openMonth(tx, account.uuid, '2026-08-01')
        await uncountDays(tx, [{ accountId: account.uuid, at: new Date('2026-08-01T00:00:00Z') }])
      })
      await world.tick()
      // August 11 is the first day that was not paused whole.
      const back = await monthsOf(world, account)
      expect(back).toMatchObject([{ month: '2026-08', lines: ['21 2520'], claimed: true }])
      expect(back[0]!.id).not.toBe(draft!.id)
    }))

  it('is not finalized meanwhile', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      const [draft] = await monthsOf(world, account)
      await world.at('2026-09-03T00:00:00Z')
      await open(world, account, '2026-08')
      expect(await finalize(world, draft!.id)).toEqual({ kind: 'skipped', reason: 'its month is being counted anew' })
      expect(await monthsOf(world, account)).toEqual([draft])
      // Its close does not wait for a tick of the finalization: the invoice day has passed.
      await closeAll(world)
      expect(await monthsOf(world, account)).toEqual([{ ...draft, number: 'PD-000001' }])
    }))

  it('is left alone where its invoice is final', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      await world.at('2026-09-03T00:00:00Z')
      await world.tick()
      const final = await monthsOf(world, account)
      expect(final).toMatchObject([{ number: 'PD-000001' }])
      await open(world, account, '2026-08')
      await expect(closeAll(world)).rejects.toThrow()
      expect(await monthsOf(world, account)).toEqual(final)
      expect(await closedOf(world, account)).toEqual([])
    }))
})

describe('a price set at the very moment of a close', () => {
  it('is found by the finalization: the draft is drawn anew, and then goes out', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      const [draft] = await monthsOf(world, account)
      await slipInPrice(world)
      await world.at('2026-09-03T00:00:00Z')
      expect(await finalize(world, draft!.id)).toMatchObject({ kind: 'done', note: expect.stringContaining('opened') })
      expect(await monthsOf(world, account)).toEqual([draft])
      expect(await closedOf(world, account)).toEqual([])
      await world.tick()
      const lines = ['30 3600', '1 240']
      expect(await monthsOf(world, account)).toEqual([{ ...draft, total: 3840, lines, number: 'PD-000001' }])
    }))
})

/** As add_price() that ran beside a close: neither saw the other. */
async function slipInPrice(world: World): Promise<void> {
  const client = new pg.Client({ connectionString: world.database.superuserUrl })
  await client.connect()
  try {
    await client.query(`
      INSERT INTO prices (id, product_id, currency, model, monthly_amount, effective_from, created_at)
      SELECT gen_random_uuid(), id, 'usd', 'per_day', 73, '2026-08-31', now() FROM products`)
  } finally {
    await client.end()
  }
}

describe('the order of the months', () => {
  it('one that was opened again is closed before those behind it, which wait for it', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      // Step by step, so that August is still a draft in October.
      await closeBy(world, '2026-09-01T00:00:00Z')
      await closeBy(world, '2026-10-01T00:00:00Z')
      expect(await closedOf(world, account)).toEqual(['2026-08', '2026-09'])
      await world.at('2026-11-01T00:00:00Z')
      await world.perform('usage.count-all-days', { at: world.now().toISOString() })
      await open(world, account, '2026-08')
      for (const { payload } of await dueJobs(world)) await world.perform('usage.count-day', payload)
      const october = { month: '2026-10', zone: 'UTC', from: account.uuid, through: account.uuid }
      expect(await world.perform('invoices.close-month', october)).toEqual({
        kind: 'skipped',
        reason: '0 blocked, none ready',
      })
      expect(await closedOf(world, account)).toEqual(['2026-09'])
      await world.drain()
      expect(await closedOf(world, account)).toEqual(['2026-09'])
      // August is followed by September, which is closed already, and that by October.
      await closeAll(world)
      expect(await closedOf(world, account)).toEqual(['2026-08', '2026-09', '2026-10'])
    }))

  it('of several that are due at once, numbers rise with the months, whichever is worked first', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-11-03T00:00:00Z')
      const numbers = (await monthsOf(world, account)).map(({ month, number }) => [month, number])
      expect(numbers).toEqual([
        ['2026-08', 'PD-000001'],
        ['2026-09', 'PD-000002'],
        ['2026-10', 'PD-000003'],
      ])
    }))

  it('a later one takes an earlier one that is due along, and leaves neither to a tick', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      await closeBy(world, '2026-10-01T00:00:00Z')
      const [august, september] = await monthsOf(world, account)
      expect([august!.number, september!.number]).toEqual([null, null])
      await world.at('2026-10-03T00:00:00Z')
      // Both at once, as two workers have them: neither counts on the other.
      await Promise.all([finalize(world, september!.id), finalize(world, august!.id)])
      expect((await monthsOf(world, account)).map(({ number }) => number)).toEqual(['PD-000001', 'PD-000002'])
    }))

  it('a later one waits while an earlier one is being counted anew', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      await closeBy(world, '2026-10-01T00:00:00Z')
      const [, september] = await monthsOf(world, account)
      await world.at('2026-10-03T00:00:00Z')
      await open(world, account, '2026-08')
      const put = { kind: 'skipped', reason: 'an earlier month comes first' }
      expect(await finalize(world, september!.id)).toEqual(put)
      await closeAll(world)
      await world.drain()
      expect((await monthsOf(world, account)).map(({ number }) => number)).toEqual(['PD-000001', 'PD-000002'])
    }))
})

describe('a month with a day that cannot be counted', () => {
  it('stays open until the action that is in its way has ended, and is counted once', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await world.at('2026-08-31T23:59:59Z')
      const late = await world.call('POST', '/v1/licenses', { key: account.key, body: { product: 'backup' } })
      expect(late.status).toBe(202)
      const [action] = await dueJobs(world)
      await world.at('2026-09-01T00:00:00Z')
      await world.perform('usage.count-all-days', { at: world.now().toISOString() })
      const [count] = (await dueJobs(world)).filter(({ name }) => name === 'usage.count-day')
      expect(await world.perform('usage.count-day', count!.payload)).toMatchObject({
        note: '30 accounts and days, 30 rows, 1 blocked',
      })
      const august = { month: '2026-08', zone: 'UTC', from: account.uuid, through: account.uuid }
      expect(await world.perform('invoices.close-month', august)).toEqual({
        kind: 'skipped',
        reason: '1 blocked, none ready',
      })
      expect(await closedOf(world, account)).toEqual([])
      expect(action!.name).toBe('licenses.apply-action')
      await world.tick()
      expect(await closedOf(world, account)).toEqual(['2026-08'])
      expect(await monthsOf(world, account)).toMatchObject([{ lines: ['32 3840'] }])
      const days = await world.db.prisma.$queryRaw<{ days: number }[]>`
        SELECT days FROM usage_days WHERE account_id = ${account.uuid}::uuid AND day >= '2026-08-30' ORDER BY day`
      expect(days.map((row) => row.days)).toEqual([1, 2])
      await world.tick()
      expect(await monthsOf(world, account)).toHaveLength(1)
    }))

  it('that was opened again: those behind it wait, closed or not', () =>
    inWorld(async (world, account) => {
      await issue(world, account)
      await closeBy(world, '2026-09-01T00:00:00Z')
      await closeBy(world, '2026-10-01T00:00:00Z')
      await world.db.acrossAccounts(async (tx) => {
        await openMonth(tx, account.uuid, '2026-08-01')
        await uncountDays(tx, [{ accountId: account.uuid, at: new Date('2026-08-31T12:00:00Z') }])
      })
      const drafts = await monthsOf(world, account)
      await closeAll(world)
      expect(await closedOf(world, account)).toEqual(['2026-09'])
      const { body } = await world.call('GET', '/v1/admin/billing-runs')
      const missing = { month: '2026-08', missing_days: 1, first_missing_day: '2026-08-31', waits_for: 'a count' }
      expect(body.waiting).toEqual([{ account: account.id, external_id: null, ...missing }])
      // September is due, and is not made final before August; nor does it keep the workers busy.
      await world.at('2026-10-03T00:00:00Z')
      await world.perform('invoices.finalize-all-invoices', { at: world.now().toISOString() })
      await world.drain()
      expect((await monthsOf(world, account)).map(({ number }) => number)).toEqual([null, null])
      await world.tick()
      expect((await monthsOf(world, account)).map(({ number }) => number)).toEqual(['PD-000001', 'PD-000002'])
      expect(await closedOf(world, account)).toEqual(['2026-08', '2026-09'])
      expect(await monthsOf(world, account)).toMatchObject(drafts.map(({ id, lines }) => ({ id, lines })))
    }))
})
