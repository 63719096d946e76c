import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DiffTarget, MigrationList } from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'
import { databaseAdapter, noDatabase, withEngine } from './engine.ts'
import type { RunScript } from './engine.ts'

const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url))
const SCHEMA = fileURLToPath(new URL('./schema.prisma', import.meta.url))
const LOCK_FILE = 'migration_lock.toml'
const LOCK_TEXT = 'provider = "postgresql"\n'
const NO_FILTERS = { externalTables: [], externalEnums: [] }

/** Advisory lock of a deploy. Not the engine's own number: it takes that one on another session. */
const LOCK_KEY = 7_420_531_806

/** Advisory lock of a script: it is held where the script runs, for as long as it really runs. */
const SCRIPT_LOCK_KEY = 7_420_531_809

/** Where a database stands against the migrations folder. */
export interface MigrationStatus {
  applied: string[]
  /** In the folder, not (wholly) on the database. Failed ones are among them. */
  pending: string[]
  /** Begun on the database at some time and not finished; nothing of them is there. */
  failed: string[]
}

/** A migration the database refused. Nothing of it was kept. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

interface Migration {
  name: string
  script: string
}

async function readMigrations(folder: string): Promise<Migration[]> {
  if (!existsSync(folder)) return []
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.sort().map(async (name) => {
      const script = await readFile(join(folder, name, 'migration.sql'), 'utf8')
      return { name, script }
    }),
  )
}

function migrationList(folder: string, migrations: Migration[]): MigrationList {
  return {
    baseDir: folder,
    lockfile: { path: LOCK_FILE, content: LOCK_TEXT },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, script }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: script } },
    })),
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'perdiem-migrate' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function hasHistory(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS has`)
  return rows[0].has
}

/**
 * Marks migrations that were begun and not finished as rolled back, which is what they are: their
 * script and the note that it is finished are one transaction. Prisma would otherwise refuse to go
 * on until somebody repaired its table by hand. A script whose deploy was killed may go on in the
 * server all the same: it is waited for, and then it may have finished.
 */
async function forgetFailed(client: pg.Client): Promise<void> {
  if (!(await hasHistory(client))) return
  await client.query(
    `SELECT pg_advisory_xact_lock(${SCRIPT_LOCK_KEY}); ` +
      'UPDATE _prisma_migrations SET rolled_back_at = now() ' +
      'WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  )
}

/** Runs a migration together with the note that it is finished: both happen, or neither. */
function migrationRunner(scripts: Set<string>, onError: (error: unknown) => void): RunScript {
  return async (query, script) => {
    try {
      if (!scripts.has(script)) return void (await query(script))
      await query(
        `SELECT pg_advisory_xact_lock(${SCRIPT_LOCK_KEY}); ${script}\n;` +
          'UPDATE public._prisma_migrations SET finished_at = now() ' +
          'WHERE finished_at IS NULL AND rolled_back_at IS NULL',
      )
    } catch (error) {
      onError(error)
      throw error
    }
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { detail, hint, where } = error as pg.DatabaseError
  return [error.message, detail, hint, where].filter((part) => part !== undefined).join(' | ')
}

async function failedName(client: pg.Client): Promise<string | undefined> {
  if (!(await hasHistory(client))) return undefined
  const { rows } = await client.query(
    'SELECT migration_name FROM _prisma_migrations ' + 'WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  )
  return rows[0]?.migration_name
}

/**
 * Applies the migrations a database lacks, as its owner. Each is one transaction, so a migration
 * may not hold BEGIN or COMMIT. A second deploy at the same time waits, and finds nothing to do.
 * Throws `MigrationError` for a migration the database refuses; mend its file and deploy again.
 */
export async function deploy(ownerUrl: string, folder = FOLDER): Promise<{ applied: string[] }> {
  const migrations = await readMigrations(folder)
  return withClient(ownerUrl, async (client) => {
    // Held by this session, so that it is given back however this process ends.
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY])
    await forgetFailed(client)
    let cause: unknown
    const scripts = new Set(migrations.map(({ script }) => script))
    const runner = migrationRunner(scripts, (error) => (cause = error))
    const adapter = await databaseAdapter(ownerUrl, runner)
    try {
      const result = await withEngine(adapter, (engine) =>
        engine.applyMigrations({
          migrationsList: migrationList(folder, migrations),
          filters: NO_FILTERS,
        }),
      )
      return { applied: result.appliedMigrationNames }
    } catch (error) {
      const name = await failedName(client)
      await forgetFailed(client)
      if (name === undefined) throw error
      throw new MigrationError(`Migration ${name} failed and nothing of it was kept: ${describe(cause ?? error)}`, {
        cause: cause ?? error,
      })
    }
  })
}

/** Compares a database with the migrations folder. Changes nothing. */
export async function status(ownerUrl: string, folder = FOLDER): Promise<MigrationStatus> {
  const names = (await readMigrations(folder)).map(({ name }) => name)
  return withClient(ownerUrl, async (client) => {
    if (!(await hasHistory(client))) return { applied: [], pending: names, failed: [] }
    const { rows } = await client.query<{ name: string; applied: boolean }>(
      'SELECT migration_name AS name, ' +
        'bool_or(finished_at IS NOT NULL AND rolled_back_at IS NULL) AS applied ' +
        'FROM _prisma_migrations GROUP BY migration_name ORDER BY migration_name',
    )
    const applied = rows.filter((row) => row.applied).map((row) => row.name)
    return {
      applied,
      pending: names.filter((name) => !applied.includes(name)),
      failed: rows.filter((row) => !row.applied).map((row) => row.name),
    }
  })
}

/** The schema as the newest migration left it: every migration keeps a copy beside it. */
async function newestSchema(folder: string): Promise<DiffTarget> {
  const newest = (await readMigrations(folder)).at(-1)
  if (newest === undefined) return { tag: 'empty' }
  const path = join(folder, newest.name, 'schema.prisma')
  if (!existsSync(path)) {
    throw new Error(`${path} is missing; the next migration is worked out from it.`)
  }
  return { tag: 'schemaDatamodel', files: [{ path, content: await readFile(path, 'utf8') }] }
}

/** `20260131235959_name`, later than every migration there is. */
async function folderName(name: string, folder: string): Promise<string> {
  const slug = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
  if (slug === '') throw new Error('A migration needs a name of letters and digits.')
  const newest = (await readMigrations(folder)).at(-1)?.name ?? ''
  // An order by name is an order by time only while no clock was ahead.
  const stamp = new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14)
  if (`${stamp}_${slug}` <= newest) {
    throw new Error(`Migration ${newest} is not older than this moment; try again, or rename it.`)
  }
  return `${stamp}_${slug}`
}

