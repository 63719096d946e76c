import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deploy, MigrationError, newMigration, status } from '../../prisma/migrate.ts'
import { createEmptyDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { waitUntil } from '../support/wait.ts'

const MIGRATE = fileURLToPath(new URL('../../prisma/migrate.ts', import.meta.url))

let folder: string
let database: TestDatabase
let client: pg.Client
const made: TestDatabase[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perdiem migrations '))
  database = await createEmptyDatabase()
  made.push(database)
  client = new pg.Client(database.superuserUrl)
  await client.connect()
  await client.query('ALTER SCHEMA public OWNER TO perdiem_owner')
})

afterEach(async () => {
  await client.end()
  await rm(folder, { recursive: true, force: true })
})

afterAll(() => Promise.all(made.map((one) => one.drop())))

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(folder, name), { recursive: true })
  await writeFile(join(folder, name, 'migration.sql'), sql)
}

async function tables(): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT tablename FROM pg_tables WHERE schemaname = 'public'
       AND tablename <> '_prisma_migrations' ORDER BY 1`,
  )
  return rows.map((row) => row.tablename)
}

const FIRST = '20260101000000_first'
const SECOND = '20260102000000_second'

describe('deploy', () => {
  test('applies a function and a trigger whose bodies hold semicolons', async () => {
    await write(
      FIRST,
      `CREATE TABLE entries (id integer, note text);
       CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         NEW.note := coalesce(NEW.note, '') || '; stamped';
         RETURN NEW;
       END;
       $$;
       CREATE TRIGGER stamp BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION stamp();
       -- the last line is a comment; without an end of line`,
    )

    expect(await deploy(database.ownerUrl, folder)).toEqual({ applied: [FIRST] })

    await client.query(`INSERT INTO entries VALUES (1, 'written')`)
    const { rows } = await client.query('SELECT note FROM entries')
    expect(rows).toEqual([{ note: 'written; stamped' }])
    expect(await deploy(database.ownerUrl, folder)).toEqual({ applied: [] })
  })

  test('leaves the history as Prisma writes it', async () => {
    await write(FIRST, 'CREATE TABLE one ();')
    await deploy(database.ownerUrl, folder)

    const { rows } = await client.query('SELECT * FROM _prisma_migrations')
    expect(rows).toEqual([
      expect.objectContaining({
        migration_name: FIRST,
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
        finished_at: expect.any(Date),
        rolled_back_at: null,
        applied_steps_count: 1,
      }),
    ])
  })

  test('keeps nothing of a migration that fails half way, and applies it once mended', async () => {
    await write(FIRST, 'CREATE TABLE one ();')
    await write(SECOND, 'CREATE TABLE two (); INSERT INTO missing VALUES (1); SELECT 1;')

    const failing = deploy(database.ownerUrl, folder)
    await expect(failing).rejects.toBeInstanceOf(MigrationError)
    await expect(failing).rejects.toThrow(
      `Migration ${SECOND} failed and nothing of it was kept: relation "missing" does not exist`,
    )
    expect(await tables()).toEqual(['one'])
    expect(await status(database.ownerUrl, folder)).toEqual({
      applied: [FIRST],
      pending: [SECOND],
      failed: [SECOND],
    })

    await write(SECOND, 'CREATE TABLE two (); CREATE TABLE three ();')
    expect(await deploy(database.ownerUrl, folder)).toEqual({ applied: [SECOND] })
    expect(await tables()).toEqual(['one', 'three', 'two'])
    expect(await status(database.ownerUrl, folder)).toEqual({
      applied: [FIRST, SECOND],
      pending: [],
      failed: [],
    })
  })

  /** Kills a deploy once the server is in the middle of its migration, which has to sleep. */
  async function killDeploy(): Promise<void> {
    const child = spawn(
      process.execPath,
      [
        '-e',
        `import(process.argv[1]).then((m) => m.deploy(process.argv[2], process.argv[3]))`,
        MIGRATE,
        database.ownerUrl,
        folder,
      ],
      { stdio: 'inherit' },
    )
    await waitUntil('the migration is running', async () => {
      const { rows } = await client.query(
        `SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'
           AND datname = current_database()`,
      )
      return rows.length === 1
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  test('starts over after a deploy that was killed together with its migration', async () => {
    await write(FIRST, 'CREATE TABLE one (); SELECT pg_sleep(60);')
    await killDeploy()
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'perdiem-migrate'`,
    )
    await write(FIRST, 'CREATE TABLE one ();')

    expect(await deploy(database.ownerUrl, folder)).toEqual({ applied: [FIRST] })
    expect(await tables()).toEqual(['one'])
  })

  test('waits for a migration that goes on in the server after its deploy was killed', async () => {
    await write(FIRST, 'CREATE TABLE one (); SELECT pg_sleep(2);')
    await killDeploy()

    expect(await deploy(database.ownerUrl, folder)).toEqual({ applied: [] })
    expect(await tables()).toEqual(['one'])
    expect(await status(database.ownerUrl, folder)).toEqual({
      applied: [FIRST],
      pending: [],
      failed: [],
    })
  })

  test('lets one of several at once do the work while the others wait', async () => {
    await write(FIRST, 'CREATE TABLE one (); SELECT pg_sleep(0.3);')
    await write(SECOND, 'CREATE TABLE two ();')

    const results = await Promise.all(Array.from({ length: 4 }, () => deploy(database.ownerUrl, folder)))

    const counts = results.map(({ applied }) => applied.length).sort()
    expect(counts).toEqual([0, 0, 0, 2])
    expect(await tables()).toEqual(['one', 'two'])
  })

  test('names nothing that did not happen when the database cannot be reached', async () => {
    const gone = new URL(database.ownerUrl)
    gone.port = '1'
    await expect(deploy(gone.href, folder)).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('status', () => {
  test('tells what is applied from what is not, without a history and with one', async () => {
    await write(FIRST, 'CREATE TABLE one ();')
    expect(await status(database.ownerUrl, folder)).toEqual({
      applied: [],
      pending: [FIRST],
      failed: [],
    })
    await deploy(database.ownerUrl, folder)
    await write(SECOND, 'CREATE TABLE two ();')
    expect(await status(database.ownerUrl, folder)).toEqual({
      applied: [FIRST],
      pending: [SECOND],
      failed: [],
    })
  })
})

describe('the command', () => {
  async function run(command: string, url: string): Promise<{ code: number; output: string }> {
    const child = spawn(process.execPath, [MIGRATE, command], {
      env: { ...process.env, DATABASE_URL: url },
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    const [code] = await once(child, 'close')
    return { code, output }
  }

  test('exits with 1 and one sentence when it cannot do it', async () => {
    expect(await run('status', '')).toEqual({
      code: 1,
      output: expect.stringMatching(/^DATABASE_URL is not set\..*\n$/),
    })
    expect((await run('frobnicate', database.ownerUrl)).code).toBe(1)
  })

  test('deploys the migrations of the repository, which then are all applied', async () => {
    expect((await run('deploy', database.ownerUrl)).code).toBe(0)

    const { code, output } = await run('status', database.ownerUrl)

    expect(code).toBe(0)
    expect(output).not.toMatch(/pending|failed/)
  })
})

describe('a new migration', () => {
  const model = (fields: string) => `datasource db {
  provider = "postgresql"
}

model Thing {
  id Int @id
  ${fields}
}
`

  test('holds what changed in the schema since the one before', async () => {
    const schema = join(folder, '..', `${basename(folder)}.prisma`)
    try {
      await writeFile(schema, model('name String'))
      const first = await newMigration('The First: things', folder, schema)
      expect(basename(first)).toMatch(/^\d{14}_the_first_things$/)
      expect(await readFile(join(first, 'migration.sql'), 'utf8')).toContain('CREATE TABLE "Thing"')
      expect(existsSync(join(folder, 'migration_lock.toml'))).toBe(true)

      await writeFile(schema, model('name String\n  note String?'))
      // In the same second, only a name later in the alphabet is later.
      const second = await newMigration('then a note', folder, schema)
      const sql = await readFile(join(second, 'migration.sql'), 'utf8')
      expect(sql).toContain('ADD COLUMN     "note" TEXT')
      expect(sql).not.toContain('CREATE TABLE')

      expect(await deploy(database.ownerUrl, folder)).toEqual({
        applied: [basename(first), basename(second)],
      })
      await client.query(`INSERT INTO "Thing" (id, name, note) VALUES (1, 'a', 'b')`)
    } finally {
      await rm(schema, { force: true })
    }
  })

  test('is not written over an order that would change', async () => {
    await write('99990101000000_future', 'SELECT 1;')

    await expect(newMigration('next', folder)).rejects.toThrow('is not older than this moment')
    expect(await readdir(folder)).toEqual(['99990101000000_future'])
  })
})
