// add_price(): what a price may change afterwards. Months that are drafts are opened again, invoiced ones refuse it.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { finalize, insertRow, makeDraftAgain, uuid, VALID, type Row } from '../support/rows.ts'
import { waitUntil } from '../support/wait.ts'

const [US, OTHER_US, EURO] = [uuid(1), uuid(2), uuid(3)]
const [SOLD, RARE] = [uuid(11), uuid(12)]
const ACCOUNTS = new Map([
  [US, 'usd'],
  [OTHER_US, 'usd'],
  [EURO, 'eur'],
])
/** Whose day with which product. Each in a month that is closed. */
const USED: [account: string, product: string, day: string][] = [
  [US, SOLD, '2026-07-10'],
  [US, SOLD, '2026-08-10'],
  [US, SOLD, '2026-09-10'],
  [US, RARE, '2026-09-20'],
  [US, SOLD, '2026-10-10'],
  [OTHER_US, SOLD, '2026-09-05'],
  [EURO, SOLD, '2026-08-15'],
]
const FINAL = ['2026-07', '2026-08']

let database: TestDatabase
let superuser: pg.Client
let worker: pg.Client
let api: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  superuser = new pg.Client({ connectionString: database.superuserUrl })
  worker = new pg.Client({ connectionString: database.workerUrl })
  api = new pg.Client({ connectionString: database.apiUrl })
  await Promise.all([superuser.connect(), worker.connect(), api.connect()])
  for (const [n, id] of [SOLD, RARE].entries()) {
    await insertRow(superuser, 'products', { id, slug: `p${n}`, name: 'P', family: 'test', created_at: '2026-01-01' })
    for (const [m, currency] of ['usd', 'eur'].entries())
      await addRow({ id: uuid(20 + n * 2 + m), product: id, currency })
  }
  for (const [id, currency] of ACCOUNTS) await insertRow(superuser, 'accounts', { ...VALID.accounts, id, currency })
  for (const one of USED) await live(...one)
  // Closed, and nothing used in it.
  await insertRow(superuser, 'closed_months', { ...VALID.closed_months, account_id: US, month: '2026-11-01' })
})
afterAll(async () => {
  await Promise.all([superuser.end(), worker.end(), api.end()])
  await database.drop()
})

/** A price that is there already, from the first of the year. */
const addRow = ({ id, product, currency, ...rest }: Row): Promise<void> =>
  insertRow(superuser, 'prices', {
    ...VALID.prices,
    id,
    product_id: product,
    currency,
    effective_from: '2026-01-01',
    ...rest,
  })

let invoices = 0
const invoiceIds = new Map<string, string>()
/** A counted day in a closed month, with the month's invoice: a draft, or final. */
async function live(account: string, product: string, day: string): Promise<void> {
  const own = { account_id: account }
  const [month, starts_at] = [day.slice(0, 7), `${day}T00:00:00Z`]
  await insertRow(superuser, 'counted_days', {
    ...own,
    day,
    starts_at,
    ends_at: `${day}T23:59:59Z`,
    counted_at: `${day}T23:59:59Z`,
  })
  await insertRow(superuser, 'usage_days', { ...VALID.usage_days, ...own, day, product_id: product })
  if (invoiceIds.has(account + month)) return
  invoices += 1
  const id = uuid(100 + invoices)
  invoiceIds.set(account + month, id)
  const period_start = `${month}-01`
  await insertRow(superuser, 'closed_months', { ...VALID.closed_months, ...own, month: period_start })
  await insertRow(superuser, 'invoices', { ...VALID.invoices, ...own, id, period_start, total: 0, subtotal: 0 })
  if (FINAL.includes(month)) await finalize(superuser, id, { number: `PD-${invoices}`, sequence: invoices })
}

interface Offer {
  readonly id?: string
  readonly product?: string
  readonly account?: string | null
  readonly currency?: string
  readonly from: string
  readonly ends?: string
}

const offer = async (client: pg.Client, { id, product, account, currency, from, ends }: Offer): Promise<string> => {
  const { rows } = await client.query(
    `SELECT add_price($1, $2, $3, $4, 'per_day', 7.5, $5, $6, true, '2026-11-05T10:11:12.345Z', $7) AS verdict`,
    [id ?? uuid(90), product ?? SOLD, account ?? null, currency ?? 'usd', from, ends ?? null, uuid(91)],
  )
  return rows[0].verdict
}

