// What a workload is made of: accounts of several kinds, products, and who asks for what. Two ready ones: `small`, a
// life short enough to be lived again for every point a process can die at, and `storm`, one that has something of all.
import { createRandom, type Random } from '../../fuzz/random.ts'
import type { SiteWords, What, Wish } from './ledger.ts'

/** Stripe's test numbers. DECLINES can be kept on file; every charge of it is declined. */
export const CARD = {
  works: '4242424242424242',
  worksToo: '5555555555554444',
  declines: '4000000000000341',
} as const

export interface AccountShape {
  readonly name: string
  readonly zone: string
  readonly cards: readonly string[]
  readonly autopayCap: number | null
  readonly cardRequired: boolean
  /** Licenses it grows to. 0: it only ever buys one, on its last day, which is too little to charge. */
  readonly licenses: number
}

/** What a planner may know: licenses of an account that are issued for sure, in the order they were asked for. */
export interface Known {
  readonly index: number
  readonly shape: AccountShape
  readonly account: string
  readonly licenses: readonly string[]
  readonly sites: readonly SiteWords[]
  /** Somebody else's license, to be refused. */
  readonly foreign: string | null
  /** A key of this account that was used already, for something else. */
  readonly usedKey: string | null
}

export interface Planner {
  issues(known: Known, burst: number): Wish[]
  changes(known: Known, burst: number): Wish[]
}

export interface Shape {
  readonly accounts: readonly AccountShape[]
  readonly products: readonly { readonly name: string; readonly monthly: string | null }[]
  readonly planner: (seed: number, slugs: readonly string[]) => Planner
  /** Days of the month on which something happens, with the time of day in UTC. */
  readonly bursts: readonly string[]
}

const account = (name: string, zone: string, more: Partial<AccountShape> = {}): AccountShape => ({
  name,
  zone,
  cards: [CARD.works],
  autopayCap: 400_000,
  cardRequired: true,
  licenses: 3,
  ...more,
})

/** One account: three licenses, one of them assigned, one revoked; charged at the month's end. */
export const SMALL: Shape = {
  accounts: [account('Small', 'Europe/Berlin')],
  products: [{ name: 'backup', monthly: '10.00' }],
  bursts: ['01T12:00:00Z', '12T09:30:00Z', '20T21:59:59Z'],
  planner: (_seed, [product]) => ({
    issues: ({ account }, burst) => (burst === 0 ? [{ account, what: 'issue', product: product!, quantity: 3 }] : []),
    changes: ({ account, licenses, sites }, burst) => {
      if (burst === 1) return [{ account, what: 'assign', license: licenses[0]!, site: sites[1]! }]
      return burst === 2 ? [{ account, what: 'revoke', license: licenses[1]! }] : []
    },
  }),
}

const STORM_ZONES = ['Pacific/Auckland', 'Europe/Berlin', 'America/Los_Angeles']

/** An account of every kind that is treated differently, in turn; further ones are plain. */
function stormAccounts(count: number, licenses: number, zones: readonly string[]): AccountShape[] {
  const kinds: Partial<AccountShape>[] = [
    {},
    { cards: [CARD.declines, CARD.worksToo] },
    { autopayCap: 0 },
    { licenses: 0 },
    { cards: [CARD.declines] },
    { cards: [] },
    { cards: [], cardRequired: false },
  ]
  return Array.from({ length: count }, (_, n) =>
    account(`Storm ${n + 1}`, zones[n % zones.length]!, { licenses, ...kinds[n] }),
  )
}

/** Which license action, and how often of a hundred. */
const CHANGES: readonly (readonly [What, number])[] = [
  ['assign', 55],
  ['unassign', 25],
  ['revoke', 20],
]

function drawWhat(random: Random): What {
  let left = random.below(100)
  for (const [what, weight] of CHANGES) {
    if (left < weight) return what
    left -= weight
  }
  return 'assign'
}

const LAST_BURST = 5

function stormIssues(
  random: Random,
  slugs: readonly string[],
  { shape, account, licenses, sites }: Known,
  nth: number,
) {
  const [unpriced, ...priced] = slugs.toReversed() as [string, ...string[]]
  const wishes: Wish[] = []
  const issue = (product: string, quantity: number, more: Partial<Wish> = {}): void =>
    void wishes.push({ account, what: 'issue', product, quantity, twin: random.chance(0.3), ...more })
  if (shape.licenses === 0) {
    if (nth === LAST_BURST) issue(priced.at(-1)!, 1)
    return wishes
  }
  // At once many, then a few at a time.
  const missing = shape.licenses - licenses.length
  const wanted = nth === 0 ? Math.ceil(shape.licenses / 2) : random.between(0, 2)
  for (let left = Math.min(missing, wanted); left > 0;) {
    const quantity = random.between(1, left)
    issue(random.pick(priced), quantity, {
      ...(random.chance(0.4) && { site: random.pick(sites) }),
      waits: random.chance(0.2),
    })
    left -= quantity
  }
  if (nth === 1) issue(unpriced, 1)
  return wishes
}

function stormChanges(random: Random, { account, licenses, sites, foreign, usedKey }: Known): Wish[] {
  if (licenses.length === 0) return []
  const wishes: Wish[] = []
  // Few licenses, picked with return: some are asked for two things at once, and revoked ones for more.
  for (let left = random.between(3, 7); left > 0; left -= 1) {
    const what = drawWhat(random)
    wishes.push({
      account,
      what,
      license: random.pick(licenses),
      ...(what === 'assign' && { site: random.pick(sites), transfer: random.chance(0.4) }),
      twin: random.chance(0.3),
      waits: random.chance(0.2),
    })
  }
  if (foreign) wishes.push({ account, what: 'revoke', license: foreign, foreign: true })
  if (usedKey) wishes.push({ account, what: 'unassign', license: licenses[0]!, reuses: usedKey })
  return wishes
}

/** Some of everything. The months' ends of its zones lie between its bursts. */
export const storm = (count = 6, licensesPerAccount = 8, zones: readonly string[] = STORM_ZONES): Shape => ({
  accounts: stormAccounts(count, licensesPerAccount, zones),
  products: [
    { name: 'backup', monthly: '4.95' },
    { name: 'complete', monthly: '49.95' },
    { name: 'security', monthly: '24.95' },
    { name: 'unpriced', monthly: null },
  ],
  bursts: ['01T12:00:00Z', '05T22:30:00Z', '09T11:00:00Z', '16T06:59:59Z', '25T13:00:00Z', '31T06:00:00Z'],
  planner: (seed, slugs) => ({
    issues: (known, burst) => stormIssues(createRandom(seed, known.index, burst, 1), slugs, known, burst),
    changes: (known, burst) => stormChanges(createRandom(seed, known.index, burst, 2), known),
  }),
})
