// The reading of an import's files: what is taken as it is, and where each broken file is said to be broken.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FILES } from '../../../apps/ops/columns.ts'
import { readRows, type Row } from '../../../apps/ops/csv.ts'
import { Failure } from '../../../apps/ops/failure.ts'

const EVENTS = FILES.find(({ name }) => name === 'events.csv')!
const HEADER = EVENTS.required.join(',')
const WELL = '2026-01-01T00:00:00Z,p001,L1,issue,backup,,,'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perdiem-csv-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function read(content: string | Buffer, file = EVENTS): Promise<{ columns: readonly string[]; rows: Row[] }> {
  const path = join(folder, file.name)
  await writeFile(path, content)
  const rows: Row[] = []
  let columns: readonly string[] = []
  for await (const some of readRows(path, file)) {
    rows.push(...some.rows)
    columns = some.columns
  }
  return { columns, rows }
}

async function refusal(content: string | Buffer, file = EVENTS): Promise<string> {
  const error = await read(content, file).then(
    () => expect.fail('the file was taken'),
    (one: unknown) => one,
  )
  expect(error).toBeInstanceOf(Failure)
  return (error as Failure).message
}

const lines = (...some: string[]): string => [HEADER, ...some, ''].join('\n')
/** A row whose client is this, as it stands in the file. */
const client = (cell: string): string => `2026-01-01T00:00:00Z,p001,L1,issue,backup,,,${cell}`
const linesOf = async (content: string | Buffer): Promise<number[]> => (await read(content)).rows.map(([line]) => line)
const clients = async (content: string | Buffer): Promise<unknown[]> => (await read(content)).rows.map((row) => row[8])

describe('a file that is well', () => {
  it('gives its columns, and rows under the lines they begin on', async () => {
    expect(await read(lines(WELL, WELL))).toEqual({
      columns: EVENTS.required,
      rows: [2, 3].map((line) => [line, ...WELL.split(',')]),
    })
  })

  it.each<[string, string | Buffer]>([
    ['CRLF', lines(WELL, WELL).replaceAll('\n', '\r\n')],
    ['CRLF and LF mixed', `${HEADER}\r\n${WELL}\n${WELL}\r\n`],
    ['a byte order mark', `\uFEFF${lines(WELL, WELL)}`],
    ['a byte order mark and CRLF', `\uFEFF${lines(WELL, WELL).replaceAll('\n', '\r\n')}`],
    ['no end of its last line', `${HEADER}\n${WELL}\n${WELL}`],
    ['empty lines at its end', `${lines(WELL, WELL)}\n\n\r\n`],
    ['quotes around every cell', lines(WELL, WELL).replace(/[^,\n]+/g, '"$&"')],
  ])('may have %s', async (_, content) => {
    const { columns, rows } = await read(content)
    expect(columns).toEqual(EVENTS.required)
    expect(rows).toEqual([2, 3].map((line) => [line, ...WELL.split(',')]))
  })

  it('may have its columns in any order', async () => {
    const turned = [...EVENTS.required].reverse()
    expect(await read(`${turned.join(',')}\n${'1,2,3,4,5,6,7,8'}\n`)).toEqual({
      columns: turned,
      rows: [[2, '1', '2', '3', '4', '5', '6', '7', '8']],
    })
  })

  it('may have no rows, and accounts with or without what is optional', async () => {
    expect((await read(`${HEADER}\n`)).rows).toEqual([])
    const accounts = FILES[0]!
    for (const columns of [accounts.required, [...accounts.optional, ...accounts.required]]) {
      expect((await read(columns.join(','), accounts)).columns).toEqual(columns)
    }
  })

  it('keeps commas, quotes and lines within quotes, and counts lines right after them', async () => {
    const content = lines(client('"a, ""b"""'), client('"one\ntwo\n\nfour"'), client('x'), client('"\r\n"'), WELL)
    expect(await clients(content)).toEqual(['a, "b"', 'one\ntwo\n\nfour', 'x', '\r\n', ''])
    expect(await linesOf(content)).toEqual([2, 3, 7, 8, 10])
  })

  it('keeps letters that end in another piece of the file than they begin in', async () => {
    const rows = Array.from({ length: 12_000 }, (_, n) => client(`${'x'.repeat(n % 7)}Zoë 日本 🌲`))
    expect(await clients(lines(...rows))).toEqual(rows.map((row) => row.split(',')[7]))
  })

  it('may hold the sign for a letter that was lost, and a cell of 10,000 characters', async () => {
    expect(await clients(lines(client('\uFFFD'), client('日'.repeat(10_000))))).toEqual(['\uFFFD', '日'.repeat(10_000)])
  })

  it('gives back whatever cells it was made of, each row under its line', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'ß', '🌲', '"', ',', '\n', '\r\n', ' ', ';') })
    const row = fc.array(cell, { minLength: 8, maxLength: 8 })
    const quote = (one: string): string => (/[",\n\r]/.test(one) ? `"${one.replaceAll('"', '""')}"` : one)
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 6 }), fc.constantFrom('\n', '\r\n'), async (rows, end) => {
        const texts = rows.map((cells) => cells.map(quote).join(',') + end)
        let line = 2
        const expected = rows.map((cells, index) => {
          const at = line
          line += texts[index]!.split('\n').length - 1
          return [at, ...cells]
        })
        expect((await read(HEADER + end + texts.join(''))).rows).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })
})

