// A vendor's small history, drawn by a seed, as an import takes it: accounts in zones that change their clocks, prices
// that change within a month, and the lives of licenses, crowded around local midnights.
import { createRandom, type Random } from '../fuzz/random.ts'
import { dateAt, startOf } from './naive/calendar.ts'
import type { Instant } from './naive/history.ts'

export interface VendorAccount {
  readonly account: string
  readonly name: string
  readonly currency: string
  readonly zone: string
  readonly invoiceDay: number
}

export interface VendorPrice {
  readonly product: string
  readonly currency: string
  readonly monthly: string
  readonly from: string
  /** Whose own it is; empty: the list's. */
  readonly account: string
}

export interface VendorSite {
  readonly url?: string
  readonly externalId?: string
}

export interface VendorEvent {
  readonly at: Instant
  readonly account: string
  readonly license: string
  readonly event: 'issue' | 'assign' | 'unassign' | 'revoke'
  readonly product: string
  /** What the row says of the site; of one with a url and an id it may name either. */
  readonly site: VendorSite | null
  readonly client: string | null
}

export interface VendorHistory {
  readonly accounts: readonly VendorAccount[]
  readonly prices: readonly VendorPrice[]
  /** In the order of time. */
  readonly events: readonly VendorEvent[]
}

const ACCOUNTS: readonly VendorAccount[] = [
  { account: 'p1', name: 'Nordlicht & Söhne GmbH', currency: 'eur', zone: 'Europe/Berlin', invoiceDay: 1 },
  { account: 'p2', name: 'Umbrella "2000", Inc.', currency: 'usd', zone: 'America/New_York', invoiceDay: 3 },
  { account: 'p3', name: 'Blue Gum Web', currency: 'usd', zone: 'Australia/Sydney', invoiceDay: 8 },
  // Its clocks go back over midnight: a date returns, and a day has 25 hours.
  { account: 'p4', name: 'Ñandú Ltda.', currency: 'usd', zone: 'America/Santiago', invoiceDay: 5 },
  { account: 'p5', name: 'चाय Labs', currency: 'usd', zone: 'Asia/Kolkata', invoiceDay: 2 },
  { account: 'p6', name: 'L’Été, SARL', currency: 'eur', zone: 'UTC', invoiceDay: 3 },
]

const list = (product: string, currency: string, monthly: string, from = '2025-01-01'): VendorPrice => ({
  ...{ product, currency, monthly, from, account: '' },
})
const PRICES: readonly VendorPrice[] = [
  list('backup', 'usd', '4.95'),
  list('backup', 'eur', '4.50'),
  list('security', 'usd', '24.95'),
  list('security', 'eur', '22.90'),
  list('boost', 'usd', '9.95'),
  list('boost', 'eur', '9.125'),
  list('boost', 'usd', '8.45', '2026-03-11'),
  list('boost', 'eur', '9.35', '2026-04-18'),
  { ...list('backup', 'usd', '3.95', '2026-02-10'), account: 'p2' },
]
const PRODUCTS = ['backup', 'security', 'boost']
const CLIENTS = ['Café "Zur Post", Inh. Müller', 'O’Neill, Søn & Co; KG', 'client 3', null] as const

export interface HistoryOptions {
  readonly seed: number
  /** Instants between which everything happens. */
  readonly from: string
  readonly until: string
  readonly licenses: number
  /** How many of the six accounts. */
  readonly accounts?: number
}

export function makeHistory(options: HistoryOptions): VendorHistory {
  const random = createRandom(options.seed)
  const accounts = ACCOUNTS.slice(0, options.accounts)
  const span = { low: Date.parse(options.from), high: Date.parse(options.until) }
  const lives = Array.from({ length: options.licenses }, (_, n) => lifeOf(random, n, random.pick(accounts), span))
  const known = new Set(accounts.map(({ account }) => account))
  return {
    accounts,
    prices: PRICES.filter(({ account }) => account === '' || known.has(account)),
    events: nameSites(
      random,
      lives.flat().sort((a, b) => a.at - b.at),
    ),
  }
}

const DAY = 86_400_000

/** Whole seconds; four in ten at a local midnight or in the second before one. */
function instantIn(random: Random, low: Instant, high: Instant, zone: string): Instant {
  const at = low + random.between(0, Math.floor((high - low) / 1000)) * 1000
  if (!random.chance(0.4)) return at
  const day = dateAt(at, zone)
  const start = startOf(random.chance(0.3) ? `${day.slice(0, 7)}-01` : day, zone)
  return Math.min(high, Math.max(low, random.chance(0.5) ? start - 1000 : start))
}

type Span = { low: Instant; high: Instant }

/** Where it comes to stand is drawn later, when it is known which site is named first. */
const SOMEWHERE: VendorSite = {}

function lifeOf(random: Random, n: number, { account, zone }: VendorAccount, { low, high }: Span): VendorEvent[] {
  const base = { account, license: `L${n}`, product: random.pick(PRODUCTS), site: null, client: null }
  let at = instantIn(random, low, high, zone)
  let stands = random.chance(0.2)
  const life: VendorEvent[] = [{ ...base, at, event: 'issue', site: stands ? SOMEWHERE : null }]
  while (random.chance(0.75)) {
    // Now and then two things happen in one instant.
    if (!random.chance(0.1)) at = instantIn(random, at, Math.min(high, at + 70 * DAY), zone)
    if (random.chance(0.3)) return [...life, { ...base, at, event: 'revoke' }]
    life.push(stands ? { ...base, at, event: 'unassign' } : { ...base, at, event: 'assign', site: SOMEWHERE })
    stands = !stands
  }
  return life
}

const SITES: readonly VendorSite[] = [
  { url: 'https://one.example' },
  { externalId: '200002' },
  { url: 'https://three.example/shop', externalId: '100003' },
  { url: 'https://four.example', externalId: '100004' },
  { url: 'https://xn--fnf-hoa.example', externalId: 'blog 5' },
]

/** A site with a url and an id is named with both at first, then by either or both, each time with another client. */
function nameSites(random: Random, events: readonly VendorEvent[]): VendorEvent[] {
  const named = new Set<string>()
  return events.map((one) => {
    if (one.site !== SOMEWHERE) return one
    const nth = random.below(SITES.length)
    const site = SITES[nth]!
    const key = `${one.account} ${nth}`
    const ways =
      site.url && site.externalId && named.has(key)
        ? [site, { url: site.url }, { externalId: site.externalId }]
        : [site]
    named.add(key)
    return { ...one, site: random.pick(ways), client: random.pick(CLIENTS) }
  })
}

/** The same, up to an instant. */
export const before = (history: VendorHistory, instant: string): VendorHistory => ({
  ...history,
  events: history.events.filter(({ at }) => at < Date.parse(instant)),
})
