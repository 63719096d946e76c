// Lets the real jobs count and close a scene's histories, and reads what came of each, in the words of the naive count.
import pg from 'pg'
import { catalog } from '../../jobs/catalog.ts'
import { perform } from '../../jobs/kit/perform.ts'
import type { Ports } from '../../jobs/kit/ports.ts'
import { recountDays } from '../../jobs/usage/recount.ts'
import { connectDatabase, type ProcessDatabase } from '../../apps/adapters/database.ts'
import { newId } from '../../apps/adapters/ids.ts'
import { workStaged } from '../../apps/adapters/outbox.ts'
import { daysOfMonth } from '../support/naive/calendar.ts'
import type { History, Instant } from '../support/naive/history.ts'
import { words, type Statement } from '../support/naive/statement.ts'
import { clear, ids, load } from './load.ts'

export interface LaneUrls {
  readonly superuserUrl: string
  readonly workerUrl: string
}

/** A database of its own in which one scene after another is played. */
export interface Lane {
  /** Histories of one zone and the same months; a statement for each. */
  play(histories: readonly History[]): Promise<Statement[]>
  close(): Promise<void>
}

/** Ticks of the months behind: the last one must find nothing to do. */
const ROUNDS = 4
/** Of two months the first is late and finalized at once. A few show that nothing changes; all would take long. */
const FINALIZED = 15

export async function openLane(urls: LaneUrls): Promise<Lane> {
  const client = new pg.Client({ connectionString: urls.superuserUrl })
  await client.connect()
  const db = connectDatabase({ url: urls.workerUrl, max: 3 })
  return {
    async play(histories) {
      await clear(client)
      await load(client, histories)
      await work(client, db, histories[0]!.now)
      return await read(client, db, histories)
    },
    close: async () => {
      await Promise.all([client.end(), db.close()])
    },
  }
}

function portsAt(db: ProcessDatabase, now: Instant): Ports {
  const refuse = (): never => {
    throw new Error('counting and closing need no provider')
  }
  return {
    db,
    newId,
    clock: { now: async () => new Date(now) },
    log: { info: () => {}, warn: () => {} },
    keys: { mint: refuse },
    pdf: { render: refuse },
    mailer: { send: refuse },
    files: { put: refuse, get: refuse },
    stripe: new Proxy({} as Ports['stripe'], { get: refuse }),
  }
}

async function work(client: pg.Client, db: ProcessDatabase, now: Instant): Promise<void> {
  const ports = portsAt(db, now)
  for (let round = 0; round < ROUNDS; round += 1) {
    let worked = 0
    for (const name of ['usage.count-all-days', 'invoices.close-all-months']) {
      const outcome = await perform(catalog.get(name)!, { at: new Date(now).toISOString() }, ports)
      if (outcome.kind !== 'done') throw new Error(`${name}: ${JSON.stringify(outcome)}`)
      worked += await drain(client, db, ports, ['usage.count-day', 'invoices.close-month'])
    }
    if (worked > 0) continue
    await drain(client, db, ports, ['invoices.finalize-invoice'], FINALIZED)
    return
  }
  const left = await client.query(
    `SELECT name, payload, outcome, reason FROM staged_jobs ORDER BY created_at DESC LIMIT 5`,
  )
  throw new Error(`the jobs find no end: ${JSON.stringify(left.rows)}`)
}

/** Works the staged jobs of some names until there are none, or as many as may be; how many there were. */
async function drain(
  client: pg.Client,
  db: ProcessDatabase,
  ports: Ports,
  names: readonly string[],
  most = Infinity,
): Promise<number> {
  for (let worked = 0; ;) {
    const { rows } = await client.query<{ id: string }>(
      `SELECT id FROM staged_jobs WHERE name = ANY($1) AND finished_at IS NULL AND (due_at IS NULL OR due_at <= $2)
       ORDER BY created_at, key`,
      [names, await ports.clock.now()],
    )
    const now = rows.slice(0, most - worked)
    for (const { id } of now) await workStaged(id, db, ports)
    worked += now.length
    if (now.length === 0) return worked
  }
}

const productOf = (id: string): string => String.fromCharCode(ids.read(id).nth)

async function read(client: pg.Client, db: ProcessDatabase, histories: readonly History[]): Promise<Statement[]> {
  const statements: Statement[] = histories.map(() => new Map())
  const of = (account: string): Statement => statements[ids.read(account).history]!
  const usage = await client.query<{ account: string; product: string; day: string; days: number; paused: number }>(
    `SELECT account_id AS account, product_id AS product, day::text, days, paused_days AS paused FROM usage_days`,
  )
  for (const { account, product, day, days, paused } of usage.rows) {
    of(account).set(words.usage(day, productOf(product)), words.days(days, paused))
  }
  const invoices = await client.query<{ account: string; month: string; total: string; parked: boolean }>(
    `SELECT account_id AS account, to_char(period_start, 'YYYY-MM') AS month, total, parked_reason IS NOT NULL AS parked
     FROM invoices`,
  )
  for (const { account, month, total, parked } of invoices.rows) {
    of(account).set(words.invoice(month), words.total(BigInt(total), parked))
  }
  await readLines(client, of)
  await recount(db, histories, of)
  return statements
}

async function readLines(client: pg.Client, of: (account: string) => Statement): Promise<void> {
  type Row = {
    account: string
    month: string
    product: string
    price: string
    days: string
    rate: string
    amount: string
  }
  const { rows } = await client.query<Row>(
    `SELECT l.account_id AS account, to_char(i.period_start, 'YYYY-MM') AS month, l.product_id AS product,
            l.price_id AS price, l.quantity AS days, l.unit_rate AS rate, l.amount
     FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id`,
  )
  for (const { account, month, product, price, days, rate, amount } of rows) {
    const key = words.line(month, productOf(product), String(ids.read(price).nth))
    if (of(account).has(key)) throw new Error(`two lines: ${account} ${key}`)
    of(account).set(key, words.amount(Number(days), rate, BigInt(amount)))
  }
}

/** The count before finalization, by other SQL: asked for every day by itself. */
async function recount(
  db: ProcessDatabase,
  histories: readonly History[],
  of: (account: string) => Statement,
): Promise<void> {
  const accounts = histories.map((_, n) => ids.account(n))
  const { zone, months } = histories[0]!
  for (const breaks of months.map(daysOfMonth)) {
    const period = { zone, first: breaks[0]!, last: breaks.at(-1)!, breaks }
    const found = await db.acrossAccounts((tx) => recountDays(tx, accounts, period))
    for (const [account, spans] of found) {
      for (const { productId, from, days, pausedDays } of spans) {
        const key = words.recount(from, productOf(productId))
        of(account).set(key, words.days(Number(days), Number(pausedDays)))
      }
    }
  }
}