describe('a file that is broken is refused with its line and column', () => {
  const bytes = (before: string, bad: number[], after = '\n'): Buffer =>
    Buffer.concat([Buffer.from(before), Buffer.from(bad), Buffer.from(after)])
  const shiftedCells = WELL.replace(',backup', '')

  it.each<[string, string | Buffer, string]>([
    ['text after a closing quote', lines(WELL, client('"a"b')), 'line 3, column client: after the quote that closes'],
    ['a quote within a cell', lines(client('a"b"')), 'line 2, column client: a quote stands within a cell'],
    ['a quote never closed', lines(WELL, client('"a'), WELL), 'line 3, column client: the quote that opens the cell'],
    ['a quote closed by another much later', lines('"a', client('"b"')), 'line 2, column at: after the quote'],
    ['too few cells', lines(WELL, shiftedCells), 'line 3: the row has too few cells, 7 for 8 columns.'],
    ['too many cells', lines(`${WELL},`), 'line 2: the row has too many cells, 9 for 8 columns.'],
    ['too few cells after cells of many lines', lines(client('"1\r\n2"'), 'x'), 'line 4: the row has too few'],
    ['an empty line between rows', lines(WELL, '', WELL), 'line 3 is empty; only lines at the end may be.'],
    ['a zero byte', lines(WELL, client('a\0b')), 'line 3, column client: the cell holds a zero byte'],
    ['a zero byte after a quote', lines(client('"a"\0')), 'line 2, column client: the cell holds a zero byte'],
    ['Latin-1', bytes(lines(WELL) + client('Zo'), [0xeb]), 'line 3, column client: the cell is not UTF-8 text.'],
    [
      'a letter cut off at the end',
      bytes(lines(WELL) + client(''), [0xe6, 0x97], ''),
      'line 3, column client: the cell',
    ],
    ['half a surrogate', bytes(lines() + client(''), [0xed, 0xa0, 0x80]), 'line 2, column client: the cell is not'],
    ['bytes of no text in its first line', bytes('at,acc', [0xff]), 'line 1, column number 2: the cell is not UTF-8'],
    [
      'a cell of 10,001 characters',
      lines(client('x'.repeat(10_001))),
      'line 2, column client: the cell is larger than',
    ],
    ['a cell of 10 MB', lines(WELL, client('x'.repeat(1e7))), 'line 3, column client: the cell is larger than 10,000'],
    ['a quote never closed in 10 MB', lines('"', `${WELL}\n`.repeat(2e5)), 'line 2, column at: the cell is larger'],
    ['a line of commas only', lines(','.repeat(3e6)), 'line 2: the row is too large to be one.'],
    ['nothing in it', '', ' is empty; its first line must name the columns.'],
    ['a mark only', '\uFEFF', ' is empty; its first line must name the columns.'],
    ['an empty first line', `\n${lines(WELL)}`, 'line 1 is empty; it must name the columns.'],
    ['UTF-16, little end first', Buffer.from(`\uFEFF${lines(WELL)}`, 'utf16le'), ' is UTF-16 text. Save it as UTF-8'],
    ['UTF-16, big end first', Buffer.from(`\uFEFF${lines(WELL)}`, 'utf16le').swap16(), ' is UTF-16 text.'],
    ['UTF-16 without its mark', Buffer.from(lines(WELL), 'utf16le'), ' is UTF-16 text.'],
    ['a spreadsheet', bytes('PK\x03\x04', [0x14, 0, 8, 0x80]), 'line 1, column number 1: the cell holds a zero byte'],
    [
      'semicolons',
      HEADER.replaceAll(',', ';'),
      'line 1: its cells are separated by semicolons; they must be by commas',
    ],
    ['lines that end in CR', lines(WELL).replaceAll('\n', '\r'), 'line 1: its lines end as on old Macs.'],
    [
      'a column missing',
      'at,account,license,event,product,site_url,client',
      'line 1: the column site_external_id is missing',
    ],
    ['a column unknown', `${HEADER},colour`, 'line 1: the column colour is not known.\nThe columns of events'],
    ['a column without a name', `${HEADER},`, 'line 1: the column number 9 (without a name) is not known.'],
    ['a column twice', `${HEADER},at`, 'line 1: the column at is there twice.'],
    [
      'a column in quotes that move a cursor',
      `${HEADER},"\x1b[2J\n"`,
      'line 1: the column \\u001b[2J\\n is not known.',
    ],
  ])('%s', async (_, content, where) => {
    const message = await refusal(content)
    expect(message).toContain(`events.csv${where.startsWith(' ') ? '' : ' '}${where}`)
    expect(message).not.toMatch(/[\x00-\x09\x0b-\x1f]/)
    expect(message.length).toBeLessThan(1000)
  })

  it('with every column that is wrong at once', async () => {
    const message = await refusal('at,at,colour,account,license,event,product,site_url')
    expect(message.split('\n')).toEqual([
      'events.csv line 1: the column at is there twice.',
      'events.csv line 1: the column colour is not known.',
      'events.csv line 1: the column site_external_id is missing.',
      'events.csv line 1: the column client is missing.',
      `The columns of events.csv are ${EVENTS.required.join(', ')}.`,
    ])
  })

  it('where prices bear a column they could elsewhere', async () => {
    const prices = FILES[1]!
    const message = await refusal(`${prices.required.join(',')},ends_on\n`, prices)
    expect(message).toContain('prices.csv line 1: the column ends_on is not known.')
  })
})
