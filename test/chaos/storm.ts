// A storm: a workload lives through its month while faults strike, one after another, until so many have. Then all
// comes to rest, and the oracle judges; then everything is started anew from what is on disk, and it judges again.
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom } from '../fuzz/random.ts'
import { faultsOf, type Fault, type Store } from './faults.ts'
import { createProbes } from './recovery.ts'
import { openSite, type BackendName, type Site } from './site.ts'
import { snapshot, verify, type Violation } from './truth/verify.ts'
import { mergeLedgers } from './workload/ledger.ts'
import { createWorkload, PRESETS, type Workload } from './workload/workload.ts'

export interface StormOptions {
  readonly backend: BackendName
  readonly seed: number
  /** How many faults strike at least; months are lived until they have. */
  readonly faults: number
  /** Told what happens, line by line. */
  readonly say: (line: string) => void
}

export interface StormResult {
  readonly struck: ReadonlyMap<string, number>
  readonly kills: number
  readonly months: number
  /** The longest time from a store's return to all work going on, in ms. */
  readonly recovery: Readonly<Partial<Record<Store, { readonly ms: number; readonly kind: string }>>>
  readonly violations: readonly Violation[]
}

const FIRST_MONTH = 10
const FIRST_YEAR = 2026
/** Between two faults: long enough for work to begin, short enough for the next to strike in the middle of it. */
const PAUSE_MS = [100, 1_500] as const

const monthOf = (n: number): string => new Date(Date.UTC(FIRST_YEAR, FIRST_MONTH - 1 + n, 1)).toISOString().slice(0, 7)

interface Weather {
  readonly struck: Map<string, number>
  readonly recovery: Partial<Record<Store, { ms: number; kind: string }>>
  kills: number
}

export async function runStorm(options: StormOptions): Promise<StormResult> {
  const { backend, seed, say } = options
  const site = await openSite({ backend, now: `${monthOf(0)}-01T00:00:00Z`, counts: { worker: 2 }, say: () => {} })
  const weather: Weather = { struck: new Map(), recovery: {}, kills: 0 }
  try {
    const workloads: Workload[] = []
    const random = createRandom(seed, 1)
    const faults = faultsOf(backend, random)
    const count = (): number => [...weather.struck.values()].reduce((sum, one) => sum + one, 0)
    const violations: Violation[] = []
    for (let month = 0; month === 0 || count() < options.faults; month += 1) {
      const workload = openMonth(site, seed, month)
      workloads.push(workload)
      let living = true
      const life = live(workload, (step) => {
        say(`${monthOf(month)} ${step}`)
        // The last step proves that all is done, which no fault may prevent.
        living = step !== 'rest'
      }).finally(() => (living = false))
      const enough = (): boolean => !living || count() >= options.faults
      await Promise.all([life, rage({ site, faults, weather, enough, random, say })])
      violations.push(...(await judge(site, workloads, count())))
      say(`${monthOf(month)} judged: ${violations.length} violations so far, ${count()} faults`)
      if (violations.length > 0) break
    }
    return { ...weather, months: workloads.length, violations }
  } finally {
    await site.stop()
  }
}

const openMonth = (site: Site, seed: number, month: number): Workload =>
  createWorkload({
    url: site.sandbox.url,
    operatorKey: site.sandbox.operatorKey,
    seed: seed + month,
    tag: `s${seed}m${month}`,
    month: monthOf(month),
    shape: PRESETS.storm,
  })

async function live(workload: Workload, begins: (step: string) => void): Promise<void> {
  for (const step of workload.steps()) {
    begins(step.name)
    await step.run()
  }
}

interface Rage {
  readonly site: Site
  readonly faults: Generator<Fault>
  readonly weather: Weather
  readonly enough: () => boolean
  readonly random: ReturnType<typeof createRandom>
  readonly say: (line: string) => void
}

async function rage({ site, faults, weather, enough, random, say }: Rage): Promise<void> {
  while (!enough()) {
    await sleep(random.between(...PAUSE_MS))
    if (enough()) return
    const fault = faults.next().value as Fault
    say(`  ${fault.kind}${fault.lastsMs > 0 ? `, ${fault.lastsMs} ms` : ''}`)
    weather.struck.set(fault.kind, (weather.struck.get(fault.kind) ?? 0) + 1)
    if (fault.kills) weather.kills += 1
    if (fault.store === null) await fault.strike(site)
    else await strikeStore(site, fault, fault.store, weather, say)
    if (site.givenUp() !== null) throw new Error(`given up: ${site.givenUp()}`)
  }
}

async function strikeStore(
  site: Site,
  fault: Fault,
  store: Store,
  weather: Weather,
  say: (line: string) => void,
): Promise<void> {
  const probes = createProbes(site)
  await probes.stage()
  const meanwhile = store === 'redis' ? sleep(fault.lastsMs / 2).then(() => probes.stage()) : null
  await Promise.all([fault.strike(site), meanwhile])
  const back = performance.now()
  await probes.stage().catch(() => {})
  await probes.done()
  const ms = Math.round(performance.now() - back)
  say(`  … work went on after ${ms} ms`)
  if (ms > (weather.recovery[store]?.ms ?? -1)) weather.recovery[store] = { ms, kind: fault.kind }
}

/** Judges what is there, and once more after everything was stopped and started again. */
async function judge(site: Site, workloads: readonly Workload[], faults: number): Promise<Violation[]> {
  const of = { ...site.case(mergeLedgers(workloads.map(({ ledger }) => ledger))), mailsAgain: faults }
  const before = await verify(of)
  const earlier = await snapshot(site.sandbox.superuserUrl)
  for (const name of ['web', 'worker', 'documents']) {
    await site.part(name).down()
    await site.part(name).release()
  }
  for (const workload of workloads) await workload.settle()
  return [...before, ...(await verify({ ...of, earlier }))]
}
