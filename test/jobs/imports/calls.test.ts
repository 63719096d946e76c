// The calls of an import: who may make them, in which order, and what is said when they make no sense. What concerns
// every account refuses the whole import.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EVENT_COLUMNS, tableOf, type FileName, type Table } from '../../support/history-files.ts'
import { applyImport, beginImport, lookAt, runImport, sendFiles, sendRows } from '../../support/imports.ts'
import { snapshot } from '../../support/ledger.ts'
import { createProduct, createWorld, type Answer, type World } from '../../support/world.ts'
import { accountRow, eventRow, filesWith, priceRow, type Rows } from './support.ts'

let world: World
beforeAll(async () => {
  world = await createWorld('2026-03-10T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
})
afterAll(() => world.close())

const said = ({ status, body }: Answer) => ({ status, code: body.code })
const eventsOf = (...texts: string[]): Table =>
  tableOf(
    EVENT_COLUMNS,
    texts.map((text) => eventRow(text)),
  )
const ISSUE = '2026-03-01T10:00:00Z c1 L1 issue'

describe('an import is refused whole, and nothing of it applied, for', () => {
  const good: Rows = { accounts: [accountRow('whole')], events: [eventRow('2026-03-01T10:00:00Z whole L1 issue')] }
  const WHOLE: Record<string, [rows: Rows, file: FileName, line: number, field: string, message: RegExp]> = {
    'an event that does not say whose it is': [
      { ...good, events: [...good.events!, eventRow('2026-03-01T10:00:00Z - L2 issue')] },
      ...(['events.csv', 3, 'account', /is missing/] as const),
    ],
    'an account without a name for itself': [
      { ...good, accounts: [accountRow(' '), ...good.accounts!] },
      ...(['accounts.csv', 2, 'account', /is missing/] as const),
    ],
    'an account named by a control character': [
      { ...good, events: [eventRow('2026-03-01T10:00:00Z who\u0000le L2 issue')] },
      ...(['events.csv', 2, 'account', /control characters/] as const),
    ],
    'a list price other than the one that is set': [
      { ...good, prices: [priceRow('backup', { monthly_amount: '9.00' })] },
      ...(['prices.csv', 2, 'monthly_amount', /another than the list price set/] as const),
    ],
    'two list prices that contradict each other': [
      { ...good, prices: [priceRow('new'), priceRow('new', { monthly_amount: '10.000001' })] },
      ...(['prices.csv', 3, 'monthly_amount', /another than on an earlier line/] as const),
    ],
    'a list price that cannot be read': [
      { ...good, prices: [priceRow('new', { monthly_amount: 'ten' })] },
      ...(['prices.csv', 2, 'monthly_amount', /decimal amount/] as const),
    ],
  }

  it.each(Object.entries(WHOLE))('%s', async (_, [rows, file, line, field, message]) => {
    const { status, failures, outcomes } = await runImport(world, filesWith(rows), '2026-03')
    expect({ status, outcomes }).toEqual({ status: 'refused', outcomes: {} })
    expect(failures).toEqual([{ file, line, field, account: null, message: expect.stringMatching(message) }])
    const rest = await world.db.prisma.$queryRaw<{ n: bigint }[]>`
      SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM licenses) + (SELECT count(*) FROM import_events)
        + (SELECT count(*) FROM import_accounts) + (SELECT count(*) FROM import_prices)
        + (SELECT count(*) FROM products WHERE slug <> 'backup') AS n`
    expect(rest).toEqual([{ n: 0n }])
  })
})

describe('list prices', () => {
  it('that are set already, on as many lines as one likes, are no contradiction', async () => {
    const prices = [
      priceRow('backup'),
      priceRow('backup', { monthly_amount: '10' }),
      priceRow('listed'),
      priceRow('listed'),
    ]
    const { status, failures } = await runImport(world, filesWith({ prices }), '2026-03')
    expect({ status, failures }).toEqual({ status: 'done', failures: [] })
    const rows = await world.db.prisma.$queryRaw<{ n: bigint }[]>`SELECT count(*) AS n FROM prices`
    expect(rows).toEqual([{ n: 2n }])
  })
})

describe('rows', () => {
  it('that are sent twice are taken once', async () => {
    const id = await beginImport(world, '2026-03')
    const { accounts } = { accounts: filesWith({ accounts: [accountRow('c1')] })['accounts.csv']! }
    for (let times = 0; times < 2; times += 1) {
      expect((await sendRows(world, id, 'accounts.csv', accounts)).status).toBe(200)
      expect((await sendRows(world, id, 'events.csv', eventsOf(ISSUE))).body).toEqual({ received: 1, failures: 0 })
    }
    await applyImport(world, id)
    await world.drain()
    expect(await lookAt(world, id)).toMatchObject({ status: 'done', outcomes: { c1: 'done' }, failures: [] })
  })

  it('that are sent twice and fail are counted and listed once', async () => {
    const id = await beginImport(world, '2026-03')
    const wrong = eventsOf('yesterday c1 L1 issue')
    expect((await sendRows(world, id, 'events.csv', wrong)).body).toEqual({ received: 1, failures: 1 })
    expect((await sendRows(world, id, 'events.csv', wrong)).body).toEqual({ received: 1, failures: 1 })
    expect((await lookAt(world, id)).failures).toHaveLength(1)
  })

  const table = eventsOf(ISSUE)
  const with_ = (change: Partial<Table>): Table => ({ ...table, ...change })
  it.each<[string, Table, string, RegExp]>([
    [
      'an unknown column',
      with_({ columns: [...table.columns.slice(0, -1), 'klient'] }),
      'columns',
      /does not know klient/,
    ],
    ['a column missing', with_({ columns: table.columns.slice(1), rows: [] }), 'columns', /lacks at/],
    ['a column twice', with_({ columns: [...table.columns, 'at'], rows: [] }), 'columns', /names a column twice/],
    ['too few cells', with_({ rows: [['x']] }), 'rows.0', /needs a line number and 8 cells/],
    [
      'a cell of 10,001 characters',
      with_({ rows: [[...table.rows[0]!.slice(0, -1), 'c'.repeat(10_001)]] }),
      'rows',
      /10,?000/,
    ],
    ['5,001 rows', with_({ rows: Array<readonly string[]>(5_001).fill(table.rows[0]!) }), 'rows', /5,?000/],
  ])('with %s are answered with 400, and none is kept', async (_, sent, path, message) => {
    const id = await beginImport(world, '2026-03')
    const { status, body } = await sendRows(world, id, 'events.csv', sent)
    expect([status, body.code]).toEqual([400, 'invalid_request'])
    const errors = body.errors as { path: string; message: string }[]
    expect(errors.some((error) => error.path.startsWith(path) && message.test(error.message))).toBe(true)
    const kept = await world.db.prisma.$queryRaw`SELECT 1 FROM import_events`
    expect(kept).toEqual([])
  })

  it('come in any order of columns, of files and of batches', async () => {
    const id = await beginImport(world, '2026-03')
    const [later, earlier] = [
      eventsOf('2026-03-02T10:00:00Z c3 L1 revoke'),
      eventsOf('2026-03-01T10:00:00Z c3 L1 issue'),
    ]
    const reversed = ({ columns, rows }: Table): Table => ({
      columns: columns.toReversed(),
      rows: rows.map((row) => row.toReversed()),
    })
    await sendRows(world, id, 'events.csv', reversed(later), 3)
    await sendRows(world, id, 'events.csv', earlier, 2)
    await sendRows(world, id, 'accounts.csv', filesWith({ accounts: [accountRow('c3')] })['accounts.csv']!)
    await applyImport(world, id)
    await world.drain()
    expect(await lookAt(world, id)).toMatchObject({ failures: [], outcomes: { c3: 'done' } })
  })
})

describe('the order of calls', () => {
  it('rows and a second apply come too late while it is applied and when it has ended', async () => {
    const id = await sendFiles(world, filesWith({ accounts: [accountRow('o1')] }), '2026-03')
    expect((await applyImport(world, id)).body).toMatchObject({ id, status: 'applying' })
    const late = { status: 409, code: 'import_not_receiving' }
    for (const state of ['applying', 'done']) {
      expect((await lookAt(world, id)).status).toBe(state)
      expect(said(await sendRows(world, id, 'events.csv', eventsOf(ISSUE)))).toEqual(late)
      expect(said(await applyImport(world, id))).toEqual(late)
      await world.drain()
    }
  })

  it('of two imports the second waits until the first has ended, and loses nothing', async () => {
    const first = await sendFiles(world, filesWith({ accounts: [accountRow('o2')] }), '2026-03')
    const second = await sendFiles(world, filesWith({ accounts: [accountRow('o3')] }), '2026-03')
    expect((await applyImport(world, first)).status).toBe(202)
    expect(said(await applyImport(world, second))).toEqual({ status: 409, code: 'import_busy' })
    await world.drain()
    expect((await applyImport(world, second)).status).toBe(202)
    await world.drain()
    expect((await lookAt(world, second)).outcomes).toEqual({ o3: 'done' })
  })

  it('an import of nothing is done at once', async () => {
    const { status, accounts, failures } = await runImport(world, {}, '2026-03')
    expect({ status, accounts, failures }).toEqual({
      ...{ status: 'done', accounts: { total: 0, done: 0, unchanged: 0, refused: 0 }, failures: [] },
    })
  })

  it('a month that has not begun cannot be billed from', async () => {
    const begin = (month: string) => world.call('POST', '/v1/admin/imports', { body: { bill_from: month } })
    expect(said(await begin('2026-04'))).toEqual({ status: 422, code: 'future_month' })
    for (const month of ['2026-13', '2026-3', '2026-03-01', 'soon']) expect((await begin(month)).status).toBe(400)
  })
})

describe('who may', () => {
  it('only operators: no account, nobody unknown, and no import is known to them', async () => {
    const account = await world.account()
    const id = await beginImport(world, '2026-03')
    const was = await snapshot(world)
    const calls: [string, string, unknown?][] = [
      ['POST', '/v1/admin/imports', { bill_from: '2026-03' }],
      ['POST', `/v1/admin/imports/${id}/rows`, { file: 'events.csv', columns: EVENT_COLUMNS, rows: [] }],
      ['POST', `/v1/admin/imports/${id}/apply`],
      ['GET', `/v1/admin/imports/${id}`],
      ['GET', `/v1/admin/imports/${id}/failures`],
    ]
    for (const [method, path, body] of calls) {
      const options = body === undefined ? {} : { body }
      expect(said(await world.call(method, path, { ...options, key: account.key }))).toEqual({
        status: 403,
        code: 'forbidden',
      })
      expect((await world.call(method, path, { ...options, key: null })).status).toBe(401)
      const unknown = path.replace(id, 'imp_00000000000070008000000000000000')
      if (unknown !== path) expect((await world.call(method, unknown, options)).status).toBe(404)
    }
    expect(await snapshot(world)).toEqual(was)
  })
})

describe('the list of failures', () => {
  it('goes by file and line, page by page, each once', async () => {
    const events = Array.from({ length: 25 }, (_, n) => eventRow(`never f1 L${n} issue`))
    const accounts = [accountRow('f1', { invoice_day: '9' })]
    const id = await sendFiles(world, filesWith({ accounts, events }), '2026-03')
    const found: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const after: string = cursor && `&cursor=${encodeURIComponent(cursor)}`
      const { body } = await world.call('GET', `/v1/admin/imports/${id}/failures?limit=10${after}`)
      expect(body.total).toBe(26)
      found.push(...body.data.map((one: { file: string; line: number }) => `${one.file} ${one.line}`))
      cursor = body.next_cursor
    }
    expect(found).toEqual(['accounts.csv 2', ...events.map((_, n) => `events.csv ${n + 2}`)])
  })
})
