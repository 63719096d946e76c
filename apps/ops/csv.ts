// Reads one CSV file as a stream and holds its structure: whole records, UTF-8, cells of a bearable size. The line of
// a record is counted here, because the parser counts a CRLF within quotes twice.
import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { TextDecoder } from 'node:util'
import { CsvError, Parser } from 'csv-parse'
import { checkHeader, type CsvFile } from './columns.ts'
import { excerpt, Failure } from './failure.ts'

/** The line on which the record begins, then its cells. */
export type Row = [number, ...string[]]

export interface RowsRead {
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
  /** How much of the file has been read. */
  readonly bytes: number
}

export const CELL_MAX = 10_000
/** Above any record whose cells are not too large, whatever their letters take: past it, no end of it is waited for. */
const RECORD_MAX = 1_000_000
const CHUNK = 256 * 1024
const BOM = Buffer.from('\uFEFF')

/** Reads a file, some rows at a time. @throws Failure naming the file, the line and where known the column */
export async function* readRows(path: string, file: CsvFile): AsyncGenerator<RowsRead> {
  const records = new Records(file, 'utf8')
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  let bytes = 0
  for await (const chunk of chunksOf(path, file)) {
    // The rare bad byte is looked for from the start, cell by cell, rather than in each cell of every file.
    if (chunk.includes(0) || !decodes(utf8, chunk)) throw await badByte(path, file)
    await records.feed(bytes === 0 ? withoutBom(chunk) : chunk)
    bytes += chunk.length
    yield { columns: records.columns, rows: records.take(), bytes }
  }
  if (!decodes(utf8)) throw await badByte(path, file)
  await records.end()
  yield { columns: records.columns, rows: records.take(), bytes }
}

async function* chunksOf(path: string, file: CsvFile): AsyncGenerator<Buffer> {
  let first = true
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK }) as AsyncIterable<Buffer>) {
      if (first) refuseUtf16(chunk, file)
      first = false
      yield chunk
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (error instanceof Failure || code === undefined) throw error
    throw new Failure(`${file.name} cannot be read (${code}).`)
  }
}

const withoutBom = (chunk: Buffer): Buffer =>
  chunk.subarray(0, BOM.length).equals(BOM) ? chunk.subarray(BOM.length) : chunk

/** Told by its mark, or by the zero byte that half of a Latin letter is. */
function refuseUtf16(chunk: Buffer, file: CsvFile): void {
  const mark = chunk.subarray(0, 2).toString('hex')
  if (mark !== 'fffe' && mark !== 'feff' && !(chunk.length > 1 && (chunk[0] === 0) !== (chunk[1] === 0))) return
  throw new Failure(
    `${file.name} is UTF-16 text. Save it as UTF-8 ("CSV UTF-8" in spreadsheet programs), then run this again.`,
  )
}

function decodes(utf8: TextDecoder, chunk?: Buffer): boolean {
  try {
    if (chunk) utf8.decode(chunk, { stream: true })
    else utf8.decode()
    return true
  } catch {
    return false
  }
}

/** Where the bytes are that are no text: the file read once more, each byte a letter. */
async function badByte(path: string, file: CsvFile): Promise<unknown> {
  const records = new Records(file, 'latin1')
  let first = true
  try {
    for await (const chunk of chunksOf(path, file)) {
      await records.feed(first ? withoutBom(chunk) : chunk)
      records.take()
      first = false
    }
    await records.end()
  } catch (error) {
    return error
  }
  return new Failure(`${file.name} holds bytes that are not UTF-8 text.`)
}

/** The records of one file as its bytes come in. */
class Records {
  readonly #file: CsvFile
  readonly #parser: Parser
  readonly #latin1: boolean
  #header: string[] | null = null
  #line = 1
  #emptyAt: number | null = null
  #rows: Row[] = []
  /** Bytes given since a record was last seen to end. */
  #pending = 0
  #ended = 0

