// The oracle. Holds what the client knows it did, and what the stand-in wrote down, against all that the product's
// database, mails and files say. It shares nothing with the product but the schema.
import pg from 'pg'
import type { Ledger } from '../workload/ledger.ts'
import { checkCounts, checkDays, checkSums } from './counting.ts'
import { filesIn, mailsIn, readBook, settledUntil, type Evidence, type SeenMail, type Violation } from './evidence.ts'
import { readFacts, type Queries } from './facts.ts'
import {
  checkBalances,
  checkFinality,
  checkLog,
  checkNumbers,
  checkSingle,
  checkUnchanged,
  takeSnapshot,
  type Snapshot,
} from './invoicing.ts'
import {
  checkAccounts,
  checkActions,
  checkAnswers,
  checkLicenses,
  checkLives,
  checkSites,
  checkStays,
  matchLives,
} from './licensing.ts'
import { replay } from './lives.ts'
import { checkAsked, checkCharges, checkCopies, checkPayments } from './money.ts'
import { checkFiles, checkMails, checkPapers } from './papers.ts'
import { checkHolds, checkJobs, checkTies } from './ties.ts'

export { describeViolations, filesIn, mailsIn, type SeenMail, type Violation } from './evidence.ts'
export type { Snapshot } from './invoicing.ts'

export interface Case {
  /** Of a superuser: it sees every account. */
  readonly databaseUrl: string
  /** The path of the stand-in's stripe.sqlite. */
  readonly standInBook: string
  /** A folder of kept mails, or the mails. */
  readonly mails: string | readonly SeenMail[]
  /**
   * No mail server can be asked what it has taken: a process that is killed between its yes and our commit hands the
   * mail over again. So often, at most, that may be; left out: never.
   */
  readonly mailsAgain?: number
  /** A folder of documents, or how one is read. */
  readonly files: string | Evidence['file']
  readonly ledger: Ledger
  /** An earlier look, which final invoices must not have changed since. */
  readonly earlier?: Snapshot
}

async function connected<T>(databaseUrl: string, work: (db: pg.Client) => Promise<T>): Promise<T> {
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  try {
    return await work(db)
  } finally {
    await db.end()
  }
}

export const snapshot = (databaseUrl: string): Promise<Snapshot> => connected(databaseUrl, takeSnapshot)

export const verify = (of: Case): Promise<Violation[]> =>
  connected(of.databaseUrl, async (db) => {
    // One moment for all tables.
    await db.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    return await verifyIn(db, of)
  })

/** The same inside a transaction of the caller's. */
export async function verifyIn(db: Queries, of: Omit<Case, 'databaseUrl'>): Promise<Violation[]> {
  const evidence: Evidence = {
    ledger: of.ledger,
    facts: await readFacts(db),
    book: readBook(of.standInBook),
    mailsAgain: of.mailsAgain ?? 0,
    mails: typeof of.mails === 'string' ? await mailsIn(of.mails) : of.mails,
    file: typeof of.files === 'string' ? filesIn(of.files) : of.files,
  }
  const unchanged = of.earlier ? checkUnchanged(of.earlier, await takeSnapshot(db)) : []
  return [...judge(evidence), ...unchanged, ...(await checkFiles(evidence))]
}

function judge(evidence: Evidence): Violation[] {
  const lived = replay(evidence.ledger, evidence.facts)
  const matched = matchLives(evidence, lived)
  const idle = settledUntil(evidence.ledger) === null
  return [
    // Without it nothing could be demanded, and nothing would ever be wrong.
    ...(idle ? [{ invariant: 'client', what: 'the clock never moved a day without a failure' }] : []),
    ...checkAnswers(evidence),
    ...lived.violations,
    ...checkActions(evidence),
    ...checkAccounts(evidence),
    ...checkLicenses(evidence, lived),
    ...checkLives(evidence, lived),
    ...checkSites(evidence),
    ...checkStays(evidence),
    ...checkSums(evidence, lived),
    ...checkCounts(evidence, lived, matched),
    ...checkDays(evidence),
    ...checkFinality(evidence),
    ...checkSingle(evidence),
    ...checkBalances(evidence),
    ...checkNumbers(evidence),
    ...checkLog(evidence, matched),
    ...checkPayments(evidence),
    ...checkCharges(evidence),
    ...checkCopies(evidence),
    ...checkAsked(evidence),
    ...checkPapers(evidence),
    ...checkMails(evidence),
    ...checkTies(evidence),
    ...checkHolds(evidence),
    ...checkJobs(evidence),
  ]
}
