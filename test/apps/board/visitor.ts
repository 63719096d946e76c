// A board of a test's own, and who visits it: a browser as far as the board can tell.
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import pg from 'pg'
import { connectDatabase, type ProcessDatabase } from '../../../apps/adapters/database.ts'
import { newId } from '../../../apps/adapters/ids.ts'
import { createKey } from '../../../apps/api/keys.ts'
import { startBoard } from '../../../apps/board/main.ts'
import type { BoardConfig } from '../../../apps/config.ts'
import { release } from '../../../apps/release.ts'
import type { Role } from '../../../jobs/rules/gate.ts'
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts'

export interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Headers
  // Tests read answers as they are.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  json(): any
}

export interface Visitor {
  cookie: string
  ask(method: string, path: string, headers?: Record<string, string>, body?: string): Promise<Answer>
  get(path: string): Promise<Answer>
  /** As the board's own page sends. */
  send(method: string, path: string): Promise<Answer>
  signIn(key: string): Promise<Answer>
}

export function visit(url: string): Visitor {
  const visitor: Visitor = {
    cookie: '',
    async ask(method, path, headers = {}, body) {
      const response = await fetch(url + path, {
        method,
        redirect: 'manual',
        headers: { ...(visitor.cookie !== '' && { Cookie: visitor.cookie }), ...headers },
        ...(body !== undefined && { body }),
      })
      const set = response.headers.get('set-cookie')
      if (set !== null) visitor.cookie = /^[^=]+=;/.test(set) ? '' : set.split(';')[0]!
      const text = await response.text()
      return { status: response.status, text, headers: response.headers, json: () => JSON.parse(text) as never }
    },
    get: (path) => visitor.ask('GET', path),
    send: (method, path) => visitor.ask(method, path, { Origin: url, 'Sec-Fetch-Site': 'same-origin' }),
    signIn: (key) =>
      visitor.ask(
        'POST',
        '/sign-in',
        { Origin: url, 'Content-Type': 'application/x-www-form-urlencoded' },
        new URLSearchParams({ key }).toString(),
      ),
  }
  return visitor
}

/** Keys of each kind, in a database of the test's own. */
export interface Stage {
  readonly database: TestDatabase
  readonly superuser: pg.Client
  readonly apiDb: ProcessDatabase
  readonly workerDb: ProcessDatabase
  key(role: Role): Promise<{ id: string; secret: string }>
  close(): Promise<void>
}

const AT = new Date('2026-10-01T12:00:00Z')

export async function createStage(): Promise<Stage> {
  const database = await createTestDatabase()
  // Rights on a database are not cloned with it: the queue's role gets its temporary tables from the release.
  await release(database)
  const superuser = new pg.Client({ connectionString: database.superuserUrl })
  await superuser.connect()
  const apiDb = connectDatabase({ url: database.apiUrl, max: 3 })
  const workerDb = connectDatabase({ url: database.workerUrl, max: 3 })
  const accountId = newId()
  await superuser.query(
    `INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
     VALUES ($1, 'A', 'usd', 'UTC', '2026-10-01', now())`,
    [accountId],
  )
  return {
    database,
    superuser,
    apiDb,
    workerDb,
    key: (role) => {
      const isOwn = role === 'operator' || role === 'observer'
      return apiDb.withOperator((tx) =>
        createKey(tx, { accountId: isOwn ? null : accountId, name: role, scopes: [role], at: AT }),
      )
    },
    async close() {
      await Promise.all([apiDb.close(), workerDb.close(), superuser.end()])
      await database.drop()
    },
  }
}

export const openBoard = (databaseUrl: string, more: Partial<BoardConfig> = {}) =>
  startBoard({ API_DATABASE_URL: databaseUrl, BOARD_PORT: 0, LOG_LEVEL: 'silent', ...more })

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}
