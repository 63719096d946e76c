// What a history comes to: by the naive count, and as it stands in the tables, both in words.
import type { VendorAccount, VendorEvent, VendorHistory, VendorSite } from './history.ts'
import { monthPlus } from './naive/calendar.ts'
import type { History, Month } from './naive/history.ts'
import { differences, statementOf, words, type Statement } from './naive/statement.ts'
import type { World } from './world.ts'

export const monthsBetween = (first: Month, last: Month): Month[] => {
  const months: Month[] = []
  for (let month = first; month <= last; month = monthPlus(month, 1)) months.push(month)
  return months
}

const eventsOf = (history: VendorHistory, account: string): Map<string, VendorEvent[]> =>
  Map.groupBy(
    history.events.filter((one) => one.account === account),
    ({ license }) => license,
  )

/** One account's part of a history, as the naive count reads it. */
function naiveOf(history: VendorHistory, one: VendorAccount, months: readonly Month[], now: Date): History {
  const lives = [...eventsOf(history, one.account).values()]
  return {
    zone: one.zone,
    months,
    now: now.getTime(),
    billFrom: `${months[0]}-01`,
    currency: one.currency,
    products: [...new Set(history.prices.map(({ product }) => product))],
    prices: history.prices
      .filter(({ account }) => account === '' || account === one.account)
      .map(({ product, currency, monthly, from, account }) => ({
        ...{ product, currency, own: account !== '', monthly, from, endsOn: null, billWhilePaused: false },
      })),
    licenses: lives.map((events) => ({
      product: events[0]!.product,
      issued: events[0]!.at,
      revoked: events.find(({ event }) => event === 'revoke')?.at ?? null,
    })),
    holds: [],
  }
}

interface FoundLine {
  readonly month: Month
  readonly product: string
  readonly own: boolean
  readonly from: string
  readonly quantity: bigint
  readonly rate: string
  readonly amount: bigint
}

/** What the tables say of an account: every usage day, and every line and invoice of the months given and others. */
async function foundOf(world: World, account: string, { prices, currency, months }: History): Promise<Statement> {
  const told: Statement = new Map()
  const { prisma } = world.db
  const usage = await prisma.$queryRaw<{ day: string; product: string; days: number; paused: number }[]>`
    SELECT to_char(day, 'YYYY-MM-DD') AS day, p.slug AS product, days, paused_days AS paused
    FROM usage_days u JOIN accounts a ON a.id = u.account_id JOIN products p ON p.id = u.product_id
    WHERE a.external_id = ${account}`
  const ended = (day: string): boolean => day < `${monthPlus(months.at(-1)!, 1)}-01`
  // Days of the month that has not ended are there, too, and are nobody's claim yet.
  for (const { day, product, days, paused } of usage.filter((one) => ended(one.day))) {
    told.set(words.usage(day, product), words.days(days, paused))
  }
  const lines = await prisma.$queryRaw<FoundLine[]>`
    SELECT to_char(i.period_start, 'YYYY-MM') AS month, p.slug AS product, r.account_id IS NOT NULL AS own,
           to_char(r.effective_from, 'YYYY-MM-DD') AS "from", l.quantity, l.unit_rate AS rate, l.amount
    FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id JOIN accounts a ON a.id = i.account_id
    JOIN products p ON p.id = l.product_id JOIN prices r ON r.id = l.price_id WHERE a.external_id = ${account}`
  for (const { month, product, own, from, quantity, rate, amount } of lines) {
    const price = prices.findIndex(
      (one) => one.product === product && one.own === own && one.from === from && one.currency === currency,
    )
    told.set(words.line(month, product, String(price)), words.amount(Number(quantity), rate, amount))
  }
  const invoices = await prisma.$queryRaw<{ month: Month; total: bigint; parked: string | null }[]>`
    SELECT to_char(i.period_start, 'YYYY-MM') AS month, i.total, i.parked_reason AS parked
    FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE a.external_id = ${account}`
  for (const { month, total, parked } of invoices) {
    const times = invoices.filter((one) => one.month === month).length
    told.set(words.invoice(month), `${words.total(total, parked !== null)}${times === 1 ? '' : `, ${times} times`}`)
  }
  return told
}

/** Where days, lines and totals of the ended months are others than the naive count of the history says. */
export async function recount(world: World, history: VendorHistory, months: readonly Month[]): Promise<string[]> {
  const told: string[] = []
  for (const one of history.accounts) {
    const naive = naiveOf(history, one, months, world.now())
    // The jobs' own second count is no table to be read.
    const expected = new Map([...statementOf(naive)].filter(([key]) => !key.endsWith(', recounted')))
    const found = await foundOf(world, one.account, naive)
    told.push(...differences(expected, found).map((difference) => `${one.account} ${difference}`))
  }
  return told
}