interface Seen {
  readonly verdict: string
  /** Months that are not closed any more, account by account. */
  readonly opened: string[]
  readonly staged: unknown[]
  readonly prices: number
}

/** Sets a price beside some that are there, sees what that changed, and undoes it. */
async function tried(price: Offer, beside: readonly Row[] = []): Promise<Seen> {
  await superuser.query('BEGIN')
  try {
    for (const [n, row] of beside.entries()) await addRow({ id: uuid(60 + n), product: SOLD, currency: 'usd', ...row })
    await superuser.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    const verdict = await offer(superuser, price)
    const list = async (sql: string) => (await superuser.query(sql)).rows.map((row) => row.v)
    const closed = await list(`SELECT account_id || ' ' || to_char(month, 'YYYY-MM') AS v FROM closed_months`)
    const before = [...USED.map(([account, , day]) => `${account} ${day.slice(0, 7)}`), `${US} 2026-11`]
    return {
      verdict,
      opened: [...new Set(before.filter((month) => !closed.includes(month)))].sort(),
      staged: await list(`SELECT to_jsonb(s) - 'next_at' - 'created_at' AS v FROM staged_jobs s`),
      prices: (await list(`SELECT 1 AS v FROM prices WHERE id = '${uuid(90)}'`)).length,
    }
  } finally {
    await superuser.query('ROLLBACK')
  }
}

const [US_09, US_10, OTHER_09] = [`${US} 2026-09`, `${US} 2026-10`, `${OTHER_US} 2026-09`]
const REFUSED = null

/** What is opened again; null when the price is refused with month_closed. */
const CASES: [what: string, price: Offer, opened: string[] | null, beside?: Row[]][] = [
  ['from a day no month is closed for', { from: '2026-12-01' }, []],
  ['from the day after the last that was used', { from: '2026-10-11' }, []],
  ['from the last day that was used', { from: '2026-10-10' }, [US_10]],
  ['from the middle of a draft month', { from: '2026-09-06' }, [US_09, US_10]],
  ['from the day an invoiced month ended', { from: '2026-09-01' }, [US_09, US_10, OTHER_09]],
  ['into an invoiced month, after its last day of use', { from: '2026-08-16' }, [US_09, US_10, OTHER_09]],
  ['from a day that is invoiced', { from: '2026-08-10' }, REFUSED],
  ['from before all months', { from: '2026-01-02' }, REFUSED],
  ['overtaken before there was any month', { from: '2025-01-01' }, []],
  ['of an account, until before the next day of use', { from: '2026-10-01', ends: '2026-10-10', account: US }, []],
  ['of an account, until after it', { from: '2026-10-01', ends: '2026-10-11', account: US }, [US_10]],
  ['of another product', { from: '2026-01-02', product: RARE }, [US_09]],
  ['of another currency, invoiced in that', { from: '2026-08-01', currency: 'eur' }, REFUSED],
  ['of another currency, after what is invoiced in that', { from: '2026-08-16', currency: 'eur' }, []],
  ['of an account whose month is invoiced', { from: '2026-08-10', account: US }, REFUSED],
  ['of an account whose months are drafts', { from: '2026-08-11', account: US }, [US_09, US_10]],
  ["of one account, in another's invoiced month", { from: '2026-01-01', account: OTHER_US }, [OTHER_09]],
  ['overtaken before it changes anything', { from: '2026-07-11' }, [], [{ effective_from: '2026-08-10' }]],
  ['overtaken after an invoiced day', { from: '2026-07-11' }, REFUSED, [{ effective_from: '2026-08-11' }]],
  ['overtaken within drafts', { from: '2026-08-16' }, [OTHER_09], [{ effective_from: '2026-09-10' }]],
  [
    "beside an account's own price, which overtakes no list price",
    { from: '2026-07-11' },
    REFUSED,
    [{ effective_from: '2026-08-01', account_id: OTHER_US }],
  ],
  [
    "of an account, beside a list price, which overtakes no account's own",
    { from: '2026-08-10', account: US },
    REFUSED,
    [{ effective_from: '2026-08-10' }],
  ],
  [
    'beside a later price of another product',
    { from: '2026-07-11' },
    REFUSED,
    [{ effective_from: '2026-08-01', product_id: RARE }],
  ],
]