/**
 * Writes the next migration from what changed in schema.prisma since the newest one, for its author
 * to complete and check. Needs no database. Returns the folder it wrote.
 */
export async function newMigration(name: string, folder = FOLDER, schemaPath = SCHEMA): Promise<string> {
  const target = join(folder, await folderName(name, folder))
  const content = await readFile(schemaPath, 'utf8')
  const from = await newestSchema(folder)
  const to: DiffTarget = { tag: 'schemaDatamodel', files: [{ path: schemaPath, content }] }
  const { stdout } = await withEngine(await noDatabase(), (engine) =>
    engine.diff({ from, to, script: true, exitCode: null, filters: NO_FILTERS }),
  )
  await mkdir(target, { recursive: true })
  await writeFile(join(folder, LOCK_FILE), LOCK_TEXT)
  await writeFile(join(target, 'schema.prisma'), content)
  await writeFile(join(target, 'migration.sql'), stdout ?? '')
  return target
}

/** The owner's address, for the commands a release runs: they are given DATABASE_URL alone. */
export function ownerUrlFromEnvironment(): string {
  const url = process.env.DATABASE_URL
  if (url === undefined || url === '') {
    throw new Error("DATABASE_URL is not set. It has to hold the address of the database's owner.")
  }
  return url
}

async function main([command, name]: string[]): Promise<void> {
  if (command === 'new' && name !== undefined) {
    console.log(await newMigration(name))
  } else if (command === 'deploy') {
    const { applied } = await deploy(ownerUrlFromEnvironment())
    console.log(applied.length === 0 ? 'Nothing to apply.' : `Applied: ${applied.join(', ')}`)
  } else if (command === 'status') {
    const { applied, pending, failed } = await status(ownerUrlFromEnvironment())
    for (const one of applied) console.log(`applied  ${one}`)
    for (const one of pending) {
      console.log(`${failed.includes(one) ? 'failed ' : 'pending'}  ${one}`)
    }
  } else {
    throw new Error('Usage: node prisma/migrate.ts new NAME | deploy | status')
  }
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
