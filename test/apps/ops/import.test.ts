// npm run ops -- import as an operator runs it: a real process, a folder of files, and a server that is a fake.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FILES } from '../../../apps/ops/columns.ts'
import { showProgress } from '../../../apps/ops/progress.ts'
import { waitUntil } from '../../support/wait.ts'
import { fakeServer, type FakeServer, KEY, problem, type Sent, view } from './fake-server.ts'

const ROOT = join(import.meta.dirname, '../../..')
const [ACCOUNTS, PRICES, EVENTS] = FILES.map(({ required }) => required.join(',')) as [string, string, string]
const EVENT = '2026-01-01T00:00:00Z,p001,L1,issue,backup,,,'
const events = (rows: number): string => `${EVENTS}\n${`${EVENT}\n`.repeat(rows)}`

let server: FakeServer
let folder: string
beforeEach(async () => {
  server = await fakeServer()
  folder = await mkdtemp(join(tmpdir(), 'perdiem-ops-'))
})
afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const files = async (contents: Record<string, string | Buffer>): Promise<void> => {
  for (const [name, content] of Object.entries(contents)) await writeFile(join(folder, name), content)
}

function start(words: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', './apps/node-version.mjs', 'apps/ops/main.ts', ...words], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], PERDIEM_URL: server.url, PERDIEM_API_KEY: KEY, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => {
    expect(said.out + said.err).not.toMatch(/^ +at /m)
    expect(said.out + said.err).not.toContain(KEY)
    return { code: code as number | null, ...said }
  })
  return { child, ended }
}

const ops = (...words: string[]) => start(words).ended
const importing = (env?: Record<string, string>) => start(['import', folder, '--bill-from', '2026-01'], env)
const applied = (): boolean => server.calls.some((call) => call.endsWith('/apply'))

describe('an import', () => {
  it('sends every row under its line, accounts before prices before events, and exits 0', async () => {
    await files({
      'events.csv': `\uFEFF${EVENTS}\r\n${EVENT}"a\r\nb"\r\n${EVENT}\r\n`,
      'accounts.csv': `${ACCOUNTS}\n${'x,'.repeat(13)}DE\n`,
      'prices.csv': `${PRICES}\n1,2,3,4,5,6,7,\n`,
      'expected-2026-01.csv': 'not ours',
    })
    server.views = [
      view('applying', { total: 3, done: 1 }),
      view('applying', { total: 3, done: 1, unchanged: 1 }),
      view('done', { total: 3, done: 2, unchanged: 1 }),
    ]
    const { code, out, err } = await importing().ended
    expect(out).toBe('Import imp_1 is done.\nAccounts: 2 imported, 1 unchanged, 0 refused.\nNo row failed.\n')
    expect(code).toBe(0)
    expect(err).toContain('Found accounts.csv, prices.csv, events.csv in ')
    expect(err).toMatch(/^Reading: 4 rows, [\d,]+ rows\/s$/m)
    expect(err).toMatch(/^Sending: 4 rows, [\d,]+ rows\/s$/m)
    expect(err).toMatch(/^Applying: 3 of 3 accounts$/m)
    const event = EVENT.split(',').slice(0, -1)
    expect(server.sent).toEqual<Sent[]>([
      { file: 'accounts.csv', columns: ACCOUNTS.split(','), rows: [[2, ...Array<string>(13).fill('x'), 'DE']] },
      { file: 'prices.csv', columns: PRICES.split(','), rows: [[2, '1', '2', '3', '4', '5', '6', '7', '']] },
      {
        file: 'events.csv',
        columns: EVENTS.split(','),
        rows: [
          [2, ...event, 'a\r\nb'],
          [4, ...event, ''],
        ],
      },
    ])
    const looks = server.calls.filter((call) => call.startsWith('GET'))
    expect(server.calls[0]).toBe('POST /v1/admin/imports')
    expect(looks).toEqual([
      ...Array<string>(3).fill('GET /v1/admin/imports/imp_1'),
      expect.stringContaining('limit=100'),
    ])
  })

  it('sends many rows in batches of 5,000, two at a time, and once where the way is bad', async () => {
    await files({ 'events.csv': events(23_456) })
    const rows = 'POST /v1/admin/imports/imp_1/rows'
    server.instead.push([rows, 'cut'], [rows, problem(429, 'slow', '', { 'Retry-After': '0' })])
    server.instead.push([rows, problem(503, 'unavailable')])
    server.before = (call) => (call === rows ? waitUntil('two are there', () => server.together === 2) : undefined)
    const { code, err } = await importing().ended
    expect(code).toBe(0)
    expect(err).toContain('without accounts.csv and prices.csv.')
    expect(err).toMatch(/^Sending: 40 %, 10,000 rows, /m)
    const lines = server.sent.flatMap((one) => one.rows.map(([line]) => line)).sort((a, b) => a - b)
    expect(lines).toEqual(Array.from({ length: 23_456 }, (_, index) => index + 2))
    expect(Math.max(...server.sent.map((one) => one.rows.length))).toBe(5000)
    expect(server.together).toBe(2)
  })

  it('keeps every batch below 4 MB, whatever its cells take as JSON', async () => {
    const worst = '\x01'.repeat(10_000)
    await files({ 'events.csv': `${EVENTS}\n${`${EVENT.slice(0, -3)},${worst},${worst},${worst}\n`.repeat(50)}` })
    expect((await importing().ended).code).toBe(0)
    expect(server.sent.flatMap((one) => one.rows)).toHaveLength(50)
    expect(server.largest).toBeGreaterThan(3_000_000)
    expect(server.largest).toBeLessThan(4_000_000)
  })

  it('tells every row that failed, up to 1,000, and exits 1', async () => {
    await files({ 'events.csv': events(1) })
    const failure = {
      file: 'events.csv',
      line: 17,
      account: 'p003',
      field: 'product',
      message: 'is not a known product',
    }
    const others = Array.from({ length: 1204 }, (_, n) => ({ ...failure, line: n, account: null, field: '' }))
    server.failures = [failure, { ...failure, account: 'p\x1b[31m' }, ...others]
    server.views = [view('done', { total: 3, done: 1, refused: 2 }, 1206)]
    const { code, out } = await importing().ended
    const lines = out.trimEnd().split('\n')
    expect(code).toBe(1)
    expect(lines.slice(0, 6)).toEqual([
      'Import imp_1 is done.',
      'Accounts: 1 imported, 0 unchanged, 2 refused.',
      '1,206 rows failed:',
      'events.csv line 17, account p003: product is not a known product',
      'events.csv line 17, account p\\u001b[31m: product is not a known product',
      'events.csv line 0: is not a known product',
    ])
    expect(lines).toHaveLength(3 + 1000 + 1)
    expect(lines.at(-1)).toBe('… and 206 more: GET /v1/admin/imports/imp_1/failures')
  })

  it('that is refused as a whole exits 1', async () => {
    await files({ 'events.csv': events(1) })
    server.views = [view('refused')]
    const { code, out } = await importing().ended
    expect(out).toContain('Import imp_1 was refused.')
    expect(code).toBe(1)
  })
})