describe('add_price()', () => {
  it.each(CASES)('%s', async (_, price, opened, beside) => {
    const { verdict, ...seen } = await tried(price, beside)
    if (opened === REFUSED)
      return expect({ verdict, ...seen }).toEqual({ verdict: 'month_closed', opened: [], staged: [], prices: 0 })
    expect({ verdict, opened: seen.opened, prices: seen.prices }).toEqual({
      verdict: 'created',
      opened: [...opened].sort(),
      prices: 1,
    })
    const job = { id: uuid(91), name: 'invoices.close-all-months', key: uuid(91) }
    const staged =
      opened.length > 0 ? [expect.objectContaining({ ...job, payload: { at: '2026-11-05T10:11:12.345Z' } })] : []
    expect(seen.staged).toEqual(staged)
  })

  it('its end does not bring back the price it took over from: what follows is changed by it too', async () => {
    const price = { from: '2026-07-11', ends: '2026-07-12' }
    expect(await tried(price)).toMatchObject({ verdict: 'month_closed', prices: 0 })
    const draft = { from: '2026-08-16', ends: '2026-08-17' }
    expect(await tried(draft)).toMatchObject({ verdict: 'created', opened: [US_09, US_10, OTHER_09].sort() })
    // Until the end that one would have had: then nothing is taken away any more.
    const ended = { effective_from: '2026-07-02', ends_on: '2026-08-10' }
    expect(await tried(price, [ended])).toMatchObject({ verdict: 'created', opened: [] })
    expect(await tried(price, [{ ...ended, ends_on: '2026-08-11' }])).toMatchObject({ verdict: 'month_closed' })
    // Where nothing of its kind held before, nothing is taken away.
    expect(await tried({ ...price, account: US })).toMatchObject({ verdict: 'created', opened: [] })
  })

  it('one that is there already changes nothing, nor does one that is asked for twice', async () => {
    const none = { verdict: 'price_exists', opened: [], staged: [], prices: 0 }
    expect(await tried({ from: '2026-09-01' }, [{ effective_from: '2026-09-01' }])).toEqual(none)
    expect(
      await tried({ from: '2026-09-01', account: US }, [{ effective_from: '2026-09-01', account_id: US }]),
    ).toEqual(none)
    const beside = [{ effective_from: '2026-09-01', account_id: US }]
    expect(await tried({ from: '2026-09-01', account: OTHER_US }, beside)).toMatchObject({ verdict: 'created' })
  })

  it('waits for a finalization that is under way, and then sees it', async () => {
    const other = new pg.Client({ connectionString: database.workerUrl })
    await other.connect()
    try {
      const pid = (await other.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
      await worker.query('BEGIN')
      await finalize(worker, invoiceIds.get(`${US}2026-09`)!, { number: 'PD-99', sequence: 99 })
      await other.query('BEGIN')
      const late = offer(other, { from: '2026-09-10', account: US })
      await waitUntil('the price waits for the finalization', async () => {
        const { rows } = await superuser.query('SELECT wait_event_type w FROM pg_stat_activity WHERE pid = $1', [pid])
        return rows[0].w === 'Lock'
      })
      await worker.query('COMMIT')
      expect(await late).toBe('month_closed')
    } finally {
      await worker.query('ROLLBACK')
      await other.end()
      await makeDraftAgain(superuser, invoiceIds.get(`${US}2026-09`)!)
    }
  })

  it('is for operators and the worker', async () => {
    expect(await offer(api, { from: '2026-12-01' })).toBe('forbidden')
    await api.query('BEGIN')
    await api.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    expect(await offer(api, { from: '2026-12-01' })).toBe('created')
    await api.query('ROLLBACK')
    // What an operator's transaction was allowed is forgotten after it.
    expect(await offer(api, { from: '2026-12-01' })).toBe('forbidden')
    await api.query('BEGIN')
    await api.query(`SELECT set_config('perdiem.account', $1, true)`, [US])
    expect(await offer(api, { from: '2026-12-01', account: US })).toBe('forbidden')
    await api.query('ROLLBACK')
    await worker.query('BEGIN')
    expect(await offer(worker, { from: '2026-12-01' })).toBe('created')
    await worker.query('ROLLBACK')
  })
})
