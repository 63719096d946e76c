// The floor of accepting: a bare Express process with one route that adds a job and answers. Neither a key nor a check
// nor a row of its own; what it has accepted is in the queue or nowhere.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
import { createPostgresBackend, Queue, withBackend, type PostgresConnectionOptions } from 'bullmq'
import express from 'express'
import { Redis } from 'ioredis'
import pg from 'pg'

/** As many as our web process has in all. */
const POOL_MAX = 14

const [backend, url, name] = process.argv.slice(2) as ['Redis' | 'PostgreSQL', string, string]

function connect(): { add(job: string, data: object): Promise<unknown> } {
  if (backend === 'Redis') return new Queue(name, { connection: new Redis(url) })
  const pool = new pg.Pool({
    connectionString: url,
    max: POOL_MAX,
    options: '-c search_path=bullmq -c role=perdiem_queue',
  })
  return new (withBackend(createPostgresBackend).Queue)(name, { connection: pool as PostgresConnectionOptions })
}

const queue = connect()
const app = express()
app.set('etag', false)
app.disable('x-powered-by')
app.use(express.json())
app.post('/', async (_request, response) => {
  const id = randomUUID()
  await queue.add('apply', { id })
  response.status(202).json({ id })
})
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.send!({ ready: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` })
