// npm run demo: one command, no server left behind. A fresh sandbox lives through a month; its invoices are compared
// with sums done by hand, every invariant is checked, the PDFs are kept in demo/.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { formatMoney } from '../../jobs/rules/money.ts'
import { sandboxConfig } from '../config.ts'
import { explain } from '../lifecycle.ts'
import { playDemo, STORY_BEGINS, type StoryAccount } from './demo-story.ts'
import { findViolations, INVARIANTS } from './invariants.ts'
import { deleteHome } from './postgres-place.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'

const OUT = resolve('demo')

interface Row {
  readonly name: string
  readonly timezone: string
  readonly number: string
  readonly days: number
  readonly total: number
  readonly status: string
  readonly file: string
  readonly agrees: boolean
  readonly sum: string
}

let sandbox: Sandbox | null = null
let home: string | null = null
let ending = false

async function end(code: number): Promise<void> {
  if (ending) return
  ending = true
  await sandbox?.stop()
  if (home !== null && code === 0) deleteHome(home)
  else if (home !== null) console.error(`The sandbox and its logs were left in ${home}`)
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    console.log('\nStopping …')
    void end(130)
  })
}

try {
  const config = sandboxConfig()
  home = await mkdtemp(join(tmpdir(), 'perdiem-demo-'))
  console.log('Perdiem demo: a fresh sandbox')
  sandbox = await startSandbox({
    home,
    port: 0,
    now: STORY_BEGINS,
    logLevel: config.LOG_LEVEL,
    executablePath: config.PUPPETEER_EXECUTABLE_PATH,
    say: (line) => console.log(`  ${line}`),
    onExit: (name, how) => {
      console.error(`${name} ended unexpectedly (${how}).`)
      void end(1)
    },
  })
  const accounts = await playDemo({ url: sandbox.url, operatorKey: sandbox.operatorKey }, (line) =>
    console.log(`  ${line}`),
  )
  const rows = await collect(accounts)
  const right = report(rows, await violations(sandbox.databaseUrl))
  await end(right ? 0 : 1)
} catch (error) {
  console.error(explain(error))
  await end(1)
}

/** Fetches each partner's invoice and PDF as the partner would. */
async function collect(accounts: readonly StoryAccount[]): Promise<Row[]> {
  await rm(OUT, { recursive: true, force: true })
  await mkdir(OUT, { recursive: true })
  const rows: Row[] = []
  for (const { partner, client } of accounts) {
    const { data } = await client.get('/v1/invoices')
    if (data.length !== 1) throw new Error(`${partner.name} has ${data.length} invoices, not one`)
    const [invoice] = data
    const file = `${invoice.number}.pdf`
    await writeFile(join(OUT, file), await client.bytes(`/v1/invoices/${invoice.id}/pdf`))
    const days = invoice.lines.reduce((sum: number, line: { quantity: number }) => sum + line.quantity, 0)
    const { byHand } = partner
    rows.push({
      name: partner.name,
      timezone: partner.timezone,
      number: invoice.number,
      days,
      total: invoice.total.amount,
      status: invoice.status,
      file: join('demo', file),
      sum: byHand.sum,
      agrees: days === byHand.days && invoice.total.amount === byHand.total && invoice.status === 'paid',
    })
  }
  return rows
}

async function violations(url: string) {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  try {
    return await findViolations(pool)
  } finally {
    await pool.end()
  }
}

function report(rows: readonly Row[], broken: Awaited<ReturnType<typeof findViolations>>): boolean {
  console.log()
  table(
    ['Partner', 'Time zone', 'Invoice', 'Days', 'Total', 'Status', 'PDF', 'By hand'],
    rows.map((row) => [
      row.name,
      row.timezone,
      row.number,
      String(row.days),
      formatMoney(BigInt(row.total), 'usd'),
      row.status,
      row.file,
      row.agrees ? 'agrees' : 'DIFFERS',
    ]),
  )
  console.log()
  for (const row of rows) console.log(`  ${row.name}: ${row.sum}`)
  console.log()
  for (const { invariant, rows: count } of broken) console.log(`  BROKEN  ${invariant} (${count})`)
  const right = broken.length === 0 && rows.every((row) => row.agrees)
  console.log(
    right
      ? `All ${INVARIANTS.length} invariants hold; every invoice agrees with the sum done by hand.`
      : 'Something is wrong.',
  )
  return right
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const numeric = new Set([3, 4])
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (numeric.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  console.log(`  ${line(head)}`)
  console.log(`  ${widths.map((width) => '─'.repeat(width)).join('  ')}`)
  for (const row of rows) console.log(`  ${line(row)}`)
}
