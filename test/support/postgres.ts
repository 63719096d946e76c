import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { addressFor, createDatabase, ROLES } from '../../apps/sandbox/bootstrap.ts'
import type { DatabaseUrls } from '../../apps/sandbox/bootstrap.ts'

/** The run's PostgreSQL, as global-setup.ts provides it. */
export interface TestPostgres {
  superuserUrl: string
  template: string
  ownerPassword: string
  apiPassword: string
  workerPassword: string
}

/** A database of its own, with all tables and nothing in them. */
export interface TestDatabase extends DatabaseUrls {
  name: string
  superuserUrl: string
  /** Drops it, ending the connections it still has. */
  drop(): Promise<void>
}

async function asSuperuser(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgres').superuserUrl })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function create(template: string): Promise<TestDatabase> {
  const { superuserUrl, ownerPassword, apiPassword, workerPassword } = inject('postgres')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await asSuperuser((client) => createDatabase(client, name, template))
  const inside = new URL(superuserUrl)
  inside.pathname = `/${name}`
  return {
    name,
    superuserUrl: inside.href,
    ownerUrl: addressFor(superuserUrl, ROLES.owner, ownerPassword, name),
    apiUrl: addressFor(superuserUrl, ROLES.api, apiPassword, name),
    workerUrl: addressFor(superuserUrl, ROLES.worker, workerPassword, name),
    drop: () => asSuperuser((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  }
}

/** A clone of the released database. Make one per test file (25 to 85 ms), and drop it after. */
export function createTestDatabase(): Promise<TestDatabase> {
  return create(inject('postgres').template)
}

/** A database without any of Perdiem's tables, for tests of the migrations themselves. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return create('template0')
}
