// A vendor's files become licenses and invoices by the command an operator runs: a real process, a real folder, the
// real API.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { csvText, filesOf, type Files } from '../support/history-files.ts'
import { makeHistory } from '../support/history.ts'
import { expectedLives, expectedSites, foundLives, foundSites, recount } from '../support/import-facts.ts'
import { snapshot } from '../support/ledger.ts'
import { waitUntil } from '../support/wait.ts'
import { createWorld, type World } from '../support/world.ts'

const ROOT = join(import.meta.dirname, '../..')
const history = makeHistory({ seed: 7, from: '2026-02-20T00:00:00Z', until: '2026-05-01T20:00:00Z', licenses: 30 })

describe('npm run ops -- import FOLDER --bill-from 2026-04', () => {
  let world: World
  let folder: string
  beforeAll(async () => {
    world = await createWorld('2026-05-09T12:00:00Z')
    folder = await mkdtemp(join(tmpdir(), 'perdiem-import-'))
  })
  afterAll(async () => {
    await world.close()
    await rm(folder, { recursive: true })
  })

  /** Runs the command on files, a worker at work beside it. */
  async function importFiles(files: Files): Promise<{ code: number | null; out: string; err: string }> {
    for (const [name, table] of Object.entries(files)) await writeFile(join(folder, name), csvText(table))
    const words = [
      '--import',
      './apps/node-version.mjs',
      'apps/ops/main.ts',
      'import',
      folder,
      '--bill-from',
      '2026-04',
    ]
    const child = spawn(process.execPath, words, {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], PERDIEM_URL: world.url, PERDIEM_API_KEY: world.operatorKey },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said = { out: '', err: '' }
    child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
    const closed = once(child, 'close')
    await waitUntil('the command has ended', async () => {
      await world.drain()
      return child.exitCode !== null
    })
    const [code] = (await closed) as [number | null]
    return { code, ...said }
  }

  it('takes the files whole, quotes, commas and umlauts too', async () => {
    const { code, out, err } = await importFiles(filesOf(history))
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(
        /^Import imp_\w+ is done\.\nAccounts: 6 imported, 0 unchanged, 0 refused\.\nNo row failed\.\n$/,
      ),
    ])
    expect(err).toContain('Found accounts.csv, prices.csv, events.csv in ')
    expect(await foundLives(world)).toEqual(expectedLives(history))
    expect(await foundSites(world)).toEqual(expectedSites(history))
    const rows = await world.db.prisma.$queryRaw<{ name: string; company: string }[]>`
      SELECT name, company ->> 'name' AS company FROM accounts ORDER BY external_id`
    expect(rows).toEqual(history.accounts.map(({ name }) => ({ name, company: name })))
  })

  it('the months that have ended are billed at once, as a plain count of the events says', async () => {
    await world.tick()
    expect(await recount(world, history, ['2026-04'])).toEqual([])
  })

  it('a second time it says that all is unchanged, and so it is', async () => {
    const licenses = (await snapshot(world)).licenses
    const { code, out } = await importFiles(filesOf(history))
    expect(code).toBe(0)
    expect(out).toContain('Accounts: 0 imported, 6 unchanged, 0 refused.')
    expect((await snapshot(world)).licenses).toEqual(licenses)
  })

  it('exits 1 and names line and field of a row that cannot be taken', async () => {
    const files = filesOf(history)
    const events = files['events.csv']!
    const row = ['2026-02-30T00:00:00Z', 'p1', 'L900', 'issue', 'backup', '', '', '']
    const { code, out } = await importFiles({ ...files, 'events.csv': { ...events, rows: [...events.rows, row] } })
    expect(code).toBe(1)
    expect(out).toContain('Accounts: 0 imported, 5 unchanged, 1 refused.\n1 row failed:\n')
    expect(out).toContain(`events.csv line ${events.rows.length + 2}, account p1: at must be an instant such as`)
  })
})
