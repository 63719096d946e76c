// ops import: reads a folder's files through, sends them, has them applied and tells what came of it. A client of the
// HTTP API and nothing more: it may run anywhere, and again.
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type FailurePage, type ImportClient, type ImportView, Refused } from './client.ts'
import { type CsvFile, FILES } from './columns.ts'
import { readRows } from './csv.ts'
import { count, Failure, plain } from './failure.ts'
import { pace, type Progress } from './progress.ts'
import { sendFile } from './send.ts'

const LOOK_EVERY_MS = 300
const FAILURES_SHOWN = 1000

export interface ImportOptions {
  readonly folder: string
  readonly billFrom: string
  readonly client: ImportClient
  readonly progress: Progress
  /** Prints a line of the summary. */
  print(line: string): void
  /** How far the import is; while it is being applied the server works by itself, whatever becomes of us. */
  reached(stage: Stage, id: string): void
}

export type Stage = 'sending' | 'applying' | 'ended'

interface Found {
  readonly file: CsvFile
  readonly path: string
  readonly bytes: number
}

/** The folder cannot be what was meant. */
export class WrongFolder extends Failure {
  override name = 'WrongFolder'
}

/** Imports a folder. Answers whether all of it was taken. @throws Failure */
export async function importFolder(options: ImportOptions): Promise<boolean> {
  const { billFrom, client, progress, reached } = options
  const found = await findFiles(options)
  const rows = await readThrough(found, progress)
  const { id } = await client.begin(billFrom)
  progress.note(`The server calls this import ${id}.`)
  try {
    await send(found, rows, id, options)
  } catch (error) {
    throw error instanceof Failure ? new Failure(`${error.message}\nNothing was applied: run this again.`) : error
  }
  reached('applying', id)
  const view = await apply(id, options)
  reached('ended', id)
  return await tell(view, options)
}

async function findFiles({ folder, progress }: ImportOptions): Promise<Found[]> {
  const isFolder = await stat(folder).then(
    (one) => one.isDirectory(),
    () => false,
  )
  if (!isFolder) throw new WrongFolder(`${plain(folder)} is not a folder that can be read.`)
  const found: Found[] = []
  for (const file of FILES) {
    const path = join(folder, file.name)
    const one = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw new Failure(`${file.name} cannot be read (${error.code}).`)
    })
    if (one && !one.isFile()) throw new Failure(`${file.name} is not a file.`)
    if (one) found.push({ file, path, bytes: one.size })
  }
  const names = found.map(({ file }) => file.name)
  const absent = FILES.map((file) => file.name).filter((name) => !names.includes(name))
  if (found.length === 0) {
    throw new WrongFolder(`${plain(folder)} holds none of ${absent.join(', ')}; there must be at least one.`)
  }
  const without = absent.length > 0 ? `; without ${absent.join(' and ')}` : ''
  progress.note(`Found ${names.join(', ')} in ${plain(basename(folder) || folder)}${without}.`)
  return found
}

/** Every file in full, before a row is sent: a file that breaks off is better found now. Answers how many rows. */
async function readThrough(found: readonly Found[], progress: Progress): Promise<number> {
  progress.begin('Reading')
  const total = found.reduce((sum, { bytes }) => sum + bytes, 0)
  const broken: string[] = []
  const words = pace()
  let [rows, before] = [0, 0]
  for (const { file, path, bytes: size } of found) {
    try {
      for await (const read of readRows(path, file)) {
        rows += read.rows.length
        progress.advance((before + read.bytes) / total, () => words(rows))
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      broken.push(error.message)
    }
    before += size
  }
  if (broken.length > 0) throw new Failure(`${broken.join('\n')}\nNothing was sent.`)
  progress.end(words(rows))
  return rows
}

async function send(found: readonly Found[], rows: number, id: string, options: ImportOptions): Promise<void> {
  const { client, progress } = options
  const words = pace()
  let [sent, failing] = [0, 0]
  const arrived = (some: number, failures: number): void => {
    sent += some
    failing = Math.max(failing, failures)
    const failed = failing > 0 ? `, ${failing.toLocaleString('en-US')} of them failing` : ''
    progress.advance(sent / rows, () => `${words(sent)}${failed}`)
  }
  progress.begin('Sending')
  for (const { file, path } of found) await sendFile({ client, id, path, file, arrived })
  if (sent !== rows) throw new Failure(`The files have changed since they were read: ${rows} rows then, ${sent} now.`)
  progress.end(words(sent))
}

const settled = ({ accounts: { done, unchanged, refused } }: ImportView): number => done + unchanged + refused

/** Has the import applied and looks until it has ended. */
async function apply(id: string, { client, progress, reached }: ImportOptions): Promise<ImportView> {
  progress.begin('Applying')
  let view = await client.apply(id).catch(async (error: unknown) => {
    if (!(error instanceof Refused)) throw error
    // The call before may have been heard and only its answer lost: then it is our own import that is busy.
    const now = await client.look(id)
    if (now.status !== 'receiving') return now
    reached('sending', id)
    throw error
  })
  while (view.status === 'applying' || view.status === 'receiving') {
    const { total } = view.accounts
    const done = settled(view)
    progress.advance(total > 0 ? done / total : 0, () => `${done} of ${count(total, 'account')}`)
    await delay(LOOK_EVERY_MS)
    view = await client.look(id)
  }
  progress.end(`${settled(view)} of ${count(view.accounts.total, 'account')}`)
  if (view.accounts.done > 0) {
    progress.note('Days are counted and ended months closed from here on: GET /v1/admin/billing-runs shows how far.')
  }
  return view
}

/** The summary. */
async function tell(view: ImportView, { client, print }: ImportOptions): Promise<boolean> {
  const { id, status, accounts } = view
  print(status === 'done' ? `Import ${id} is done.` : `Import ${id} was refused.`)
  print(`Accounts: ${accounts.done} imported, ${accounts.unchanged} unchanged, ${accounts.refused} refused.`)
  let [page, shown]: [FailurePage, number] = [await client.failures(id, null), 0]
  const { total } = page
  print(total === 0 ? 'No row failed.' : `${count(total, 'row')} failed:`)
  while (shown < FAILURES_SHOWN) {
    const some = page.data.slice(0, FAILURES_SHOWN - shown)
    for (const failure of some) print(sentence(failure))
    shown += some.length
    if (some.length === 0 || typeof page.next_cursor !== 'string' || shown >= FAILURES_SHOWN) break
    page = await client.failures(id, page.next_cursor)
  }
  if (total > shown)
    print(`… and ${(total - shown).toLocaleString('en-US')} more: GET /v1/admin/imports/${id}/failures`)
  return status === 'done' && accounts.refused === 0 && total === 0 && view.failures === 0
}

function sentence({ file, line, account, field, message }: FailurePage['data'][number]): string {
  const whose = account ? `, account ${plain(account)}` : ''
  return `${plain(file)} line ${line}${whose}: ${field ? `${plain(field)} ` : ''}${plain(message)}`
}
