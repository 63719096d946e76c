// Random histories whose instants crowd at the edges of days and into one another.
import { dayPlus } from '../support/naive/calendar.ts'
import type { Day, History, Hold, Instant, License, Price } from '../support/naive/history.ts'
import { createRandom, type Random } from './random.ts'
import { HISTORIES_PER_SCENE, sceneOf, type Scene } from './scene.ts'

const DAY = 86_400_000
const CURRENCIES = ['usd', 'eur', 'jpy', 'kwd'] as const
/** Among them amounts whose daily rate ends on half a minor unit, none at all, and as many digits as there can be. */
const AMOUNTS = ['10', '24.95', '4.95', '30', '0.45625', '4.5625', '45.625', '0', '0.000001', '1234.567891', '99999.99']

type Draw = () => Instant

/** Instants near the edges of days and months and near changes of the clocks, many of them drawn again and again. */
function drawer(random: Random, scene: Scene): Draw {
  const { edges, monthEdges, jumps, now } = scene
  const fresh = (): Instant => {
    const shift = random.pick([0, 0, 0, 0, -1, -1, 1, -1_000, 1_000, 1_800_000, -1_800_000, 3_600_000, -3_600_000])
    const where = random.below(20)
    if (where < 8) return random.pick(edges) + shift
    if (where < 12) return random.pick(monthEdges) + shift
    if (where < 15 && jumps.length > 0) return random.pick(jumps) + shift
    return random.between(edges[0]!, now)
  }
  const pool = Array.from({ length: random.between(2, 7) }, fresh)
  return () => Math.min(now, random.chance(0.75) ? random.pick(pool) : fresh())
}

/** An instant that is not before another; as a rule a later one. */
function drawAfter(draw: Draw, at: Instant): Instant {
  const drawn = [draw(), draw(), draw(), draw()]
  return drawn.find((other) => other > at) ?? at
}

function license(random: Random, draw: Draw, scene: Scene, products: readonly string[]): License {
  const product = random.pick(products)
  const longAgo = scene.edges[0]! - random.between(0, 400) * DAY - random.below(DAY)
  const issued = random.chance(0.25) ? longAgo : draw()
  const end = random.below(20)
  if (end < 9) return { product, issued, revoked: null }
  return { product, issued, revoked: end < 11 ? issued : drawAfter(draw, issued) }
}

function span(random: Random, draw: Draw, of: License, previous: Hold | undefined): Omit<Hold, 'members'> {
  const open = random.chance(0.25)
  const from = (since: Instant) => ({ since, until: open ? null : drawAfter(draw, since) })
  switch (random.below(8)) {
    case 0:
      return from(of.issued)
    case 1: {
      const since = of.issued - random.pick([1, 1_000, DAY, 40 * DAY])
      return { since, until: open ? null : random.chance(0.3) ? of.issued : drawAfter(draw, since) }
    }
    case 2:
      if (of.revoked !== null) return { since: Math.min(of.revoked, draw()), until: of.revoked }
      return from(draw())
    case 3:
    case 4:
      return from(previous?.until ?? draw())
    case 5: {
      const since = draw()
      return { since, until: since }
    }
    default:
      return from(draw())
  }
}

function holds(random: Random, draw: Draw, licenses: readonly License[]): Hold[] {
  const made: Hold[] = []
  if (licenses.length === 0) return made
  for (let left = random.pick([0, 0, 1, 1, 1, 2, 2, 3, 4]); left > 0; left -= 1) {
    const previous = made.at(-1)
    const subject = previous && random.chance(0.7) ? previous.members[0]! : random.below(licenses.length)
    const members = licenses.flatMap((_, n) => (n === subject || random.chance(0.35) ? [n] : []))
    made.push({ ...span(random, draw, licenses[subject]!, previous), members })
  }
  return made
}

/** Prices of one kind of one product: one per date. */
function versions(random: Random, scene: Scene, count: number, earliest: Day | null, fixed: Partial<Price>): Price[] {
  const [first, last] = [scene.days[0]!, scene.days.at(-1)!]
  const around = (): Day =>
    random.chance(0.25) ? random.pick([first, last, dayPlus(last, 1)]) : random.pick(scene.days)
  const dates = new Set(Array.from({ length: count }, (_, n) => (n === 0 && earliest !== null ? earliest : around())))
  return [...dates].map((from) => ({
    product: '',
    currency: '',
    own: false,
    monthly: random.pick(AMOUNTS),
    billWhilePaused: random.chance(0.35),
    ...fixed,
    from,
    endsOn: random.chance(fixed.own ? 0.5 : 0.06) ? dayPlus(from < first ? first : from, random.between(1, 30)) : null,
  }))
}

function prices(random: Random, scene: Scene, product: string, currency: string): Price[] {
  const first = scene.days[0]!
  const longAgo = random.pick(['2000-01-01', '2000-01-01', first, dayPlus(first, -1)])
  const list = random.chance(0.97) ? random.pick([1, 1, 1, 2, 2, 3]) : 0
  const own = random.pick([0, 0, 0, 0, 1, 1, 2])
  const other = random.pick(CURRENCIES.filter((one) => one !== currency))
  const all = versions(random, scene, list, random.chance(0.9) ? longAgo : null, { product, currency })
  all.push(...versions(random, scene, own, random.chance(0.4) ? longAgo : null, { product, currency, own: true }))
  if (random.chance(0.1)) all.push(...versions(random, scene, 1, null, { product, currency: other }))
  return all
}

/** History number `n` of a seed, in its scene. */
export function historyOf(
  seed: number,
  n: number,
  scene = sceneOf(seed, Math.floor(n / HISTORIES_PER_SCENE)),
): History {
  const random = createRandom(seed, n, 3)
  const draw = drawer(random, scene)
  const currency = random.pick(CURRENCIES)
  const products = ['A', 'B', 'C'].slice(0, random.between(1, 3))
  const licenses = Array.from({ length: random.between(1, 5) }, () => license(random, draw, scene, products))
  return {
    zone: scene.zone,
    months: scene.months,
    now: scene.now,
    billFrom: random.chance(0.6) ? scene.days[0]! : random.pick(scene.days),
    currency,
    products,
    prices: products.flatMap((product) => prices(random, scene, product, currency)),
    licenses,
    holds: holds(random, draw, licenses),
  }
}
