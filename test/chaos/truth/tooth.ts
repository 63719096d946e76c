// One wrong thing, and how wrong things are said in SQL.
import type { DatabaseSync } from 'node:sqlite'
import type { Ledger } from '../workload/ledger.ts'
import type { Evidence, SeenMail } from './evidence.ts'

export interface Tooth {
  readonly name: string
  readonly caughtBy: string
  /** Statements, each of which must change something. */
  readonly sql?: readonly string[]
  /** Spoils a copy of the stand-in's book. */
  readonly book?: (book: DatabaseSync) => void
  readonly mails?: (mails: readonly SeenMail[]) => readonly SeenMail[]
  readonly file?: (file: Evidence['file']) => Evidence['file']
  /** Spoils a copy of the ledger in place: what the client saw would have been another. */
  readonly ledger?: (ledger: Ledger) => void
}

/** One row of a table, always the same. */
export const one = (table: string, where = 'true', order = 'id'): string =>
  `ctid = (SELECT ctid FROM ${table} WHERE ${where} ORDER BY ${order} LIMIT 1)`

export const PAID = `(SELECT i.id FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id
  WHERE s.paid > 0 ORDER BY i.sequence LIMIT 1)`
export const OPEN = `(SELECT i.id FROM invoices i JOIN invoice_states s ON s.invoice_id = i.id
  WHERE s.status = 'open' ORDER BY i.sequence LIMIT 1)`
export const SMALL = `(SELECT invoice_id FROM invoice_states WHERE credited > 0 ORDER BY invoice_id LIMIT 1)`
export const LAST = `(SELECT id FROM invoices WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1)`
export const FRESH = 'gen_random_uuid()'

/** A copy of a row with some columns changed. */
export const copy = (table: string, where: string, changes: Readonly<Record<string, string>>): string => {
  const sets = Object.entries(changes).map(([column, value]) => `'${column}', ${value}`)
  return `INSERT INTO ${table} SELECT (jsonb_populate_record(NULL::${table}, to_jsonb(t) || jsonb_build_object(
    ${sets.join(', ')}))).* FROM ${table} t WHERE t.${where}`
}

export type Row = readonly [name: string, ...sql: string[]]
export const caughtBy = (caughtBy: string, rows: readonly Row[]): Tooth[] =>
  rows.map(([name, ...sql]) => ({ name, caughtBy, sql }))

export const set = (table: string, change: string, where: string): string =>
  `UPDATE ${table} SET ${change} WHERE ${where}`
export const drop = (table: string, where: string): string => `DELETE FROM ${table} WHERE ${where}`