describe('a broken file', () => {
  it('stops everything before the server hears of it, and every broken file is named', async () => {
    await files({ 'accounts.csv': 'account\n', 'events.csv': `${events(9000)}"${EVENT}`, 'prices.csv': `${PRICES}\n` })
    const { code, err } = await importing().ended
    expect(code).toBe(1)
    expect(err).toContain('accounts.csv line 1: the column name is missing.')
    expect(err).toContain('events.csv line 9002, column at: the quote that opens the cell is never closed.')
    expect(err).toContain('Nothing was sent.')
    expect(server.calls).toEqual([])
  })

  it('is one that changes after it was read, too: nothing is applied', async () => {
    await files({ 'events.csv': events(2) })
    server.before = (call) => (call.endsWith('imports') ? files({ 'events.csv': events(1) }) : undefined)
    const { code, err } = await importing().ended
    expect(code).toBe(1)
    expect(err).toContain('The files have changed since they were read: 2 rows then, 1 now.\nNothing was applied')
    expect(applied()).toBe(false)
  })

  it('is a folder in a file’s place', async () => {
    await mkdir(join(folder, 'events.csv'))
    expect(await importing().ended).toMatchObject({ code: 1, err: 'events.csv is not a file.\n' })
  })
})

describe('applying', () => {
  beforeEach(() => files({ 'events.csv': events(1) }))

  it('is told to wait while another import is applied', async () => {
    server.instead.push(['POST /v1/admin/imports/imp_1/apply', problem(409, 'import_busy')])
    server.views = [view('receiving')]
    const { code, err } = await importing().ended
    expect(code).toBe(1)
    expect(err).toContain('Another import is being applied, and only one can be at a time.')
    expect(err).not.toContain('goes on')
  })

  it('goes on where the server had begun and only its answer was lost', async () => {
    const apply = 'POST /v1/admin/imports/imp_1/apply'
    server.instead.push([apply, 'cut'], [apply, problem(409, 'import_busy')])
    server.views = [view('applying', { total: 1 }), view('done', { total: 1, done: 1 })]
    expect(await importing().ended).toMatchObject({ code: 0, out: expect.stringContaining('imp_1 is done') })
  })

  it('goes on at the server after Ctrl-C, which says how to look', async () => {
    server.views = [view('applying', { total: 9, done: 3 })]
    const { child, ended } = importing()
    const looks = (): number => server.calls.filter((call) => call === 'GET /v1/admin/imports/imp_1').length
    await waitUntil('it has looked twice', () => looks() >= 2)
    child.kill('SIGINT')
    const { code, err } = await ended
    expect(code).toBe(130)
    expect(err).toContain('The server goes on applying imp_1 by itself.')
    expect(err).toContain(`${server.url}/v1/admin/imports/imp_1`)
  })

  it('is not begun after Ctrl-C while rows are sent', async () => {
    const { child, ended } = importing()
    server.before = (call) => {
      if (!call.endsWith('/rows')) return
      child.kill('SIGINT')
      return once(child, 'close').then(() => undefined)
    }
    expect(await ended).toMatchObject({ code: 130, err: expect.stringContaining('Stopped. Nothing was applied.') })
    expect(applied()).toBe(false)
  })

  it('says that the server goes on where looking fails', async () => {
    server.instead.push(['GET /v1/admin/imports/imp_1', problem(500, 'internal_error', 'It was us.')])
    const { code, err } = await importing().ended
    expect(code).toBe(1)
    expect(err).toContain('It was us. (500)\nThe server goes on applying imp_1 by itself.')
  })
})

