// Imports through the real HTTP routes, and what came of them.
import { lineOfRow, type FileName, type Files, type Table } from './history-files.ts'
import { workAll } from './walk.ts'
import type { Answer, World } from './world.ts'

export interface Failure {
  readonly file: string
  readonly line: number
  readonly account: string | null
  readonly field: string
  readonly message: string
}

export interface Imported {
  readonly id: string
  readonly status: string
  readonly accounts: {
    readonly total: number
    readonly done: number
    readonly unchanged: number
    readonly refused: number
  }
  /** What came of each account. */
  readonly outcomes: Record<string, string>
  readonly failures: readonly Failure[]
}

const ok = (answer: Answer, status: number): Answer['body'] => {
  if (answer.status !== status) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body
}

export const beginImport = async (world: World, billFrom: string): Promise<string> =>
  ok(await world.call('POST', '/v1/admin/imports', { body: { bill_from: billFrom } }), 201).id

/** @param from the first row's line */
export const sendRows = (world: World, id: string, file: FileName, { columns, rows }: Table, from = lineOfRow(0)) =>
  world.call('POST', `/v1/admin/imports/${id}/rows`, {
    body: { file, columns, rows: rows.map((row, n) => [from + n, ...row]) },
  })

export const applyImport = (world: World, id: string): Promise<Answer> =>
  world.call('POST', `/v1/admin/imports/${id}/apply`)

const ROWS_PER_CALL = 5_000

/** Sends files up to their last row. @returns the import's id */
export async function sendFiles(world: World, files: Files, billFrom: string): Promise<string> {
  const id = await beginImport(world, billFrom)
  for (const [file, table] of Object.entries(files) as [FileName, Table][]) {
    for (let from = 0; from < table.rows.length; from += ROWS_PER_CALL) {
      const some = { ...table, rows: table.rows.slice(from, from + ROWS_PER_CALL) }
      ok(await sendRows(world, id, file, some, lineOfRow(from)), 200)
    }
  }
  return id
}

export async function lookAt(world: World, id: string): Promise<Imported> {
  const { status, accounts } = ok(await world.call('GET', `/v1/admin/imports/${id}`), 200)
  const listed = ok(await world.call('GET', `/v1/admin/imports/${id}/failures?limit=100`), 200)
  const targets = await world.db.prisma.$queryRaw<{ account: string; outcome: string }[]>`
    SELECT account, outcome FROM import_targets
    WHERE import_id = ${uuidOf(id)}::uuid ORDER BY account`
  const outcomes = Object.fromEntries(targets.map(({ account, outcome }) => [account, outcome]))
  return { id, status, accounts, outcomes, failures: listed.data }
}

/** A public id's uuid. */
export const uuidOf = (id: string): string =>
  id.slice(id.indexOf('_') + 1).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

/** Sends files, has them applied and works off all that follows. @throws when a job does, once it has given up */
export async function runImport(world: World, files: Files, billFrom: string): Promise<Imported> {
  const id = await sendFiles(world, files, billFrom)
  ok(await applyImport(world, id), 202)
  // Through all of its tries: an import left half applied would stand in the way of the next.
  const thrown = await workAll(world)
  if (thrown > 0) throw new Error(`jobs threw ${thrown} times`)
  return await lookAt(world, id)
}
