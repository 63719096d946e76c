// One account, one month, three licenses; and at every named point, before and after every commit, provider call,
// enqueue, number, file and mail, the process that comes there first is killed. In the end nothing is missing and
// nothing is there twice.
import { POINTS } from './points-list.ts'
import { openSite, type BackendName, type Site } from './site.ts'
import { verify, type Violation } from './truth/verify.ts'
import { mergeLedgers } from './workload/ledger.ts'
import { createWorkload, PRESETS, type Workload } from './workload/workload.ts'

export interface PointsResult {
  readonly struck: readonly string[]
  /** Points of the list that nothing came by. */
  readonly missed: readonly string[]
  readonly violations: readonly Violation[]
}

/**
 * A process that is killed at one point may have been about to pass another in the same instant, for the only time in
 * its month: such points are struck in the life of a second account, or a third.
 */
const LIVES_MAX = 3
/** After `mailer.send 1`, and before and in the transaction that follows it. */
const BETWEEN_YES_AND_COMMIT = 3

const monthOf = (life: number): string => `2026-${10 + life}`

export async function runPoints(backend: BackendName, say: (line: string) => void): Promise<PointsResult> {
  const site = await openSite({ backend, now: `${monthOf(0)}-01T00:00:00Z`, crashes: true, say: () => {} })
  const missed = (): string[] => POINTS.filter((point) => !site.struck().includes(point))
  try {
    const lives: Workload[] = []
    while (lives.length < LIVES_MAX && (lives.length === 0 || missed().length > 0)) {
      lives.push(await live(site, lives.length, say))
    }
    const ledger = mergeLedgers(lives.map((one) => one.ledger))
    const violations = await verify({ ...site.case(ledger), mailsAgain: BETWEEN_YES_AND_COMMIT })
    return { struck: site.struck(), missed: missed(), violations }
  } finally {
    await site.stop()
  }
}

async function live(site: Site, life: number, say: (line: string) => void): Promise<Workload> {
  const { url, operatorKey } = site.sandbox
  const shape = PRESETS.small
  const workload = createWorkload({ url, operatorKey, seed: 1, tag: `life${life}`, month: monthOf(life), shape })
  for (const step of workload.steps()) {
    say(`${site.struck().length} points struck; ${step.name}`)
    await step.run()
  }
  return workload
}
