// The demo's story: three partners in three time zones live through October 2026. What each must come to was worked
// out by hand, below; the demo fails when the invoices say otherwise.
import { apiClient, type Client } from './client.ts'

export const STORY_BEGINS = '2026-10-01T12:00:00Z'
/** By then the invoice day, the 3rd, has begun in every zone. */
const STORY_ENDS = '2026-11-03T12:00:00Z'

const PRODUCTS = [
  { slug: 'backup', name: 'Backup (10 GB)', family: 'security', monthly: '4.95' },
  { slug: 'security', name: 'Security (10 GB)', family: 'security', monthly: '9.95' },
  { slug: 'complete', name: 'Complete', family: 'bundles', monthly: '49.95' },
]

export interface Partner {
  readonly name: string
  readonly timezone: string
  readonly company: Record<string, string>
  readonly email: string
  /** Test numbers of Stripe; the first is primary. …0341 can be kept on file, and every charge of it is declined. */
  readonly cards: readonly string[]
  /** License-days and total in cents, by hand. */
  readonly byHand: { readonly days: number; readonly total: number; readonly sum: string }
}

export const PARTNERS: readonly Partner[] = [
  {
    name: 'Harbor & Pine Studio',
    timezone: 'America/Los_Angeles',
    email: 'billing@harbor-pine.example',
    cards: ['4242424242424242'],
    company: {
      name: 'Harbor & Pine Studio LLC',
      contact_name: 'Wei Chen',
      address: '981 Main St',
      city: 'Portland',
      state: 'OR',
      postal_code: '97201',
      country: 'US',
    },
    // Backup: two all October, 2 × 31, and one revoked on the 12th at 23:30 local time, 12: 74 days.
    //   74 × 4.95 × 12 ÷ 365 = 4395.60 ÷ 365 = 12.0427… → 12.04
    // Security: two from the 5th on, 2 × 27 = 54 days; moving one to another site changes nothing.
    //   54 × 9.95 × 12 ÷ 365 = 6447.60 ÷ 365 = 17.6646… → 17.66
    byHand: { days: 128, total: 2970, sum: '74 × 4.95 × 12/365 + 54 × 9.95 × 12/365 = 12.04 + 17.66' },
  },
  {
    name: 'Nordlicht Digital GmbH',
    timezone: 'Europe/Berlin',
    email: 'rechnung@nordlicht.example',
    cards: ['5555555555554444'],
    company: {
      name: 'Nordlicht Digital GmbH',
      contact_name: 'Jo Müller',
      address: 'Hafenstraße 12',
      city: 'Hamburg',
      postal_code: '20459',
      country: 'DE',
      tax_id: 'DE129273398',
    },
    // Complete: ten issued at 22:30 UTC on the 8th, which is 00:30 on the 9th in Berlin: 10 × 23 = 230 days; an
    // eleventh   issued and revoked that day: 1. 231 × 49.95 × 12 ÷ 365 = 138461.40 ÷ 365 = 379.3463… → 379.35
    // Backup: one all October: 31 × 4.95 × 12 ÷ 365 = 1841.40 ÷ 365 = 5.0449… → 5.04
    byHand: { days: 262, total: 38439, sum: '231 × 49.95 × 12/365 + 31 × 4.95 × 12/365 = 379.35 + 5.04' },
  },
  {
    name: 'Blue Gum Web',
    timezone: 'Australia/Sydney',
    email: 'accounts@bluegum.example',
    cards: ['4000000000000341', '4242424242424242'],
    company: {
      name: 'Blue Gum Web Pty Ltd',
      contact_name: 'Ana Ruiz',
      address: '527 George St',
      city: 'Sydney',
      state: 'NSW',
      postal_code: '2000',
      country: 'AU',
    },
    // Backup: five issued at 14:00 UTC on the 15th, 01:00 on the 16th in Sydney: 5 × 16 = 80 days.
    //   80 × 4.95 × 12 ÷ 365 = 4752.00 ÷ 365 = 13.0191… → 13.02
    // Security: one issued a second before November, at 23:59:59 on the 31st in Sydney: 1 day.
    //   1 × 9.95 × 12 ÷ 365 = 119.40 ÷ 365 = 0.3271… → 0.33
    byHand: { days: 81, total: 1335, sum: '80 × 4.95 × 12/365 + 1 × 9.95 × 12/365 = 13.02 + 0.33' },
  },
]

export interface StoryAccount {
  readonly partner: Partner
  readonly id: string
  readonly client: Client
}

const site = (name: string, client: string) => ({ url: `https://${name}.example`, client })

