// What a history has about it: so that a run can say, and a test can ask, what it has tried.
import { dateAt } from '../support/naive/calendar.ts'
import type { History, Hold, Instant, License } from '../support/naive/history.ts'
import type { Statement } from '../support/naive/statement.ts'
import { wallTime, type Scene } from './scene.ts'

const DAY = 86_400_000

/** Of the scene: the same for all its histories. */
export function traitsOfScene({ zone, months, days, edges, jumps }: Scene): string[] {
  const lengths = edges.slice(1).map((end, n) => end - edges[n]!)
  const traits = months.map((month) => {
    const count = days.filter((day) => day.startsWith(month)).length
    return `a month of ${count} days`
  })
  if (months.length === 2) traits.push('two months')
  if (lengths.some((length) => length < DAY)) traits.push('a day of less than 24 hours')
  if (lengths.some((length) => length > DAY)) traits.push('a day of more than 24 hours')
  if (edges.some((at) => wallTime(at, zone) % DAY !== 0)) traits.push('a day without midnight')
  const dateOf = (wall: number): number => Math.floor(wall / DAY)
  const MINUTE = 60_000
  const isOverMidnight = (at: Instant): boolean =>
    dateOf(wallTime(at - MINUTE, zone) + MINUTE) > dateOf(wallTime(at, zone))
  if (jumps.some(isOverMidnight)) traits.push('clocks that go back over midnight')
  // Half an hour after the first midnight of all, and a date before it is on the wall again.
  const returns = edges.slice(1).some((at, n) => {
    const day = dateAt(at, zone)
    return [1, 30, 90].some((minutes) => dateAt(at + minutes * 60_000, zone) < day) && at > edges[n]!
  })
  if (returns) traits.push('a date that returns')
  return traits
}

function traitsOfHold(hold: Hold, license: License, others: readonly Hold[]): string[] {
  const { since, until } = hold
  const traits: string[] = []
  const tell = (trait: string, is: boolean): void => void (is && traits.push(trait))
  const isEmpty = until === since
  tell('an empty hold', isEmpty)
  if (isEmpty) return traits
  const ends = until ?? Infinity
  const rest = others.filter((other) => other !== hold && other.until !== other.since)
  tell('an open hold', until === null)
  tell('a hold from the issue', since === license.issued)
  tell('a hold from before the issue, past it', since < license.issued && ends > license.issued)
  tell('a hold until the issue', until === license.issued)
  tell('a hold until the revocation', until !== null && until === license.revoked)
  tell('a hold from the revocation', since === license.revoked)
  tell('revoked while paused', license.revoked !== null && since < license.revoked && ends > license.revoked)
  tell(
    'holds that touch',
    rest.some((other) => other.since === until),
  )
  tell(
    'holds that overlap',
    rest.some((other) => other.since > since && other.since < ends),
  )
  return traits
}

function traitsOfPrices({ prices, currency, months, billFrom }: History, statement: Statement): string[] {
  const first = `${months[0]}-01`
  const mine = prices.filter((price) => price.currency === currency)
  const inside = (day: string | null): boolean => day !== null && day > first && day < `${months.at(-1)}-32`
  const traits = [`currency ${currency}`]
  if (mine.some(({ from }) => inside(from))) traits.push('a price from within')
  if (mine.some(({ own }) => own)) traits.push('an own price')
  if (mine.some(({ own, endsOn }) => own && inside(endsOn))) traits.push('an own price that ends within')
  if (mine.some(({ own, endsOn }) => !own && inside(endsOn))) traits.push('a list price that ends within')
  if (mine.some(({ billWhilePaused }) => billWhilePaused)) traits.push('a price that bills pauses')
  if (mine.length < prices.length) traits.push('a price in another currency')
  if (billFrom > first) traits.push('billed from within a month')
  const told = [...statement.entries()]
  if (told.some(([, words]) => words.endsWith(', parked'))) traits.push('parked')
  if (!told.some(([key]) => key.endsWith(' invoice'))) traits.push('no invoice')
  if (told.some(([, words]) => / [1-9]\d* paused$/.test(words))) traits.push('a day paused whole')
  return traits
}

/** Of one history: each trait once. */
export function traitsOf(history: History, scene: Scene, statement: Statement): Set<string> {
  const traits = new Set(traitsOfPrices(history, statement))
  const at = (instants: readonly Instant[], shift: number, instant: Instant | null): boolean =>
    instant !== null && instants.includes(instant - shift)
  for (const [n, license] of history.licenses.entries()) {
    const holds = history.holds.filter(({ members }) => members.includes(n))
    for (const hold of holds) for (const trait of traitsOfHold(hold, license, holds)) traits.add(trait)
    const instants = [license.issued, license.revoked, ...holds.flatMap(({ since, until }) => [since, until])]
    if (license.issued === license.revoked) traits.add('issued and revoked in one instant')
    if (instants.some((one) => at(scene.edges, 0, one))) traits.add('something as a day begins')
    if (instants.some((one) => at(scene.edges, -1, one))) traits.add('something 1 ms before a day begins')
    if (instants.some((one) => at(scene.edges, -1_000, one))) traits.add('something at 23:59:59')
    if (instants.some((one) => at(scene.monthEdges, 0, one))) traits.add('something as a month begins or ends')
    if (instants.some((one) => at(scene.jumps, 0, one))) traits.add('something as the clocks change')
  }
  return traits
}