describe('the command', () => {
  it.each<[string, string[], string]>([
    ['no command', [], 'A command is missing.'],
    ['another command', ['export', 'x'], 'There is no command export.'],
    ['no folder', ['import', '--bill-from', '2026-01'], 'FOLDER is missing.'],
    ['two folders', ['import', 'a', 'b', '--bill-from', '2026-01'], 'There is one FOLDER'],
    ['no month', ['import', 'a'], '--bill-from is missing.'],
    ['a 13th month', ['import', 'a', '--bill-from', '2026-13'], '--bill-from must be a month such as 2026-01'],
    ['a day', ['import', 'a', '--bill-from', '2026-01-01'], '--bill-from must be a month such as 2026-01'],
    ['an unknown option', ['import', 'a', '--bill-form', '2026-01'], '--bill-form'],
  ])('called with %s tells its usage and exits 2', async (_, words, sentence) => {
    const { code, out, err } = await ops(...words)
    expect(code).toBe(2)
    expect(out).toBe('')
    expect(err).toContain(sentence)
    expect(err).toContain('Usage: npm run ops -- import FOLDER --bill-from YYYY-MM')
  })

  it('tells its usage when asked', async () => {
    expect(await ops('--help')).toMatchObject({ code: 0, out: expect.stringContaining('Usage: '), err: '' })
  })

  it('exits 2 where the folder is none or holds none of the files', async () => {
    const none = await ops('import', join(folder, 'none'), '--bill-from', '2026-01')
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('is not a folder that can be read.') })
    const empty = await importing().ended
    expect(empty).toMatchObject({ code: 2, err: expect.stringContaining('holds none of accounts.csv, prices.csv') })
  })

  it('names what its environment lacks', async () => {
    const { code, err } = await importing({ PERDIEM_API_KEY: '', PERDIEM_URL: 'ftp://x' }).ended
    expect(code).toBe(1)
    expect(err).toContain('PERDIEM_API_KEY: is not set')
    expect(err).toContain('PERDIEM_URL: ')
    const withPassword = await importing({ PERDIEM_URL: 'http://u:secret@x' }).ended
    expect(withPassword.err).toContain('PERDIEM_URL: must bear no user name and no password')
    expect(withPassword.err).not.toContain('secret')
  })

  it('says in a sentence that the server is not there or does not know the key', async () => {
    await files({ 'events.csv': events(1) })
    const other = await importing({ PERDIEM_API_KEY: 'another' }).ended
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('does not know this PERDIEM_API_KEY (401)') })
    const { url } = server
    await server.close()
    const none = await importing({ PERDIEM_URL: url }).ended
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining(`Perdiem cannot be reached at ${url}`) })
    server = await fakeServer()
  })

  it('is a script of the package', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: { ops: string } }
    expect(scripts.ops).toBe('node --import ./apps/node-version.mjs apps/ops/main.ts')
  })
})

describe('progress on a terminal', () => {
  it('is one line that is drawn anew and never wraps', () => {
    const written: string[] = []
    const progress = showProgress({ isTTY: true, columns: 60, write: (text) => written.push(text) })
    progress.begin('Sending')
    progress.advance(0.5, () => '1,000 rows, 500 rows/s, and more than there is room for on the line')
    progress.end('2,000 rows')
    const drawn = written.find((text) => text.includes('█'))!
    expect(drawn).toMatch(/^Sending {2}█{12}░{12} {2}50 % {2}1,000 rows/)
    expect(drawn).toHaveLength(59)
    expect(written.filter((text) => text.includes('\n'))).toEqual(['Sending: 2,000 rows\n'])
  })
})
