import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isAlive } from '../../../apps/sandbox/postgres-lock.ts'
import { deleteHome } from '../../../apps/sandbox/postgres-place.ts'
import { startPostgres } from '../../../apps/sandbox/postgres.ts'
import type { EmbeddedPostgres, PostgresOptions } from '../../../apps/sandbox/postgres.ts'
import { StartupError } from '../../../apps/sandbox/startup-error.ts'
import { waitUntil } from '../../support/wait.ts'

const HOLDER = fileURLToPath(new URL('../../support/hold-postgres.ts', import.meta.url))

let folder: string
let home: string
let running: EmbeddedPostgres[]
let children: ChildProcess[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perdiem postgres '))
  chmodSync(folder, 0o711)
  // Not made yet, and with a space in its name.
  home = join(folder, 'the home')
  running = []
  children = []
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(running.map((one) => one.stop()))
  deleteHome(home)
  rmSync(folder, { recursive: true, force: true })
})

async function start(options: Partial<PostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ home, settings: { fsync: 'off' }, ...options })
  running.push(postgres)
  return postgres
}

async function query(postgres: EmbeddedPostgres, sql: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client(postgres.superuserUrl())
  // A server that is killed under it is what some of these tests are about.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function hold(): Promise<{ child: ChildProcess; pid?: number; error?: string }> {
  const child = spawn(process.execPath, [HOLDER, home], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [line] = await once(createInterface(child.stdout!), 'line')
  return { child, ...JSON.parse(line) }
}

async function listen(port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

function dataFolder(): string {
  return existsSync(join(home, 'postgres')) ? join(home, 'postgres') : notedFolder()
}

function notedFolder(): string {
  const note = readFileSync(join(home, 'postgres-data-is-elsewhere.txt'), 'utf8')
  return note.trim().split('\n').at(-1)!
}

describe('a first start', () => {
  test('gives a UTF-8 database on 127.0.0.1, behind a password for its owner alone', async () => {
    const postgres = await start({ settings: { fsync: 'off', max_connections: '17' } })

    const [found] = await query(
      postgres,
      `SELECT current_setting('server_encoding') AS encoding, datlocprovider AS provider,
         datlocale AS locale, current_setting('listen_addresses') AS addresses,
         current_setting('unix_socket_directories') AS sockets,
         current_setting('max_connections') AS connections,
         current_setting('TimeZone') AS zone
       FROM pg_database WHERE datname = current_database()`,
    )
    expect(found).toEqual({
      encoding: 'UTF8',
      provider: 'b',
      locale: 'C.UTF-8',
      addresses: '127.0.0.1',
      sockets: '',
      connections: '17',
      zone: 'UTC',
    })
    expect(statSync(join(home, 'postgres-password')).mode & 0o777).toBe(0o600)
    const wrong = new URL(postgres.superuserUrl())
    wrong.password = 'guess'
    await expect(new pg.Client(wrong.href).connect()).rejects.toThrow(/password authentication/)
    expect(readFileSync(join(home, 'logs', 'postgres.log'), 'utf8')).toContain('ready to accept')
  })

  test('is not misled by an initialization that was killed half way', async () => {
    const half = join(home, 'postgres.new-1')
    mkdirSync(half, { recursive: true })
    writeFileSync(join(half, 'PG_VERSION'), '18\n')

    const postgres = await start()

    expect(await query(postgres, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(readdirSync(home).filter((name) => name.includes('.new-'))).toEqual([])
  })

  test('works below a folder only its owner can pass', async () => {
    chmodSync(folder, 0o700)
    const first = await start()
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()

    const second = await start()

    expect(await query(second, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    const data = dataFolder()
    const stat = statSync(data)
    expect(stat.mode & 0o777).toBe(0o700)
    // PostgreSQL refuses root, so as root the data belongs to somebody else, and is elsewhere.
    const root = process.getuid?.() === 0
    expect(stat.uid === process.getuid?.()).toBe(!root)
    expect(data.startsWith(folder)).toBe(!root)
    await second.stop()
    deleteHome(home)
    expect(existsSync(root ? dirname(data) : data)).toBe(false)
  })
})

describe('a later start', () => {
  test('finds the data again, on the same port', async () => {
    const first = await start()
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    expect(isAlive(first.pid)).toBe(false)

    const second = await start()

    expect(await query(second, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    expect(second.port).toBe(first.port)
  })

  test('takes another port when something else has the remembered one', async () => {
    const first = await start()
    await first.stop()
    const { server } = await listen(first.port)
    try {
      const second = await start()
      expect(second.port).not.toBe(first.port)
      expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    } finally {
      server.close()
    }
  })

  test('works after PostgreSQL was killed, and nothing committed is lost', async () => {
    const ends: unknown[] = []
    const first = await start({ onExit: (...end) => ends.push(end) })
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer')
    process.kill(first.pid, 'SIGKILL')
    await waitUntil('the end was reported', () => ends.length > 0)
    expect(ends).toEqual([[null, 'SIGKILL']])
    expect(existsSync(join(dataFolder(), 'postmaster.pid'))).toBe(true)

    const second = await start()

    expect(await query(second, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    await first.stop()
  })

  test("works when the dead server's process id belongs to another program now", async () => {
    const first = await start({ onExit: () => {} })
    process.kill(first.pid, 'SIGKILL')
    await waitUntil('it ended', () => !isAlive(first.pid))
    const other = spawn('sleep', ['60'])
    children.push(other)
    const path = join(dataFolder(), 'postmaster.pid')
    const lines = readFileSync(path, 'utf8').split('\n')
    writeFileSync(path, [other.pid, ...lines.slice(1)].join('\n'))

    const second = await start()

    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(isAlive(other.pid!)).toBe(true)
  })

  test('stops a PostgreSQL that nobody watches any more', async () => {
    const ends: unknown[] = []
    const first = await start({ onExit: (...end) => ends.push(end) })
    // As if its supervisor and the watchdog had both been killed.
    rmSync(join(home, 'postgres.lock'))

    const second = await start()

    expect(isAlive(first.pid)).toBe(false)
    await waitUntil('the end was reported', () => ends.length > 0)
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })
})

describe('a start that cannot be', () => {
  test('names the process that runs with this home already', async () => {
    await start()

    const inUse = /^Another Perdiem \(process \d+\) is running with the home .*the home\./
    await expect(start()).rejects.toThrow(inUse)
    await expect(start()).rejects.toBeInstanceOf(StartupError)
    const { error } = await hold()
    expect(error).toContain(`Another Perdiem (process ${process.pid}) is running`)
    expect(await query(running[0]!, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('lets exactly one of several starts at once through', async () => {
    const results = await Promise.all([hold(), hold(), hold()])

    expect(results.filter(({ pid }) => pid !== undefined)).toHaveLength(1)
    const refused = results.filter(({ error }) => error?.includes('Another Perdiem'))
    expect(refused).toHaveLength(2)
    const winner = results.find(({ pid }) => pid !== undefined)!
    winner.child.kill('SIGKILL')
    await waitUntil('PostgreSQL is gone', () => !isAlive(winner.pid!))
  })

  test('says that a fixed port is taken', async () => {
    const { server, port } = await listen()
    try {
      const sentence = `Port ${port} on 127.0.0.1, meant for PostgreSQL, is used by another`
      await expect(start({ port })).rejects.toThrow(sentence)
    } finally {
      server.close()
    }
    const postgres = await start({ port })
    expect(postgres.port).toBe(port)
  })

  test('says that the home cannot be a folder', async () => {
    writeFileSync(home, '')

    await expect(start()).rejects.toThrow(`${home} is needed as a folder`)
  })

  test('says what PostgreSQL says, and gives the home back', async () => {
    await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /did not start; .*postgres\.log says: .*shared_buffers/,
    )
    expect(await query(await start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })
})

test('PostgreSQL ends when the process that started it is killed', async () => {
  const { child, pid } = await hold()
  expect(isAlive(pid!)).toBe(true)

  child.kill('SIGKILL')

  await waitUntil('PostgreSQL is gone', () => !isAlive(pid!))
  expect(existsSync(join(dataFolder(), 'postmaster.pid'))).toBe(false)
  expect(await query(await start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
})
