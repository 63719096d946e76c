// npm run ops: what an operator does from a shell. Its result goes to stdout, all else to stderr.
import { parseArgs } from 'node:util'
import { opsConfig } from '../config.ts'
import { explain } from '../lifecycle.ts'
import { importClient, rebuildQueues } from './client.ts'
import { count, Failure } from './failure.ts'
import { importFolder, type Stage, WrongFolder } from './import.ts'
import { showProgress } from './progress.ts'

const USAGE = `Usage: npm run ops -- import FOLDER --bill-from YYYY-MM
       npm run ops -- rebuild

import sends accounts.csv, prices.csv and events.csv of FOLDER (those that are there) to Perdiem and has them applied.
Months before --bill-from are never billed. Importing the same files twice changes nothing.

rebuild tells the queues again of everything that is not done, at once: for a Redis that was emptied or restored. By
itself that happens within seconds. Doing it when nothing is lost does no harm.

  PERDIEM_URL      where Perdiem is reached; default http://127.0.0.1:3000
  PERDIEM_API_KEY  an operator's key

Exits 0 when all was taken, 1 when rows or the import were refused, 2 when called wrongly, 130 after Ctrl-C.`

const FAILED = 1
const WRONG_USAGE = 2
const INTERRUPTED = 130

/** Called in a way that is not understood. */
class UsageError extends Error {
  override name = 'UsageError'
}

interface ImportOrder {
  readonly folder: string
  readonly billFrom: string
}
type Order = ImportOrder | 'rebuild'

/** @throws UsageError; null when only help is asked for */
function parseOrder(words: string[]): Order | null {
  if (words.includes('--help') || words.includes('-h')) return null
  let parsed
  try {
    parsed = parseArgs({ args: words, options: { 'bill-from': { type: 'string' } }, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const [command, folder, ...more] = parsed.positionals
  const billFrom = parsed.values['bill-from']
  if (command === undefined) throw new UsageError('A command is missing.')
  if (command === 'rebuild') {
    if (folder !== undefined || billFrom !== undefined) throw new UsageError('rebuild takes nothing else.')
    return 'rebuild'
  }
  if (command !== 'import') throw new UsageError(`There is no command ${command}.`)
  if (!folder) throw new UsageError('FOLDER is missing.')
  if (more.length > 0) throw new UsageError(`There is one FOLDER; ${more.join(' ')} is more than that.`)
  if (billFrom === undefined) throw new UsageError('--bill-from is missing.')
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(billFrom)) {
    throw new UsageError(`--bill-from must be a month such as 2026-01, not ${billFrom}.`)
  }
  return { folder, billFrom }
}

async function rebuild(): Promise<number> {
  const { PERDIEM_URL: url, PERDIEM_API_KEY: key } = opsConfig()
  const jobs = await rebuildQueues({ url, key, note: (sentence) => console.error(sentence) })
  console.log(
    jobs === 0
      ? 'Nothing is undone.'
      : `${count(jobs, 'job')} will be told to the queues again, as soon as these can be reached (see /readyz).`,
  )
  return 0
}

async function run({ folder, billFrom }: ImportOrder): Promise<number> {
  const { PERDIEM_URL: url, PERDIEM_API_KEY: key } = opsConfig()
  const progress = showProgress(process.stderr)
  const client = importClient({ url, key, note: progress.note })
  const now: { stage: Stage; id: string } = { stage: 'sending', id: '' }
  const goesOn = (): string =>
    `The server goes on applying ${now.id} by itself. To look at it:\n` +
    `  curl -H "Authorization: Bearer $PERDIEM_API_KEY" ${url.replace(/\/+$/, '')}/v1/admin/imports/${now.id}`
  process.on('SIGINT', () => {
    progress.clear()
    if (now.stage === 'sending') console.error('Stopped. Nothing was applied.')
    else if (now.stage === 'applying') console.error(`Stopped looking. ${goesOn()}`)
    else console.error(`Stopped. The import ${now.id} has ended.`)
    process.exit(INTERRUPTED)
  })
  try {
    const print = (line: string): void => console.log(line)
    const reached = (stage: Stage, id: string): void => void Object.assign(now, { stage, id })
    return (await importFolder({ folder, billFrom, client, progress, print, reached })) ? 0 : FAILED
  } catch (error) {
    progress.clear()
    if (now.stage === 'applying' && error instanceof Failure) throw new Failure(`${error.message}\n${goesOn()}`)
    throw error
  }
}

/** Tells what went wrong and how to exit. */
function fail(error: unknown): number {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}`)
  else console.error(error instanceof Failure ? error.message : explain(error))
  return error instanceof UsageError || error instanceof WrongFolder ? WRONG_USAGE : FAILED
}

// Whoever reads us may have read enough: a closed pipe is no failure of ours, and no reason for a stack.
for (const out of [process.stdout, process.stderr]) out.on('error', () => process.exit(FAILED))

try {
  const order = parseOrder(process.argv.slice(2))
  if (order === null) console.log(USAGE)
  else process.exitCode = order === 'rebuild' ? await rebuild() : await run(order)
} catch (error) {
  process.exitCode = fail(error)
}
