// What can be done to a running Perdiem: every kind of fault, each of which begins, lasts, and is over when it returns.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Random } from '../fuzz/random.ts'
import { waitUntil } from '../support/wait.ts'
import type { Site } from './site.ts'

export type Store = 'postgres' | 'redis'

export interface Fault {
  readonly kind: string
  /** How long it lasts, in ms; 0 where it has no length. */
  readonly lastsMs: number
  /** The store that is away meanwhile, or has lost something: how soon work goes on after it is measured. */
  readonly store: Store | null
  /** Whether a process ends by SIGKILL. */
  readonly kills: boolean
  strike(site: Site): Promise<void>
}

const PROCESSES = ['web', 'worker', 'worker-2', 'documents', 'board', 'stripe'] as const
/** Deployments ask; the worker's own bound is 25 s, the supervisor's 8 s. */
const DEPLOYED = ['web', 'worker', 'documents'] as const

/** Signals a process that lives; one that is just being started again is waited for. */
const signal =
  (name: string, what: NodeJS.Signals): ((site: Site) => Promise<void>) =>
  (site) =>
    waitUntil(
      `${name} lives, to be struck`,
      () => {
        try {
          return process.kill(site.part(name).part().pid, what)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
          throw error
        }
      },
      60_000,
    )

/** Processes whose parent is one of these; PostgreSQL's backends are in groups of their own. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => {
      try {
        return Number(/^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${one}/stat`, 'utf8'))?.[1]) === pid
      } catch {
        return false
      }
    })
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      // It ended meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

let frozen: readonly number[] = []

/** Whatever is stopped goes on: nothing that is stopped can be asked to end. */
export function resumeAll(): void {
  signalAll(frozen, 'SIGCONT')
  frozen = []
}

const freeze =
  (name: string, ms: number): ((site: Site) => Promise<void>) =>
  async (site) => {
    const pid = name === 'redis' ? site.redis!.pid : site.part(name).part().pid
    const pids = name === 'postgres' ? [pid, ...childrenOf(pid)] : [pid]
    frozen = pids
    signalAll(pids, 'SIGSTOP')
    await sleep(ms)
    resumeAll()
  }

/** Kills PostgreSQL and leaves it down for a while. */
const fellPostgres =
  (ms: number) =>
  async (site: Site): Promise<void> => {
    const postgres = site.part('postgres')
    postgres.hold()
    process.kill(postgres.part().pid, 'SIGKILL')
    await sleep(ms)
    await postgres.release()
  }

const fellRedis =
  (ms: number) =>
  async (site: Site): Promise<void> => {
    await site.redis!.kill()
    await sleep(ms)
    await site.redis!.start()
  }

async function cutPostgres(site: Site): Promise<void> {
  const client = new pg.Client({ connectionString: site.sandbox.superuserUrl })
  await client.connect()
  await client.query(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()`)
  await client.end()
}

const cutRedis = async (site: Site): Promise<void> =>
  void (await site.redis!.client.call('CLIENT', 'KILL', 'SKIPME', 'yes', 'TYPE', 'normal'))

/** As a Redis that comes back from an older copy: what was done since is waiting again, what was added is gone. */
const restoreRedis =
  (ms: number) =>
  async (site: Site): Promise<void> => {
    const saved = await site.redis!.save()
    await sleep(ms)
    await site.redis!.restore(saved)
  }

type Maker = (random: Random) => Fault

const plain = (kind: string, kills: boolean, strike: Fault['strike']): Maker => {
  return () => ({ kind, kills, lastsMs: 0, store: null, strike })
}

const onBoth: readonly Maker[] = [
  ...PROCESSES.map((name) => plain(`SIGKILL ${name}`, true, signal(name, 'SIGKILL'))),
  // What works most dies most.
  plain('SIGKILL worker', true, signal('worker', 'SIGKILL')),
  ...PROCESSES.map((name): Maker => (random) => {
    const lastsMs = random.between(500, 6_000)
    return { kind: `SIGSTOP ${name}`, kills: false, lastsMs, store: null, strike: freeze(name, lastsMs) }
  }),
  ...DEPLOYED.map((name) => plain(`SIGTERM ${name}`, false, signal(name, 'SIGTERM'))),
  (random) => {
    const lastsMs = random.between(0, 4_000)
    return { kind: 'SIGKILL postgres', kills: true, lastsMs, store: 'postgres', strike: fellPostgres(lastsMs) }
  },
  (random) => {
    const lastsMs = random.between(500, 6_000)
    const strike = freeze('postgres', lastsMs)
    return { kind: 'SIGSTOP postgres', kills: false, lastsMs, store: 'postgres', strike }
  },
  () => ({ kind: 'PostgreSQL connections cut', kills: false, lastsMs: 0, store: 'postgres', strike: cutPostgres }),
]

const onRedis: readonly Maker[] = [
  (random) => {
    const lastsMs = random.between(0, 8_000)
    return { kind: 'SIGKILL redis', kills: true, lastsMs, store: 'redis', strike: fellRedis(lastsMs) }
  },
  (random) => {
    const lastsMs = random.between(500, 8_000)
    return { kind: 'SIGSTOP redis', kills: false, lastsMs, store: 'redis', strike: freeze('redis', lastsMs) }
  },
  () => ({ kind: 'Redis connections cut', kills: false, lastsMs: 0, store: 'redis', strike: cutRedis }),
  () => ({
    kind: 'FLUSHALL',
    kills: false,
    lastsMs: 0,
    store: 'redis',
    strike: async (site) => void (await site.redis!.client.flushall()),
  }),
  (random) => {
    const lastsMs = random.between(200, 4_000)
    return {
      kind: 'Redis restored from an older file',
      kills: true,
      lastsMs,
      store: 'redis',
      strike: restoreRedis(lastsMs),
    }
  },
]

const makersOf = (backend: Site['backend']): readonly Maker[] =>
  backend === 'redis' ? [...onBoth, ...onRedis] : onBoth

/**
 * An endless row of faults, the same for the same random numbers: every kind comes once before any comes again.
 */
export function* faultsOf(backend: Site['backend'], random: Random): Generator<Fault> {
  for (;;) {
    const left = [...makersOf(backend)]
    while (left.length > 0) yield left.splice(random.below(left.length), 1)[0]!(random)
  }
}

export const kindsOf = (backend: Site['backend']): number =>
  new Set(
    makersOf(backend).map(
      (make) => make({ below: () => 0, between: (low) => low, chance: () => false, pick: (from) => from[0]! }).kind,
    ),
  ).size
