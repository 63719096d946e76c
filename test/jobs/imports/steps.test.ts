// A history imported in however many steps, each file longer than the one before, is the history: licenses and their
// stays on sites, sites and their clients.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../fuzz/random.ts'
import { filesOf } from '../../support/history-files.ts'
import { makeHistory } from '../../support/history.ts'
import { expectedLives, expectedSites, foundLives, foundSites } from '../../support/import-facts.ts'
import { runImport } from '../../support/imports.ts'
import { createWorld, type World } from '../../support/world.ts'

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]
const STEPS = 5

describe('imported in steps', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld('2026-05-02T12:00:00Z')
  })
  afterAll(() => world.close())

  it.each(SEEDS)('the history of seed %i is as a whole', async (seed) => {
    const random = createRandom(seed)
    const drawn = makeHistory({ seed, from: '2025-11-01T00:00:00Z', until: '2026-05-02T00:00:00Z', licenses: 60 })
    // One world for all: each seed's accounts are its own, and its list prices are everybody's.
    const own = (account: string): string => (account === '' ? '' : `${account}-${seed}`)
    const history = {
      accounts: drawn.accounts.map((one) => ({ ...one, account: own(one.account) })),
      prices: drawn.prices.map((one) => ({ ...one, account: own(one.account) })),
      events: drawn.events.map((one) => ({ ...one, account: own(one.account) })),
    }
    const { length } = history.events
    const cuts = Array.from({ length: STEPS - 1 }, () => random.below(length)).sort((a, b) => a - b)
    const mine = (told: string[]): string[] => told.filter((one) => one.split(' ')[0]!.endsWith(`-${seed}`))
    for (const cut of [...cuts, length]) {
      // Later rows are later: what happens in one instant comes in one file.
      const soFar = {
        ...history,
        events: history.events.filter(({ at }) => at < (history.events[cut]?.at ?? Infinity)),
      }
      const { failures } = await runImport(world, filesOf(soFar), '2026-05')
      expect(failures).toEqual([])
      expect(mine(await foundLives(world))).toEqual(expectedLives(soFar))
      expect(mine(await foundSites(world))).toEqual(expectedSites(soFar))
    }
    const { outcomes } = await runImport(world, filesOf(history), '2026-05')
    expect(new Set(Object.values(outcomes))).toEqual(new Set(['unchanged']))
  })
})
