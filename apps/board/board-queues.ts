// Every queue there is, of the store in use; and with Redis in use those in PostgreSQL besides, where a switch may have
// left jobs.
import { queues as names } from '../../jobs/catalog.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import { queueConnections } from '../adapters/queue.ts'
import { openBackend, type QueueAddress, type QueueBackend } from '../adapters/queue-backend.ts'
import { BoardQueue } from './board-queue.ts'

const onPostgres = (address: QueueAddress): QueueAddress => ({ ...address, redisUrl: undefined })

/** How many connections the queues in PostgreSQL take, whichever store is in use. */
const postgresConnections = (address: QueueAddress): number => queueConnections(onPostgres(address))

/** Connections to PostgreSQL that the preflight does not know of: those to the store that is not in use. */
export const idleStoreConnections = (address: QueueAddress): number =>
  address.redisUrl === undefined ? 0 : postgresConnections(address)

export interface BoardQueues {
  /** For one of the two boards. */
  adapters(readOnly: boolean): BoardQueue[]
  close(): Promise<void>
}

export function openBoardQueues(
  address: QueueAddress,
  db: ProcessDatabase,
  onError: (error: Error) => void,
): BoardQueues {
  const inUse = address.redisUrl === undefined ? [] : [openStore(address, onError)]
  const stores = [...inUse, openStore(onPostgres(address), onError)]
  return {
    adapters: (readOnly) =>
      stores.flatMap(({ backend, queues }, place) =>
        queues.map(
          (queue) =>
            new BoardQueue({
              queue,
              backend,
              db,
              readOnly,
              prefix: place === 0 ? '' : 'postgresql.',
              displayName: place === 0 ? queue.name : `${queue.name} (${backend.kind})`,
              onError,
            }),
        ),
      ),
    async close() {
      await Promise.allSettled(stores.flatMap(({ queues }) => queues.map((queue) => queue.close())))
      await Promise.allSettled(stores.map(({ backend }) => backend.close()))
    },
  }
}

function openStore(address: QueueAddress, onError: (error: Error) => void) {
  const backend: QueueBackend = openBackend(address, 'add', postgresConnections(address), onError)
  const queues = names.map((name) => backend.queue(name).on('error', onError))
  return { backend, queues }
}