const time = (at: number): string => new Date(at).toISOString()

/** The sites of an account by every name of theirs: the urls and ids that belong together. */
function sitesOf(events: readonly VendorEvent[]): (site: VendorSite) => string {
  const whole = events.flatMap(({ site }) => (site?.url && site.externalId ? [site] : []))
  return (site) => {
    const { url, externalId } = whole.find((one) => one.url === site.url || one.externalId === site.externalId) ?? site
    return `${url ?? '-'} ${externalId ?? '-'}`
  }
}

/** Each license and each stay of it on a site, as the events tell it. */
export function expectedLives(history: VendorHistory): string[] {
  return history.accounts
    .flatMap(({ account }) => {
      const nameOf = sitesOf(history.events.filter((one) => one.account === account))
      return [...eventsOf(history, account)].flatMap(([license, events]) => {
        const id = `${account} ${license}`
        const told: string[] = []
        let stands: { site: string; since: number } | null = null
        let revoked = 'never'
        for (const { at, event, site } of events) {
          if (stands && event !== 'issue') {
            told.push(`${id} on ${stands.site} from ${time(stands.since)} until ${time(at)}`)
            stands = null
          }
          if (site) stands = { site: nameOf(site), since: at }
          if (event === 'revoke') revoked = time(at)
        }
        if (stands) told.push(`${id} on ${stands.site} from ${time(stands.since)} until now`)
        return [...told, `${id}: ${events[0]!.product}, issued ${time(events[0]!.at)}, revoked ${revoked}`]
      })
    })
    .sort()
}

interface Stay {
  readonly id: string
  readonly site: string
  readonly since: Date
  readonly until: Date | null
}

/** The same, as the tables tell it. */
export async function foundLives(world: World): Promise<string[]> {
  const { prisma } = world.db
  const lives = await prisma.$queryRaw<{ id: string; product: string; issued: Date; revoked: Date | null }[]>`
    SELECT a.external_id || ' ' || l.external_ref AS id, p.slug AS product, issued_at AS issued, revoked_at AS revoked
    FROM licenses l JOIN accounts a ON a.id = l.account_id JOIN products p ON p.id = l.product_id`
  const stays = await prisma.$queryRaw<Stay[]>`
    SELECT a.external_id || ' ' || l.external_ref AS id, since, until,
           coalesce(s.url, '-') || ' ' || coalesce(s.external_id, '-') AS site
    FROM (SELECT id AS license_id, site_id, assigned_at AS since, NULL AS until FROM licenses WHERE site_id IS NOT NULL
          UNION ALL SELECT license_id, site_id, assigned_at, unassigned_at FROM past_assignments) AS stays
    JOIN licenses l ON l.id = stays.license_id JOIN accounts a ON a.id = l.account_id
    JOIN sites s ON s.id = stays.site_id`
  return [
    ...lives.map(
      ({ id, product, issued, revoked }) =>
        `${id}: ${product}, issued ${issued.toISOString()}, revoked ${revoked?.toISOString() ?? 'never'}`,
    ),
    ...stays.map(
      ({ id, site, since, until }) =>
        `${id} on ${site} from ${since.toISOString()} until ${until?.toISOString() ?? 'now'}`,
    ),
  ].sort()
}

/** Sites with their client: the one that was named last. */
export function expectedSites(history: VendorHistory): string[] {
  return history.accounts
    .flatMap(({ account }) => {
      const events = history.events.filter((one) => one.account === account && one.site !== null)
      const nameOf = sitesOf(events)
      const clients = new Map<string, string | null>()
      for (const { site, client } of events) clients.set(nameOf(site!), client ?? clients.get(nameOf(site!)) ?? null)
      return [...clients].map(([site, client]) => `${account} ${site}: ${client ?? 'nobody'}`)
    })
    .sort()
}

export async function foundSites(world: World): Promise<string[]> {
  const rows = await world.db.prisma.$queryRaw<{ told: string }[]>`
    SELECT a.external_id || ' ' || coalesce(url, '-') || ' ' || coalesce(s.external_id, '-') || ': '
           || coalesce(client, 'nobody') AS told
    FROM sites s JOIN accounts a ON a.id = s.account_id`
  return rows.map(({ told }) => told).sort()
}
