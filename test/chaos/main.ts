// npm run chaos: a whole Perdiem in real processes, killed, stopped and cut off from its stores in every way we know,
// and judged by code that shares nothing with it but the schema. Exits 0 only if nothing was lost and nothing doubled.
import { parseArgs } from 'node:util'
import { redisMissing } from '../support/redis.ts'
import { kindsOf, resumeAll } from './faults.ts'
import { runPoints } from './points.ts'
import { closeAll, type BackendName } from './site.ts'
import { runStorm, type StormResult } from './storm.ts'
import { describeViolations, type Violation } from './truth/verify.ts'

const HELP = `npm run chaos -- [points|storm] [--backend postgres|redis] [--seed N] [--faults N]

  points     every crash point once, in the life of one account (default: both)
  storm      a month of several accounts under faults, months until so many have struck
  --backend  where the queues are kept (default: one after the other)
  --seed N   replays a storm (default: a fresh one, which is printed)
  --faults N how many faults strike in a storm, at least (default 40)`

const BOUNDS_MS = {
  redis: { redis: 15_000, postgres: 10_000 },
  postgres: { redis: 15_000, postgres: 20_000 },
} as const

interface Chosen {
  readonly points: boolean
  readonly storm: boolean
  readonly backends: readonly BackendName[]
  readonly seed: number
  readonly faults: number
}

function choose(): Chosen {
  try {
    const { values, positionals } = parseArgs({
      options: {
        backend: { type: 'string' },
        seed: { type: 'string' },
        faults: { type: 'string', default: '40' },
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    })
    if (values.help) {
      console.log(HELP)
      process.exit(0)
    }
    const unknown = positionals.find((one) => one !== 'points' && one !== 'storm')
    if (unknown !== undefined) throw new Error(`There is no ${unknown}.`)
    const { backend } = values
    if (backend !== undefined && backend !== 'postgres' && backend !== 'redis') {
      throw new Error('--backend is postgres or redis.')
    }
    if (backend === 'redis' && redisMissing !== null) throw new Error(redisMissing)
    const number = (name: string, text: string, least: number): number => {
      const value = Number(text)
      if (!Number.isSafeInteger(value) || value < least)
        throw new Error(`--${name} is to be a number from ${least} on.`)
      return value
    }
    return {
      points: positionals.length === 0 || positionals.includes('points'),
      storm: positionals.length === 0 || positionals.includes('storm'),
      backends: backend ? [backend] : redisMissing === null ? ['postgres', 'redis'] : ['postgres'],
      seed: number('seed', values.seed ?? String(Math.floor(Math.random() * 1_000_000)), 0),
      faults: number('faults', values.faults, 1),
    }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
}

const begun = performance.now()
const say = (line: string): void =>
  console.log(`${((performance.now() - begun) / 1_000).toFixed(0).padStart(5)} s  ${line}`)

function tell(violations: readonly Violation[]): boolean {
  console.log(violations.length === 0 ? '0 violations' : describeViolations(violations))
  return violations.length === 0
}

async function points(backend: BackendName): Promise<boolean> {
  say(`crash points, queues in ${backend}`)
  const { struck, missed, violations } = await runPoints(backend, say)
  console.log(`\n${struck.length} crash points struck${missed.length > 0 ? `; not reached: ${missed.join(', ')}` : ''}`)
  return tell(violations) && missed.length === 0
}

function late(backend: BackendName, { recovery }: StormResult): string[] {
  return Object.entries(recovery).flatMap(([store, { ms, kind }]) => {
    const bound = BOUNDS_MS[backend][store as 'redis' | 'postgres']
    console.log(`worst recovery of ${store}: ${ms} ms, after ${kind} (bound ${bound} ms)`)
    return ms > bound ? [`${store} took ${ms} ms`] : []
  })
}

async function storm(backend: BackendName, { seed, faults }: Chosen): Promise<boolean> {
  say(`storm, queues in ${backend}, seed ${seed}`)
  const result = await runStorm({ backend, seed, faults, say })
  const struck = [...result.struck].sort(([, a], [, b]) => b - a)
  const total = struck.reduce((sum, [, count]) => sum + count, 0)
  console.log(`\n${struck.map(([kind, count]) => `${String(count).padStart(5)}  ${kind}`).join('\n')}`)
  const kinds = `${struck.length} kinds (of ${kindsOf(backend)})`
  console.log(`${total} faults of ${kinds}, ${result.kills} kills, ${result.months} months`)
  const slow = late(backend, result)
  const right = tell(result.violations) && slow.length === 0
  if (!right) console.log(`Again: npm run chaos -- storm --backend ${backend} --seed ${seed} --faults ${faults}`)
  return right
}

const chosen = choose()
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupted) return
    interrupted = true
    console.log('\nStopping …')
    resumeAll()
    void closeAll().finally(() => process.exit(130))
  })
}
if (redisMissing !== null) console.log(`Redis is left out: ${redisMissing}.`)
let right = true
for (const backend of chosen.backends) {
  if (chosen.points) right = (await points(backend)) && right
  if (chosen.storm) right = (await storm(backend, chosen)) && right
}
console.log(right ? '\nNothing was lost, and nothing happened twice.' : '\nSomething is wrong.')
process.exit(right ? 0 : 1)
