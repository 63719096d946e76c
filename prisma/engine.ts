import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import type { SqlDriverAdapter } from '@prisma/driver-adapter-utils'
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg'
import type { SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg'

/**
 * How a script reaches the database. It has to go there whole: as one message it is one
 * transaction, and a semicolon inside a function's body ends nothing. (The adapter's own way cuts
 * it at every semicolon and sends the pieces through a pool.)
 */
export type RunScript = (query: (sql: string) => Promise<unknown>, script: string) => Promise<void>

/** What the engine works through. */
export type Adapter = SqlDriverAdapter

/** What an adapter has beyond its public type: it tells the engine of the driver's errors. */
interface ErrorReader {
  onError(error: unknown): never
}

/** The part of WebAssembly used here: its types come with a browser's, which the server has not. */
interface Wasm {
  compile(bytes: Uint8Array): Promise<object>
  instantiate(compiled: object, imports: object): Promise<{ exports: Record<string, unknown> }>
}

let ready: Promise<void> | undefined

/**
 * What the engine imports. It sets a timer of 10 seconds on its lock and never clears it, for which
 * a finished command would wait: its timers keep no process alive.
 */
function imports(): Record<string, unknown> {
  const patient = Object.entries(glue).map(([name, value]) => {
    if (!name.startsWith('__wbg_setTimeout_')) return [name, value]
    return [name, (callback: () => void, ms: number) => setTimeout(callback, ms >>> 0).unref()]
  })
  return Object.fromEntries(patient)
}

// The package's own entry imports the .wasm file as a module, which Node only does behind a flag.
async function load(): Promise<void> {
  // Not import.meta.resolve: vitest has none.
  const { resolve } = createRequire(import.meta.url)
  const path = resolve('@prisma/schema-engine-wasm/schema_engine_bg').replace(/js$/, 'wasm')
  const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: Wasm }
  const compiled = await wasm.compile(await readFile(path))
  const { exports } = await wasm.instantiate(compiled, { './schema_engine_bg.js': imports() })
  const internals = glue as unknown as { __wbg_set_wasm(exports: object): void }
  internals.__wbg_set_wasm(exports)
  const start = exports['__wbindgen_start'] as () => void
  start()
}

/** An adapter for the database of that address which runs whole scripts by `runScript`. */
export async function databaseAdapter(url: string, runScript: RunScript): Promise<Adapter> {
  const factory = new PrismaPg({ connectionString: url, application_name: 'perdiem-migrate' })
  const adapter = await factory.connect()
  const pool = adapter.underlyingDriver()
  adapter.executeScript = async (script) => {
    try {
      await runScript((sql) => pool.query(sql), script)
    } catch (error) {
      ;(adapter as unknown as ErrorReader).onError(error)
    }
  }
  return adapter
}

/**
 * An adapter without a database, for work on schema files alone. The engine asks for the server's
 * version before anything else, and gets that of the PostgreSQL that comes with Perdiem.
 */
export async function noDatabase(): Promise<Adapter> {
  const refuse = () => Promise.reject(new Error('This needs a database, and none was given.'))
  return {
    provider: 'postgres',
    adapterName: 'none',
    queryRaw: async () => ({
      columnNames: ['exists', 'version', 'numeric_version'],
      columnTypes: [ColumnTypeEnum.Boolean, ColumnTypeEnum.Text, ColumnTypeEnum.Int32],
      rows: [[true, 'PostgreSQL 18.0', 180_000]],
    }),
    executeRaw: refuse,
    executeScript: refuse,
    startTransaction: refuse,
    getConnectionInfo: () => ({ schemaName: 'public', supportsRelationJoins: true }),
    dispose: async () => {},
  }
}

/**
 * Lends Prisma's schema engine, the WebAssembly from npm, working through an adapter, and disposes
 * of both afterwards.
 */
export async function withEngine<T>(adapter: Adapter, work: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  try {
    await (ready ??= load())
    const factory = bindMigrationAwareSqlAdapterFactory({
      provider: 'postgres',
      adapterName: adapter.adapterName,
      connect: async () => adapter,
      connectToShadowDb: () => Promise.reject(new Error('No shadow database is used.')),
    })
    const engine = await glue.SchemaEngine.new({ datamodels: undefined }, () => {}, factory)
    try {
      return await work(engine)
    } finally {
      engine.free()
    }
  } finally {
    await adapter.dispose()
  }
}
