// An October of many partners, each with its own total, cap, cards and mishaps, and what must come of its invoice.
import { expect } from 'vitest'
import { finalizeOctober, issue, priceFor31Days } from './invoices.ts'
import { createProduct, type TestAccount, type World } from './world.ts'

/** Enters on the card page; declines when charged. */
export const DECLINES_LATER = '4000000000000341'
const WORKS = '4242424242424242'

const SENT = {
  status: 'open',
  collection: 'send',
  mirrored: true,
  payments: [],
  documents: ['invoice'],
  mailed: ['invoice'],
}
const PAID = { status: 'paid', collection: 'charge', mirrored: true, payments: ['succeeded'], documents: ['paid_copy'] }
const SETTLED = {
  status: 'paid',
  collection: 'charge',
  mirrored: false,
  payments: [],
  documents: [],
  mailed: [],
  paid: 0n,
}
const PARKED = { number: null, status: null, mirrored: false, payments: [], documents: [], mailed: [] }
const DIFFERS = { ...PARKED, parked: expect.stringContaining('recount_differs') }

/** Total in cents, cap (none named: the default of 4,000.00), cards, and what must come of it. */
export const PARTNERS: Record<string, { cents: number; fields?: object; cards?: string[]; expected: object }> = {
  'a cent below the default cap': { cents: 399_999, expected: { ...PAID, total: 399_999n } },
  'at the default cap': { cents: 400_000, expected: { ...SENT, total: 400_000n } },
  'a cent above the default cap': { cents: 400_001, expected: { ...SENT, total: 400_001n } },
  'a cent below its own cap': { cents: 1_000, fields: { autopay_cap: 1_001 }, expected: PAID },
  'at its own cap': { cents: 1_000, fields: { autopay_cap: 1_000 }, expected: SENT },
  'above the default cap, with none': { cents: 400_001, fields: { autopay_cap: null }, expected: PAID },
  'always sent, by a cap of zero': { cents: 1_000, fields: { autopay_cap: 0 }, expected: SENT },
  nothing: { cents: 0, expected: { ...SETTLED, total: 0n, credited: 0n } },
  'one cent less than Stripe takes': {
    cents: 49,
    expected: { ...SETTLED, total: 49n, credited: 49n, documents: ['invoice'], mailed: ['invoice'] },
  },
  'the least that Stripe takes': { cents: 50, expected: { ...PAID, total: 50n } },
  'the primary card declines, the second pays': {
    cents: 1_000,
    cards: [WORKS, DECLINES_LATER],
    expected: { ...PAID, payments: ['failed', 'succeeded'] },
  },
  'every card declines': {
    cents: 1_000,
    cards: [DECLINES_LATER, DECLINES_LATER],
    expected: { ...SENT, collection: 'charge', payments: ['failed', 'failed'] },
  },
  'no address': {
    cents: 1_000,
    fields: { billing_email: null },
    expected: { ...PAID, mailed: [], unsent: 'no_address' },
  },
  'no address, and sent': {
    cents: 1_000,
    fields: { billing_email: null, autopay_cap: 0 },
    expected: { ...SENT, mailed: [], unsent: 'no_address' },
  },
  'a usage day tampered with': { cents: 1_000, expected: DIFFERS },
  'a line tampered with': { cents: 1_000, expected: DIFFERS },
  'usage without a price': {
    cents: 1_000,
    expected: { ...PARKED, parked: 'no_price: lapsing on 2026-10-15', total: 0n },
  },
}

/** Lives October and finalizes it; with its tampering, done as somebody with a hand in the database would. */
export async function liveOctober(world: World): Promise<Map<string, TestAccount>> {
  const partners = new Map<string, TestAccount>()
  await createProduct(world, 'backup', '10.00')
  await createProduct(world, 'lapsing', '10.00', 'eur')
  const lapsing = { product: 'lapsing', currency: 'usd', model: 'per_day', monthly_amount: '10.00' }
  const until = { effective_from: '2026-01-01', ends_on: '2026-10-15' }
  await world.call('POST', '/v1/admin/prices', { body: { ...lapsing, ...until } })
  for (const [name, { cents, fields, cards = [WORKS] }] of Object.entries(PARTNERS)) {
    const account = await world.account({ card_required: false, ...fields })
    partners.set(name, account)
    for (const card of cards) await world.card(account, card)
    await priceFor31Days(world, account, 'backup', cents)
    await issue(world, account, 'backup')
  }
  await issue(world, partners.get('usage without a price')!, 'lapsing')
  await world.at('2026-11-01T00:00:00Z')
  await world.perform('usage.count-all-days', { at: world.now().toISOString() })
  await world.drain()
  const tampered = [partners.get('a usage day tampered with')!.uuid, partners.get('a line tampered with')!.uuid]
  await world.db.prisma.$executeRaw`
    UPDATE usage_days SET days = days + 1 WHERE account_id = ${tampered[0]}::uuid AND day = '2026-10-20'`
  await world.tick()
  await world.db.prisma.$executeRaw`
    UPDATE invoice_lines SET quantity = quantity - 1 WHERE account_id = ${tampered[1]}::uuid`
  await finalizeOctober(world)
  await world.tick()
  return partners
}
