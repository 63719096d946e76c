// A real Redis server of a test's own, as production should run one: append-only file, no eviction. npm carries none,
// so that it must be on the machine; where it is not, tests on Redis are skipped and say so; in CI that is a failure.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { waitUntil } from './wait.ts'

const PROGRAM = 'redis-server'

/** Null when there is a Redis to be started; else why not. */
export const redisMissing: string | null = spawnSync(PROGRAM, ['--version']).error
  ? 'redis-server is not installed on this machine (Debian: apt-get install redis-server)'
  : null
if (redisMissing !== null && process.env.REQUIRE_REDIS !== undefined) throw new Error(redisMissing)

export interface TestRedis {
  readonly url: string
  readonly pid: number
  /** A client of the test's own. */
  readonly client: Redis
  signal(signal: NodeJS.Signals): void
  /** SIGKILL, and waits for its end. What was not yet written is lost. */
  kill(): Promise<void>
  /** Starts it again with the files it left; ready when it returns. */
  start(): Promise<void>
  /** Copies its files, to be put back later. */
  save(): Promise<string>
  /** Kills it and starts it with files saved earlier. */
  restore(saved: string): Promise<void>
  stop(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

/** @param settings as on the command line of redis-server */
export async function startRedis(settings: Record<string, string> = {}): Promise<TestRedis> {
  const home = await mkdtemp(join(tmpdir(), 'perdiem-redis-'))
  const data = join(home, 'data')
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})
  let child: ChildProcess | null = null
  let saves = 0
  async function start(): Promise<void> {
    child = launch(port, data, settings)
    await waitUntil('Redis answers', async () => (await client.ping().catch(() => '')) === 'PONG')
  }
  async function kill(): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const redis: TestRedis = {
    url,
    client,
    get pid() {
      return child!.pid!
    },
    signal: (signal) => void child?.kill(signal),
    kill,
    start,
    async save() {
      saves += 1
      const saved = join(home, `saved-${saves}`)
      await cp(data, saved, { recursive: true })
      return saved
    },
    async restore(saved) {
      await kill()
      await rm(data, { recursive: true, force: true })
      await cp(saved, data, { recursive: true })
      await start()
    },
    async stop() {
      client.disconnect()
      await kill()
      await rm(home, { recursive: true, force: true })
    },
  }
  await mkdir(data)
  await start()
  return redis
}

function launch(port: number, data: string, settings: Record<string, string>): ChildProcess {
  const all = {
    port: String(port),
    bind: '127.0.0.1',
    dir: data,
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    ...settings,
  }
  const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value])
  return spawn(PROGRAM, flags, { stdio: 'ignore', detached: false })
}
