// What the kill tests promise, on either backend; one file each, so that they run side by side.
import { expect, it } from 'vitest'
import { redisMissing } from '../support/redis.ts'
import { kindsOf } from './faults.ts'
import { POINTS } from './points-list.ts'
import { runPoints } from './points.ts'
import type { BackendName } from './site.ts'
import { runStorm } from './storm.ts'

const missing = (backend: BackendName): boolean => backend === 'redis' && redisMissing !== null

/** A hundred and fifty deaths, each followed by a start. */
const POINTS_MS = 900_000
const STORM_MS = 600_000
/** Every kind at least once. */
const faultsIn = (backend: BackendName): number => kindsOf(backend) + 4

/** Replays by `--seed`. */
const SEED = 20_261_122

export function crashPointsOn(backend: BackendName): void {
  it.skipIf(missing(backend))(
    'a process killed at any point leaves the same invoices, one charge each, and every action ended once',
    async () => {
      const steps: string[] = []
      const { struck, missed, violations } = await runPoints(backend, (line) => steps.push(line))
      expect({ violations, missed }).toEqual({ violations: [], missed: [] })
      expect(struck.length).toBeGreaterThanOrEqual(POINTS.length)
    },
    POINTS_MS,
  )
}

export function stormOn(backend: BackendName): void {
  it.skipIf(missing(backend))(
    'a month under every kind of fault ends with the same invoices, one charge each, and every action ended once',
    async () => {
      const lines: string[] = []
      const faults = faultsIn(backend)
      const { struck, violations, recovery } = await runStorm({
        ...{ backend, faults, seed: SEED },
        say: (line) => lines.push(line),
      })
      console.log(`storm on ${backend}: ${faults} faults of ${struck.size} kinds; recovery ${JSON.stringify(recovery)}`)
      expect(violations, lines.join('\n')).toEqual([])
      expect(struck.size).toBe(kindsOf(backend))
    },
    STORM_MS,
  )
}
