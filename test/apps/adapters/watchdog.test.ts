// The watchdog of a worker that looks healthy and takes no jobs. Time is told to it, so that minutes pass at once. That
// real workers take real canaries is in queue.test.ts.
import { describe, expect, it } from 'vitest'
import type { Appetite } from '../../../apps/adapters/queue.ts'
import { createWatchdog } from '../../../apps/adapters/watchdog.ts'

const LOOK = 2_000

/** A queue whose worker takes a canary or does not. */
function scene(takes: (now: number) => boolean, reachable: (now: number) => boolean = () => true) {
  let now = 0
  let tookAt = 0
  let full = false
  const canaries: number[] = []
  const starved: number[] = []
  const watchdog = createWatchdog({
    appetite: (): ReadonlyMap<string, Appetite> => new Map([['usage', { tookAt, full }]]),
    addCanary: async () => {
      if (!reachable(now)) throw new Error('the store is away')
      canaries.push(now)
      if (takes(now)) tookAt = now
    },
    starved: () => void starved.push(now),
  })
  return {
    canaries,
    starved,
    fill: (is: boolean) => void (full = is),
    take: () => void (tookAt = now),
    async until(end: number, step = LOOK) {
      while (now < end && starved.length === 0) {
        now += step
        await watchdog.look(now)
      }
    },
  }
}

describe('a worker', () => {
  it('that takes no canary ends 30 s after it last took a job, and is given many before', async () => {
    const { until, starved, canaries } = scene(() => false)
    await until(120_000)
    expect(starved).toHaveLength(1)
    expect(starved[0]).toBeGreaterThanOrEqual(30_000)
    expect(starved[0]).toBeLessThanOrEqual(30_000 + 2 * LOOK)
    expect(canaries.length).toBeGreaterThanOrEqual(5)
    expect(canaries[0]).toBeGreaterThanOrEqual(10_000)
  })

  it('that takes them lives on, with one canary in some ten seconds', async () => {
    const { until, starved, canaries } = scene(() => true)
    await until(600_000)
    expect(starved).toEqual([])
    expect(canaries.length).toBeLessThanOrEqual(60)
  })

  it('that takes every fifth, because others take the rest, lives on', async () => {
    let n = 0
    const { until, starved } = scene(() => (n += 1) % 5 === 0)
    await until(600_000)
    expect(starved).toEqual([])
  })

  it('that has its hands full lives on, however long its job is; and must eat again when it is done', async () => {
    const { until, starved, canaries, fill } = scene(() => false)
    fill(true)
    await until(600_000)
    expect([starved, canaries]).toEqual([[], []])
    fill(false)
    await until(700_000)
    expect(starved[0]).toBeGreaterThanOrEqual(630_000)
  })

  it('whose store is away is not to blame; it is given its time from when the store is back', async () => {
    const { until, starved } = scene(
      () => false,
      (now) => now >= 200_000,
    )
    await until(600_000)
    expect(starved[0]).toBeGreaterThanOrEqual(220_000)
    expect(starved[0]).toBeLessThanOrEqual(240_000)
  })

  it('that was stopped for a minute has starved for no one', async () => {
    const { until, starved, take } = scene(() => false)
    take()
    await until(8_000)
    await until(70_000, 60_000)
    expect(starved).toEqual([])
    await until(200_000)
    expect(starved[0]).toBeGreaterThanOrEqual(68_000 + 30_000)
  })
})
