// A whole Perdiem to be killed: real PostgreSQL, real Redis where asked for, the Stripe stand-in and every process of
// the Procfile, each in a process of its own, kept running by the sandbox's own supervisor.
import { readdirSync } from 'node:fs'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pointOf } from '../../apps/sandbox/crash-points.ts'
import type { Kept, Part } from '../../apps/sandbox/keep.ts'
import { deleteHome } from '../../apps/sandbox/postgres-place.ts'
import { startSandbox, type Sandbox } from '../../apps/sandbox/sandbox.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import type { Case } from './truth/verify.ts'
import type { Ledger } from './workload/ledger.ts'

export type BackendName = 'postgres' | 'redis'

export interface SiteOptions {
  readonly backend: BackendName
  /** Starting instant of business time. */
  readonly now: string
  /** Arms every crash point. */
  readonly crashes?: boolean
  /** How many processes of a line of the Procfile, where not one. */
  readonly counts?: Readonly<Record<string, number>>
  readonly say: (line: string) => void
}

export interface Site {
  readonly backend: BackendName
  readonly sandbox: Sandbox
  readonly redis: TestRedis | null
  readonly home: string
  part(name: string): Kept<Part>
  /** What the oracle needs. */
  case(ledger: Ledger): Case
  /** Names of the crash points that have struck. */
  struck(): string[]
  /** Null while everything is kept running. */
  givenUp(): string | null
  stop(): Promise<void>
}

/** Every kill is followed by a start; PostgreSQL must have room for connections whose process has just died. */
const POSTGRES = { max_connections: '400' }
/** At crash points a dead worker's job is taken over so soon; storms have production's lock. */
const LOCK_MS = 500
/** Programs start in half the time when they need not be read anew. */
const COMPILE_CACHE = join(tmpdir(), 'perdiem-compile-cache')
const OPERATOR_KEY = 'an-operator-key-for-storms'

/** What is to be cleared away when somebody has seen enough. */
const open = new Set<() => Promise<void>>()
export const closeAll = async (): Promise<void> => void (await Promise.allSettled([...open].map((close) => close())))

export async function openSite(options: SiteOptions): Promise<Site> {
  const home = await mkdtemp(join(tmpdir(), 'perdiem-chaos-'))
  // As root, PostgreSQL runs as another user, who can keep its data in there only if let through.
  await chmod(home, 0o711)
  const crashes = join(home, 'crashes')
  const redis = options.backend === 'redis' ? await startRedis() : null
  let givenUp: string | null = null
  let sandbox: Sandbox | null = null
  const close = async (): Promise<void> => {
    open.delete(close)
    await sandbox?.stop()
    await redis?.stop()
    deleteHome(home)
  }
  open.add(close)
  try {
    const started = await startSandbox({
      home,
      port: 0,
      operatorKey: OPERATOR_KEY,
      now: options.now,
      redisUrl: redis?.url,
      counts: options.counts ?? {},
      postgres: POSTGRES,
      environment: {
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        ...(options.crashes && { CHAOS_CRASHES: crashes, CHAOS_LOCK_MS: String(LOCK_MS) }),
      },
      endsPerMinute: Infinity,
      say: options.say,
      onExit: (name, how) => (givenUp = `${name} (${how})`),
    })
    sandbox = started
    return {
      backend: options.backend,
      sandbox: started,
      redis,
      home,
      part: (name) => started.parts.find((part) => part.name === name)!,
      case: (ledger) => ({
        databaseUrl: started.superuserUrl,
        standInBook: join(home, 'stripe', 'stripe.sqlite'),
        mails: join(home, 'mail'),
        files: join(home, 'files'),
        ledger,
      }),
      struck: () => readdirSync(crashes).map(pointOf).sort(),
      givenUp: () => givenUp,
      stop: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