  constructor(file: CsvFile, encoding: 'utf8' | 'latin1') {
    this.#file = file
    this.#latin1 = encoding === 'latin1'
    this.#parser = new Parser({
      encoding,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      max_record_size: RECORD_MAX,
      // Nothing is handed on: rows are taken from here, which spares the stream an object a row.
      on_record: (record: string[]) => {
        this.#record(this.#latin1 ? record.map((cell, index) => this.#decode(cell, index)) : record)
        return null
      },
    })
    // Each failure is answered where it is written; the event would only end the process.
    this.#parser.on('error', () => undefined)
  }

  get columns(): readonly string[] {
    return this.#header ?? []
  }

  take(): Row[] {
    const rows = this.#rows
    this.#rows = []
    return rows
  }

  /** @throws Failure */
  async feed(chunk: Buffer): Promise<void> {
    await this.#settled((done) => this.#parser.write(chunk, done))
    const { records } = this.#parser.info
    this.#pending = records > this.#ended ? 0 : this.#pending + chunk.length
    this.#ended = records
    if (this.#pending > RECORD_MAX) throw this.#failure('the row is too large to be one. Is a quote never closed?')
  }

  /** @throws Failure */
  async end(): Promise<void> {
    await this.#settled((done) => this.#parser.end(done))
    if (this.#header === null) throw new Failure(`${this.#file.name} is empty; its first line must name the columns.`)
  }

  async #settled(write: (done: (error?: Error | null) => void) => void): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => write((error) => (error ? reject(error) : resolve())))
    } catch (error) {
      throw error instanceof CsvError ? this.#explain(error) : error
    }
  }

  #record(record: string[]): void {
    const at = this.#line
    let lines = 1
    for (let index = 0; index < record.length; index += 1) {
      const cell = record[index]!
      if (cell.length > CELL_MAX) throw this.#failure(TOO_LARGE, index)
      for (let end = cell.indexOf('\n'); end >= 0; end = cell.indexOf('\n', end + 1)) lines += 1
    }
    if (this.#header === null) {
      checkHeader(this.#file, record)
      this.#header = record
    } else if (record.length === 1 && record[0] === '') this.#emptyAt ??= at
    else this.#keep(record, at)
    this.#line = at + lines
  }

  #keep(record: string[], at: number): void {
    const width = this.#header!.length
    if (this.#emptyAt !== null) {
      throw new Failure(`${this.#file.name} line ${this.#emptyAt} is empty; only lines at the end may be.`)
    }
    if (record.length !== width) {
      const fault = record.length > width ? 'too many' : 'too few'
      throw this.#failure(`the row has ${fault} cells, ${record.length} for ${width} columns.`)
    }
    const row = record as unknown as Row
    row.unshift(at)
    this.#rows.push(row)
  }

  #decode(cell: string, index: number): string {
    const bytes = Buffer.from(cell, 'latin1')
    if (cell.includes('\0')) throw this.#failure('the cell holds a zero byte, which is no text.', index)
    if (!isUtf8(bytes)) throw this.#failure('the cell is not UTF-8 text. Save the file as UTF-8.', index)
    return bytes.toString('utf8')
  }

  /** Of the record that is being read. */
  #failure(what: string, index?: number): Failure {
    const name = index === undefined ? undefined : (this.#header?.[index] ?? `number ${index + 1}`)
    const where = `${this.#file.name} line ${this.#line}`
    return new Failure(`${where}${name === undefined ? '' : `, column ${excerpt(name)}`}: ${what}`)
  }

  #explain(error: CsvError): Failure {
    const { column } = error
    const code: string = error.code
    const what = FAULTS[code] ?? `the row cannot be read (${code}).`
    return this.#failure(what, typeof column === 'number' ? column : undefined)
  }
}

const TOO_LARGE = 'the cell is larger than 10,000 characters. Is a quote never closed?'

const FAULTS: Readonly<Record<string, string>> = {
  CSV_INVALID_CLOSING_QUOTE: 'after the quote that closes the cell, neither a comma nor the end of the line follows.',
  INVALID_OPENING_QUOTE: 'a quote stands within a cell that does not begin with one.',
  CSV_QUOTE_NOT_CLOSED: 'the quote that opens the cell is never closed.',
  CSV_MAX_RECORD_SIZE: TOO_LARGE,
}
