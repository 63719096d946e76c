// The watchdog of a worker that looks healthy and takes no jobs. Time is told to it, so that minutes pass at once. That
// real workers take real canaries is in queue.test.ts.
import { describe, expect, it } from 'vitest'
import type { Appetite } from '../../../apps/adapters/queue.ts'
import { createWatchdog } from '../../../apps/adapters/watchdog.ts'

const LOOK = 2_000

/** A queue whose canaries are taken, or not, by this worker or another. */
function scene(taken: (now: number) => 'by us' | 'by another' | 'by nobody') {
  let now = 0
  let tookAt = 0
  let full = false
  let away = false
  let deaf = false
  const canaries: number[] = []
  const starved: number[] = []
  const watchdog = createWatchdog({
    appetite: (): ReadonlyMap<string, Appetite> => new Map([['usage', { tookAt, full }]]),
    away: async () => away,
    addCanary: async () => {
      if (deaf) throw new Error('no answer')
      canaries.push(now)
      if (taken(now) === 'by us') tookAt = now
      return `canary-${now}`
    },
    state: async () => (taken(now) === 'by nobody' ? 'pending' : 'unknown'),
    starved: () => void starved.push(now),
  })
  return {
    canaries,
    starved,
    fill: (is: boolean) => void (full = is),
    leave: (is: boolean) => void (away = is),
    deafen: (is: boolean) => void (deaf = is),
    async until(end: number, step = LOOK) {
      while (now < end && starved.length === 0) {
        now += step
        await watchdog.look(now)
      }
    },
  }
}

describe('a worker', () => {
  it('whose canary nobody takes ends 30 s after it last took a job', async () => {
    const { until, starved, canaries } = scene(() => 'by nobody')
    await until(120_000)
    expect(starved).toHaveLength(1)
    expect(starved[0]).toBeGreaterThanOrEqual(30_000)
    expect(starved[0]).toBeLessThanOrEqual(30_000 + 2 * LOOK)
    // One is enough, and more would pile up.
    expect(canaries).toHaveLength(1)
    expect(canaries[0]).toBeGreaterThanOrEqual(10_000)
  })

  it('that takes them lives on, with one canary in some ten seconds', async () => {
    const { until, starved, canaries } = scene(() => 'by us')
    await until(600_000)
    expect(starved).toEqual([])
    expect(canaries.length).toBeLessThanOrEqual(60)
  })

  it('lives on where another, nearer to the store, takes every one: the queue is served', async () => {
    const { until, starved } = scene(() => 'by another')
    await until(3_600_000)
    expect(starved).toEqual([])
  })

  it('that has its hands full lives on, however long its job is; and must eat again when it is done', async () => {
    const { until, starved, canaries, fill } = scene(() => 'by nobody')
    fill(true)
    await until(600_000)
    expect([starved, canaries]).toEqual([[], []])
    fill(false)
    await until(700_000)
    expect(starved[0]).toBeGreaterThanOrEqual(630_000)
  })

  it('whose store is away is not to blame; it is given its time from when the store is back', async () => {
    const { until, starved, leave } = scene(() => 'by nobody')
    leave(true)
    await until(200_000)
    leave(false)
    await until(600_000)
    expect(starved[0]).toBeGreaterThanOrEqual(220_000)
    expect(starved[0]).toBeLessThanOrEqual(240_000)
  })

  it('that is deaf to a store that is there ends', async () => {
    const { until, starved, deafen } = scene(() => 'by us')
    deafen(true)
    await until(600_000)
    expect(starved[0]).toBeLessThanOrEqual(30_000 + 2 * LOOK)
  })

  it('that was stopped for a minute has starved for no one', async () => {
    const { until, starved } = scene(() => 'by nobody')
    await until(8_000)
    await until(70_000, 60_000)
    expect(starved).toEqual([])
    await until(200_000)
    expect(starved[0]).toBeGreaterThanOrEqual(68_000 + 30_000)
  })
})
