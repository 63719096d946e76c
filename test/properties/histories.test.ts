// Ten thousand random histories, crowded around local midnights and changes of the clocks in some fifty zones: what the
// jobs count, recount and draft is what the naive count says, to the day and to the minor unit (I1). Which ones they
// are is drawn anew by each run; a failure names its seed. `npm run fuzz` does the same for as long as one likes.
import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explain, runCampaign, type Report } from '../fuzz/campaign.ts'
import { openLane, type Lane } from '../fuzz/drive.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'

const HISTORIES = 10_000
const LANES = 2
const SEED = randomInt(2 ** 31)
const SHOWN = 3

let databases: TestDatabase[] = []
let lanes: Lane[] = []
let report: Report

beforeAll(async () => {
  databases = await Promise.all(Array.from({ length: LANES }, () => createTestDatabase()))
  lanes = await Promise.all(databases.map(openLane))
  report = await runCampaign({ seed: SEED, histories: HISTORIES, lanes })
}, 600_000)
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.close()))
  await Promise.all(databases.map((database) => database.drop()))
})

describe(`${HISTORIES} histories of seed ${SEED}`, () => {
  it('are counted, recounted and drafted as the naive count says', async () => {
    const told: string[] = []
    for (const difference of report.differences.slice(0, SHOWN)) told.push(await explain(lanes[0]!, difference))
    expect(told.join('\n\n')).toBe('')
    expect([report.histories, report.differences]).toEqual([HISTORIES, []])
  })

  it('would have shown it if any rule were broken', () => {
    expect(report.unnoticed).toEqual([])
  })

  const TRIED = [
    ...[28, 29, 30, 31].map((days) => `a month of ${days} days`),
    ...[
      'a day of less than 24 hours',
      'a day of more than 24 hours',
      'a day without midnight',
      'clocks that go back over midnight',
    ],
    ...['a date that returns', 'two months', 'something as a day begins', 'something 1 ms before a day begins'],
    ...['something at 23:59:59', 'something as a month begins or ends', 'something as the clocks change'],
    ...['issued and revoked in one instant', 'revoked while paused', 'a day paused whole', 'an open hold'],
    ...['an empty hold', 'holds that touch', 'holds that overlap', 'a hold from the issue', 'a hold until the issue'],
    ...['a hold from before the issue, past it', 'a hold until the revocation', 'a hold from the revocation'],
    ...['a price from within', 'an own price', 'an own price that ends within', 'a list price that ends within'],
    ...['a price that bills pauses', 'a price in another currency', 'billed from within a month', 'parked'],
    ...['no invoice', 'currency usd', 'currency eur', 'currency jpy', 'currency kwd'],
  ]
  it.each(TRIED)('tried %s', (trait) => {
    expect(report.traits.get(trait) ?? 0).toBeGreaterThanOrEqual(50)
  })
})
