// Sends the rows of a file in batches, two on their way at a time: while the server takes one, the next is read.
import type { ImportClient } from './client.ts'
import type { CsvFile } from './columns.ts'
import { readRows, type Row } from './csv.ts'

const ROWS_MAX = 5000
/**
 * Characters of a batch. A character takes six bytes of JSON at the most, and a row some seventy besides its
 * characters, so that no batch passes 4 MB.
 */
const CHARACTERS_MAX = 600_000
const IN_FLIGHT = 2

export interface Sending {
  readonly client: ImportClient
  readonly id: string
  readonly path: string
  readonly file: CsvFile
  /** A batch has arrived: how many rows it was, and how many of all rows are known to fail. */
  arrived(rows: number, failures: number): void
}

/** Sends all of a file. Ends when every batch has arrived, or with the first failure. */
export async function sendFile({ client, id, path, file, arrived }: Sending): Promise<void> {
  const stop = new AbortController()
  const inFlight = new Set<Promise<void>>()

  async function dispatch(columns: readonly string[], rows: readonly Row[]): Promise<void> {
    if (inFlight.size >= IN_FLIGHT) await Promise.race(inFlight)
    const body = JSON.stringify({ file: file.name, columns, rows })
    const sent = client.sendRows(id, body, stop.signal).then((failures) => {
      inFlight.delete(sent)
      arrived(rows.length, failures)
    })
    // A second one may fail while the first is being told of.
    sent.catch(() => undefined)
    inFlight.add(sent)
  }

  try {
    for await (const { columns, rows } of batches(path, file)) await dispatch(columns, rows)
    await Promise.all(inFlight)
  } finally {
    stop.abort()
  }
}

interface Batch {
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
}

/** A file's rows in as many as one call takes. */
async function* batches(path: string, file: CsvFile): AsyncGenerator<Batch> {
  let [batch, characters]: [Row[], number] = [[], 0]
  let last: Batch = { columns: [], rows: batch }
  for await (const { columns, rows } of readRows(path, file)) {
    for (const row of rows) {
      let size = 0
      for (let index = 1; index < row.length; index += 1) size += (row[index] as string).length
      if (batch.length === ROWS_MAX || (batch.length > 0 && characters + size > CHARACTERS_MAX)) {
        yield { columns, rows: batch }
        ;[batch, characters] = [[], 0]
      }
      batch.push(row)
      characters += size
    }
    last = { columns, rows: batch }
  }
  if (last.rows.length > 0) yield last
}