async function setUp(operator: Client): Promise<StoryAccount[]> {
  await operator.put('/v1/admin/settings', {
    issuer: {
      name: 'Meridian Software',
      address: ['1 Quay Street', 'Dublin D02 XY45', 'Ireland'],
      tax_ids: ['IE6388047V'],
      support: 'billing@meridian.example',
    },
    series: 'MS',
  })
  for (const { monthly, ...product } of PRODUCTS) {
    await operator.post('/v1/admin/products', product)
    await operator.post('/v1/admin/prices', {
      product: product.slug,
      currency: 'usd',
      model: 'per_day',
      monthly_amount: monthly,
      effective_from: '2026-01-01',
    })
  }
  const accounts: StoryAccount[] = []
  for (const partner of PARTNERS) {
    const { name, timezone, company, email } = partner
    const account = await operator.post('/v1/admin/accounts', {
      name,
      timezone,
      company,
      currency: 'usd',
      billing_email: email,
    })
    for (const [index, number] of partner.cards.entries()) {
      await operator.post('/sandbox/cards', { account: account.id, number, primary: index === 0 })
    }
    accounts.push({ partner, id: account.id, client: operator.as(account.api_key.secret) })
  }
  return accounts
}

/** What SANDBOX_SEED=demo puts into a new home: the partners with their first licenses, as of now. */
export async function seedDemo(of: { url: string; operatorKey: string }): Promise<void> {
  const accounts = await setUp(apiClient(of.url, of.operatorKey))
  for (const [index, { client }] of accounts.entries()) {
    await client.post('/v1/licenses', {
      product: 'backup',
      quantity: 3,
      site: site(`shop${index + 1}`, 'First client'),
    })
    await client.post('/v1/licenses', { product: 'security', quantity: 2 })
  }
}

/** Lives October through, in order, telling as it goes. Business time must stand at STORY_BEGINS. */
export async function playDemo(
  of: { url: string; operatorKey: string },
  tell: (line: string) => void,
): Promise<StoryAccount[]> {
  const operator = apiClient(of.url, of.operatorKey)
  const moveTo = async (to: string, why: string): Promise<void> => {
    const { jobs } = await operator.post('/sandbox/clock', { to })
    tell(`${to.slice(0, 16).replace('T', ' ')} UTC  ${why}${jobs > 0 ? ` (${jobs} jobs on the way)` : ''}`)
  }
  tell(`${STORY_BEGINS.slice(0, 16).replace('T', ' ')} UTC  three partners, their cards, three products`)
  const accounts = await setUp(operator)
  const [harbor, nordlicht, blueGum] = accounts.map(({ client }) => client) as [Client, Client, Client]
  await liveOctober(harbor, nordlicht, blueGum, moveTo)
  return accounts
}

async function liveOctober(
  harbor: Client,
  nordlicht: Client,
  blueGum: Client,
  moveTo: (to: string, why: string) => Promise<void>,
): Promise<void> {
  const backups = await harbor.post('/v1/licenses', {
    product: 'backup',
    quantity: 3,
    site: site('harbor-bakery', 'Harbor Bakery'),
  })
  await nordlicht.post('/v1/licenses', { product: 'backup', site: site('reederei', 'Reederei Nord') })

  await moveTo('2026-10-05T18:00:00Z', 'Harbor & Pine issues two Security licenses')
  const secured = await harbor.post('/v1/licenses', {
    product: 'security',
    quantity: 2,
    site: site('pine-hotel', 'Pine Hotel'),
  })

  await moveTo('2026-10-08T22:30:00Z', 'Nordlicht issues eleven Complete licenses, half past midnight in Berlin')
  const complete = await nordlicht.post('/v1/licenses', { product: 'complete', quantity: 11 })
  await nordlicht.post(`/v1/licenses/${complete.licenses[10].id}/revoke`)
  for (const [index, license] of complete.licenses.slice(0, 6).entries()) {
    await nordlicht.post(`/v1/licenses/${license.id}/assign`, {
      site: site(`kunde-${index + 1}`, index < 3 ? 'Stadtwerke' : 'Museum am Hafen'),
    })
  }

  await moveTo(
    '2026-10-13T06:30:00Z',
    'Harbor & Pine revokes a Backup license, half past eleven at night in Los Angeles',
  )
  await harbor.post(`/v1/licenses/${backups.licenses[0].id}/revoke`)

  await moveTo('2026-10-15T14:00:00Z', 'Blue Gum issues five Backup licenses')
  await blueGum.post('/v1/licenses', { product: 'backup', quantity: 5, site: site('gumtree-vets', 'Gumtree Vets') })

  await moveTo('2026-10-20T17:00:00Z', 'Harbor & Pine moves a Security license to another site')
  await harbor.post(`/v1/licenses/${secured.licenses[0].id}/assign`, {
    site: site('harbor-bakery', 'Harbor Bakery'),
    transfer: true,
  })

  await moveTo('2026-10-31T12:59:59Z', 'Blue Gum issues a Security license, one second before November in Sydney')
  await blueGum.post('/v1/licenses', { product: 'security' })

  await moveTo(STORY_ENDS, 'October is counted, closed, invoiced, charged, rendered and mailed')
}
