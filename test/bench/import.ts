// A history taken in through a running sandbox, from the command to its end, beside COPY of the same rows.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startSandbox, type Sandbox } from '../../apps/sandbox/sandbox.ts'
import { deleteHome } from '../../apps/sandbox/postgres-place.ts'
import { writeHistory } from './history.ts'
import { connect, type Lab } from './lab.ts'
import { alternate, say, timed } from './measure.ts'
import { rateRow, type Row } from './report.ts'
import type { Shapes } from './shape.ts'

/** All events lie before it, and one day after it has ended: hardly anything is to be counted. */
const BILL_FROM = '2026-01'
const NOW = '2026-01-02T12:00:00Z'

/** Neither temporary nor unlogged: as durable as what it stands beside. */
const TABLE = `
  CREATE TABLE bare (at timestamptz(3) NOT NULL, account text NOT NULL, license text NOT NULL, event text NOT NULL,
    product text, site_url text, site_external_id text, client text)`

async function copy(lab: Lab, folder: string): Promise<number> {
  const client = await connect(lab.superuserUrl)
  try {
    await client.query(TABLE)
    return await timed(() => client.query(`COPY bare FROM '${join(folder, 'events.csv')}' WITH (FORMAT csv, HEADER)`))
  } finally {
    await client.query('DROP TABLE IF EXISTS bare')
    await client.end()
  }
}

async function runImport(sandbox: Sandbox, folder: string): Promise<void> {
  const child = spawn(process.execPath, ['apps/ops/main.ts', 'import', folder, '--bill-from', BILL_FROM], {
    env: { ...process.env, PERDIEM_URL: sandbox.url, PERDIEM_API_KEY: sandbox.operatorKey },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let told = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (told += text))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`the import ended with ${code}: ${told.slice(-2_000)}`)
}

async function inNewSandbox<T>(home: string, work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  let broken = ''
  const sandbox = await startSandbox({
    home,
    port: 0,
    now: NOW,
    logLevel: 'warn',
    say: () => undefined,
    onExit: (name, how) => (broken = `${name} ended (${how})`),
  })
  try {
    return await work(sandbox)
  } finally {
    await sandbox.stop()
    deleteHome(home)
    if (broken !== '') say(broken)
  }
}

export async function measureImport(lab: Lab, shapes: Shapes, times: number): Promise<Row[]> {
  const rows: Row[] = []
  for (const [events, accounts] of [
    [shapes.events, shapes.importedAccounts],
    [shapes.loneEvents, 1],
  ] as const) {
    const what = `import, ${events.toLocaleString('en')} events of ${accounts.toLocaleString('en')} accounts`
    const folder = await writeHistory(join(lab.home, 'history'), events, accounts)
    const paired = await alternate({
      what,
      times,
      reset: async () => undefined,
      floor: () => copy(lab, folder),
      ours: () => inNewSandbox(join(lab.home, 'sandbox'), (sandbox) => timed(() => runImport(sandbox, folder))),
    })
    await rm(folder, { recursive: true })
    rows.push(rateRow(what, events, paired))
  }
  return rows
}
