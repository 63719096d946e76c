// A PostgreSQL of the bench's own, as durable as the sandbox's, and databases of licenses in it.
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { QUEUE_ROLE, release } from '../../apps/release.ts'
import { addressFor, bootstrapDatabase, createDatabase, ROLES } from '../../apps/sandbox/bootstrap.ts'
import { deleteHome } from '../../apps/sandbox/postgres-place.ts'
import { startPostgres, type EmbeddedPostgres } from '../../apps/sandbox/postgres.ts'
import { generate } from './generate.ts'
import { say, seconds, timed } from './measure.ts'
import type { Shape } from './shape.ts'

/** A database filled to a shape. */
export interface Site {
  readonly shape: Shape
  readonly apiUrl: string
  readonly workerUrl: string
  /** As the worker: the floors are held to what it may do. */
  readonly worker: pg.Client
  /** As the superuser, with neither triggers nor foreign keys: to fill, and to put back. */
  readonly admin: pg.Client
  drop(): Promise<void>
}

export interface Lab {
  readonly home: string
  readonly version: string
  readonly superuserUrl: string
  make(shape: Shape): Promise<Site>
  stop(): Promise<void>
}

const TEMPLATE = 'perdiem_template'

export async function openLab(): Promise<Lab> {
  const home = await mkdtemp(join(tmpdir(), 'perdiem-bench-'))
  // As root, PostgreSQL runs as another user, who can keep its data in there only if let through.
  await chmod(home, 0o711)
  const postgres = await startPostgres({ home }).catch((error: unknown) => {
    deleteHome(home)
    throw error
  })
  const stop = async (): Promise<void> => {
    await postgres.stop()
    deleteHome(home)
  }
  try {
    const password = randomUUID()
    const passwords = { ownerPassword: password, apiPassword: password, workerPassword: password }
    await release(await bootstrapDatabase(postgres.superuserUrl(), { database: TEMPLATE, ...passwords }))
    const superuser = await connect(postgres.superuserUrl())
    const { rows } = await superuser.query<{ server_version: string }>('SHOW server_version')
    await superuser.end()
    const version = rows[0]!.server_version
    return {
      home,
      version,
      superuserUrl: postgres.superuserUrl(),
      make: (shape) => make(postgres, password, shape),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  // The end of a database that is dropped comes as an event.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function asSuperuser(postgres: EmbeddedPostgres, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = await connect(postgres.superuserUrl())
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function make(postgres: EmbeddedPostgres, password: string, shape: Shape): Promise<Site> {
  const name = `bench_${shape.name}`
  say(`${shape.licenses.toLocaleString('en')} licenses in ${shape.accounts.toLocaleString('en')} accounts …`)
  await asSuperuser(postgres, async (client) => {
    await createDatabase(client, name, TEMPLATE)
    // What the release granted on the template's database is not copied with it.
    await client.query(`GRANT TEMPORARY ON DATABASE ${name} TO ${QUEUE_ROLE}`)
  })
  const inside = new URL(postgres.superuserUrl())
  inside.pathname = `/${name}`
  const admin = await connect(inside.href)
  await admin.query(`SET session_replication_role = replica`)
  say(`… made in ${seconds(await timed(() => generate(admin, shape)))}`)
  const apiUrl = addressFor(postgres.superuserUrl(), ROLES.api, password, name)
  const workerUrl = addressFor(postgres.superuserUrl(), ROLES.worker, password, name)
  const worker = await connect(workerUrl)
  return {
    shape,
    apiUrl,
    workerUrl,
    worker,
    admin,
    async drop() {
      await Promise.all([worker.end(), admin.end()])
      await asSuperuser(postgres, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`))
    },
  }
}
