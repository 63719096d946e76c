// PostgreSQL through Prisma. Account data is touched only in transactions that name the account, so that row-level
// security can stand behind the code's own scoping.
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import type { Database, Tx } from '../../jobs/kit/ports.ts'
import { stagedIn, type StagedRow } from '../../jobs/kit/stage.ts'
import { PrismaClient } from '../../prisma/client/client.ts'

/** Ten connections a process: with an API, a worker and a documents process a third of PostgreSQL's hundred. */
export const POOL_MAX = 10
/** Longer than any job's longest statement; shorter than a person's patience with a stuck lock. */
const TRANSACTION_TIMEOUT_MS = 300_000
const WAIT_FOR_CONNECTION_MS = 30_000

export interface ProcessDatabase extends Database {
  /** A transaction that sees every account: only behind an operator's key. */
  withOperator<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** A transaction that sees no account's data at all. */
  withNobody<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  readonly prisma: PrismaClient
  /** The same connections, for the few statements that come by the thousand; without an account they see none of it. */
  readonly pool: pg.Pool
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  readonly max?: number
  /** How its connections are called: connectionName(). */
  readonly applicationName?: string
  readonly transactionTimeoutMs?: number
  /** Told, right after a commit, what the transaction staged. */
  readonly onStaged?: (rows: readonly StagedRow[]) => void
}

export function connectDatabase(options: DatabaseOptions): ProcessDatabase {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max ?? POOL_MAX,
    application_name: options.applicationName ?? 'perdiem',
    idle_in_transaction_session_timeout: 60_000,
    lock_timeout: 30_000,
    keepAlive: true,
    connectionTimeoutMillis: WAIT_FOR_CONNECTION_MS,
  })
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {})
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) })
  const timeout = options.transactionTimeoutMs ?? TRANSACTION_TIMEOUT_MS
  async function transaction<T>(setting: string | null, value: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    let staged: readonly StagedRow[] = []
    const result = await prisma.$transaction(
      async (tx) => {
        if (setting !== null) await tx.$executeRaw`SELECT set_config(${setting}, ${value}, true)`
        const answer = await work(tx)
        staged = stagedIn(tx)
        return answer
      },
      { timeout, maxWait: WAIT_FOR_CONNECTION_MS },
    )
    if (staged.length > 0) options.onStaged?.(staged)
    return result
  }
  return {
    prisma,
    pool,
    withAccount: (accountId, work) => transaction('perdiem.account', accountId, work),
    withOperator: (work) => transaction('perdiem.operator', 'on', work),
    withNobody: (work) => transaction(null, '', work),
    acrossAccounts: (work) => transaction(null, '', work),
    close: () => prisma.$disconnect(),
  }
}
