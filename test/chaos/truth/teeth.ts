// Everything this oracle says no to, one wrong thing each. A tooth spoils a clean world in one place (a statement in a
// transaction that is rolled back, with triggers off; or a copy of the book, the mails, the files, the ledger) and
// names the invariant that must be found broken.
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type pg from 'pg'
import type { Evidence, SeenMail, Violation } from './evidence.ts'
import { LICENSE_TEETH } from './teeth-licenses.ts'
import { INVOICE_TEETH } from './teeth-invoices.ts'
import { OUTSIDE_TEETH } from './teeth-outside.ts'
import type { Tooth } from './tooth.ts'
import { verifyIn, type Case } from './verify.ts'

export type { Tooth } from './tooth.ts'

export const TEETH: readonly Tooth[] = [...INVOICE_TEETH, ...LICENSE_TEETH, ...OUTSIDE_TEETH]

/** A case whose mails and files are given, not named by their folders. */
export interface BiteCase extends Case {
  readonly mails: readonly SeenMail[]
  readonly files: Evidence['file']
}

/** @param folder for a copy of the book, which must be the book alone: checkpointed, or made by VACUUM INTO */
export async function bite(db: pg.Client, of: BiteCase, tooth: Tooth, folder: string): Promise<Violation[]> {
  const book = tooth.book ? join(folder, 'bitten.sqlite') : of.standInBook
  if (tooth.book) {
    await copyFile(of.standInBook, book)
    const copy = new DatabaseSync(book)
    tooth.book(copy)
    copy.close()
  }
  const ledger = structuredClone(of.ledger)
  tooth.ledger?.(ledger)
  await db.query('BEGIN')
  try {
    await db.query('SET LOCAL session_replication_role = replica')
    for (const sql of tooth.sql ?? []) {
      const { rowCount } = await db.query(sql)
      if (rowCount === 0) throw new Error(`the tooth "${tooth.name}" finds nothing to bite: ${sql}`)
    }
    return await verifyIn(db, {
      ...of,
      ledger,
      standInBook: book,
      mails: tooth.mails ? tooth.mails(of.mails) : of.mails,
      files: tooth.file ? tooth.file(of.files) : of.files,
    })
  } finally {
    await db.query('ROLLBACK')
    if (tooth.book) await rm(book, { force: true })
  }
}
