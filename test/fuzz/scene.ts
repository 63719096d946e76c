// A scene: one zone and one or two months, shared by many histories so that the jobs count them together. Everything
// follows from the seed and the scene's number.
import { dateAt, dayPlus, daysOfMonth, monthPlus, remembered, startOf } from '../support/naive/calendar.ts'
import type { Day, Instant, Month } from '../support/naive/history.ts'
import { createRandom } from './random.ts'
import { PLACES } from './zones.ts'

/** How many histories share a scene. Fixed, so that seed and number name a history; a job takes at most 500. */
export const HISTORIES_PER_SCENE = 200

export interface Scene {
  readonly zone: string
  readonly months: readonly Month[]
  readonly days: readonly Day[]
  /** The starts of the days, of one before and of the one after. */
  readonly edges: readonly Instant[]
  /** The starts of the months, and the end of the last. */
  readonly monthEdges: readonly Instant[]
  /** Instants in which the clocks change. */
  readonly jumps: readonly Instant[]
  /** After the months' end, before any invoice day. */
  readonly now: Instant
}

const QUARTER = 900_000
const DAY = 86_400_000
const start = remembered(startOf)

const times = new Map<string, Intl.DateTimeFormat>()
/** What a wall clock shows, as if it were UTC. */
export function wallTime(at: Instant, zone: string): number {
  let format = times.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    times.set(zone, format)
  }
  return Date.parse(`${dateAt(at, zone)}T${format.format(at)}:00Z`)
}

/** Where within a day of other than 24 hours the clocks change, to the minute. */
function jumpIn(day: Day, zone: string): Instant[] {
  const [from, to] = [start(day, zone), start(dayPlus(day, 1), zone)]
  if (to - from === DAY) return []
  const offset = (at: Instant): number => wallTime(at, zone) - at
  for (let at = from - QUARTER; at < to + QUARTER; at += 60_000) {
    if (offset(at) !== offset(at + 60_000)) return [at + 60_000]
  }
  return []
}

function monthsOf(seed: number, n: number): { zone: string; months: Month[] } {
  const random = createRandom(seed, n, 1)
  const [zone, ...special] = PLACES[n % PLACES.length]!
  // The first round visits what is odd about each zone; later ones half of the time any month at all.
  const isOdd = n < PLACES.length || random.chance(0.5)
  const any = `${random.between(2012, 2031)}-${String(random.between(1, 12)).padStart(2, '0')}`
  const month = isOdd ? random.pick(special) : any
  const other = random.pick([-1, 1])
  if (!random.chance(0.2)) return { zone, months: [month] }
  return { zone, months: [month, monthPlus(month, other)].sort() }
}

export function sceneOf(seed: number, n: number): Scene {
  const { zone, months } = monthsOf(seed, n)
  const days = months.flatMap(daysOfMonth)
  const [first, end] = [days[0]!, dayPlus(days.at(-1)!, 1)]
  const edges = [dayPlus(first, -1), ...days, end].map((day) => start(day, zone))
  const monthEdges = [...months.map((month) => start(`${month}-01`, zone)), edges.at(-1)!]
  const now = edges.at(-1)! + createRandom(seed, n, 2).pick([0, 1, 18_000_000])
  const jumps = [dayPlus(first, -1), ...days, end].flatMap((day) => jumpIn(day, zone))
  return { zone, months, days, edges, monthEdges, jumps, now }
}
