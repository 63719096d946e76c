// The board process: Bull Board behind a sign-in, for operators to look at the queues of both stores and to retry dead
// jobs. Nothing else of Perdiem needs it.
import { sandboxClock, wallClock } from '../adapters/clock.ts'
import { connectDatabase } from '../adapters/database.ts'
import { createLog, quieten } from '../adapters/log.ts'
import { preflight } from '../adapters/preflight.ts'
import { boardConfig, type BoardConfig } from '../config.ts'
import { runProcess, type Running } from '../lifecycle.ts'
import { listen } from '../listen.ts'
import { createBoardApp } from './app.ts'
import { idleStoreConnections, openBoardQueues } from './board-queues.ts'
import { createSessions } from './sessions.ts'

/** A handful of people look. */
const POOL_MAX = 3
/** Retrying every dead job of a queue takes a second or two. */
const TRANSACTION_TIMEOUT_MS = 20_000
const PORT = 3_001

export async function startBoard(config: BoardConfig): Promise<Running> {
  const log = createLog({ name: 'board', level: config.LOG_LEVEL ?? 'info' })
  const onError = quieten((error) => log.warn({ err: error }, 'queue'))
  const databaseUrl = config.API_DATABASE_URL
  const { address, applicationName, release } = await preflight({
    kind: 'board',
    databaseUrl,
    redisUrl: config.REDIS_URL,
    connections: POOL_MAX + idleStoreConnections({ databaseUrl, redisUrl: config.REDIS_URL }),
    warn: (words) => log.warn(words),
  })
  const db = connectDatabase({
    url: databaseUrl,
    max: POOL_MAX,
    applicationName,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  const queues = openBoardQueues(address, db, onError)
  const app = createBoardApp({
    db,
    // In the sandbox business time is what its database says.
    clock: config.PERDIEM_SANDBOX === undefined ? wallClock : sandboxClock(db.prisma),
    log,
    sessions: createSessions(),
    adapters: queues.adapters,
    boardUrl: config.BOARD_URL,
  })
  const { url, close } = await listen(app, {
    port: config.BOARD_PORT ?? PORT,
    host: config.HOST ?? '127.0.0.1',
    headersMs: 10_000,
    requestMs: 20_000,
  })
  log.info({ url }, 'listening')
  return {
    ready: config.BOARD_URL ?? url,
    async stop() {
      await close()
      await Promise.allSettled([queues.close(), db.close(), release()])
    },
  }
}

if (import.meta.main) await runProcess(() => startBoard(boardConfig()))
