// Every job may run twice, and may die at any of its calls: the same rows, the same mails, the same money.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { catalog } from '../../jobs/catalog.ts'
import { dying, strikeEverywhere, type Death } from '../support/deaths.ts'
import { closeOctober, invoiceOf, invoicesOf, issue } from '../support/invoices.ts'
import { bookCharges, bookInvoices, outside, snapshot, stripeWrites } from '../support/ledger.ts'
import { DECLINES_LATER, liveOctober, PARTNERS } from '../support/october.ts'
import { walkTo, webhooksDelivered, workAll } from '../support/walk.ts'
import { createProduct, createWorld, type TestAccount, type World } from '../support/world.ts'

const none = { mails: 0, pages: 0, writes: 0 }

/** What each job changes when it has work: tables (webhooks that follow included), and what is done outside. */
const CASES: Record<string, { tables: string[]; outside?: Partial<typeof none> }> = {
  'licenses.apply-action': { tables: ['actions', 'audit_entries', 'licenses', 'sites'] },
  'imports.apply-import': {
    tables: ['audit_entries', 'import_targets', 'imports', 'prices', 'products', 'staged_jobs'],
  },
  'imports.apply-chunk': {
    tables: [
      ...[
        'accounts',
        'audit_entries',
        'import_accounts',
        'import_events',
        'import_prices',
        'import_targets',
        'imports',
      ],
      ...['licenses', 'past_assignments', 'prices', 'sites', 'staged_jobs'],
    ],
  },
  'payments.follow-stripe-event': { tables: ['audit_entries', 'payment_methods'] },
  'usage.count-all-days': { tables: ['staged_jobs'] },
  // A whole October is counted at once, so that its close is staged.
  'usage.count-day': { tables: ['counted_days', 'staged_jobs', 'usage_days'] },
  'invoices.close-all-months': { tables: ['staged_jobs'] },
  'invoices.close-month': { tables: ['audit_entries', 'closed_months', 'invoice_claims', 'invoice_lines', 'invoices'] },
  'invoices.finalize-all-invoices': { tables: ['staged_jobs'] },
  'invoices.finalize-invoice': {
    tables: ['audit_entries', 'invoice_states', 'invoices', 'number_series', 'staged_jobs'],
  },
  'payments.mirror-invoice': { tables: ['invoice_mirrors', 'staged_jobs', 'stripe_events'], outside: { writes: 3 } },
  'payments.charge-invoice': {
    tables: ['audit_entries', 'invoice_states', 'payments', 'staged_jobs', 'stripe_events'],
    outside: { writes: 1 },
  },
  'documents.render-invoice': { tables: ['documents', 'staged_jobs'], outside: { pages: 1 } },
  'notifications.mail-invoice': { tables: ['audit_entries', 'messages'], outside: { mails: 1 } },
}

describe('run twice, a job does once what is to be done', () => {
  it('every job of the catalog is tried here, and nothing else', () => {
    expect(Object.keys(CASES).sort()).toEqual([...catalog.keys()].sort())
  })

  it.each(Object.entries(CASES))('%s', async (name, expected) => {
    const world = await createWorld('2026-10-01T12:00:00Z')
    try {
      await createProduct(world, 'backup', '10.00')
      const payload = await walkTo(world, await world.account(), name)
      const state = async () => {
        await webhooksDelivered(world)
        return { rows: await snapshot(world), out: await outside(world) }
      }
      const before = await state()
      expect(await world.perform(name, payload)).toMatchObject({ kind: 'done' })
      const once = await state()
      const changed = Object.keys(once.rows).filter((table) => String(once.rows[table]) !== String(before.rows[table]))
      expect(changed).toEqual(expected.tables)
      const { mails, pages, writes } = { ...none, ...expected.outside }
      const { out } = before
      expect(once.out).toEqual({ mails: out.mails + mails, pages: out.pages + pages, writes: out.writes + writes })
      await world.perform(name, payload)
      expect(await state()).toEqual(once)

      // And again when all that follows from it has been done.
      await world.drain()
      const settled = await state()
      await world.perform(name, payload)
      await world.drain()
      const again = await state()
      const facts = ({ staged_jobs: _, ...tables }: Record<string, string[]>) => tables
      expect(facts(again.rows)).toEqual(facts(settled.rows))
      expect(again.out).toEqual(settled.out)
    } finally {
      await world.close()
    }
  })
})

const PIPELINE = [
  'payments.mirror-invoice',
  'payments.charge-invoice',
  'documents.render-invoice',
  'notifications.mail-invoice',
]

describe('a job that dies at any of its calls, and is run again', () => {
  let world: World
  let points: Death[]

  beforeAll(async () => {
    world = await createWorld('2026-10-01T12:00:00Z')
    points = await strikeEverywhere(world, PIPELINE, dying)
  })
  afterAll(() => world.close())

  const named = ({ point }: Death): string => `${point.job} ${point.call} ${point.port} ${point.how}`

  it('each died once where it was to', () => {
    expect(points.filter(({ fired }) => fired !== 1).map(named)).toEqual([])
    const calls = new Set(points.map(({ point }) => point.port))
    expect([...calls]).toEqual(
      expect.arrayContaining([
        'db.withAccount',
        'stripe.createCustomer',
        'stripe.createInvoiceCopy',
        'stripe.addLines',
        'stripe.finalizeCopy',
        'stripe.charge',
        'pdf.render',
        'files.put',
        'files.get',
        'mailer.send',
      ]),
    )
  })

  it('one charge in the book at Stripe, one paid invoice, one document: whichever call it was', async () => {
    const charges = Map.groupBy(await bookCharges(world), ({ customer }) => customer)
    const copies = Map.groupBy(await bookInvoices(world), ({ metadata }) => metadata.invoice)
    const customers = await world.db.prisma.$queryRaw<{ id: string; customer: string }[]>`
      SELECT account_id AS id, customer_id AS customer FROM stripe_customers`
    const wrong: unknown[] = []
    for (const one of points) {
      const invoice = await invoiceOf(world, one.account)
      const customer = customers.find(({ id }) => id === one.account.uuid)?.customer ?? ''
      const { status, payments, documents, mailed, total } = invoice
      const found = {
        status,
        payments,
        documents,
        mailed,
        charges: (charges.get(customer) ?? []).map((charge) => `${charge.status} ${charge.amount}`),
        copies: copies.get(invoice.id)?.map((copy) => `${copy.status} ${copy.total}`),
      }
      const expected = one.carded
        ? {
            status: 'paid',
            payments: ['succeeded'],
            documents: ['paid_copy'],
            mailed: ['paid_copy'],
            charges: [`succeeded ${total}`],
            copies: [`paid ${total}`],
          }
        : {
            status: 'open',
            payments: [],
            documents: ['invoice'],
            mailed: ['invoice'],
            charges: [],
            copies: [`open ${total}`],
          }
      if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push([named(one), found])
    }
    expect(wrong).toEqual([])
  })

  it('one mail for one reason; what dies between the mail server and our commit goes out again as the same', () => {
    const wrong = points.flatMap((one) => {
      const mails = world.mails.filter(({ to }) => to[0] === one.mail)
      const { job, call, port, how } = one.point
      const handedOver =
        job === 'notifications.mail-invoice' &&
        (port === 'mailer.send'
          ? how === 'after'
          : call > points.find((other) => other.point.port === 'mailer.send')!.point.call)
      const committed = handedOver && port === 'db.withAccount' && how === 'after'
      const right = mails.length === (handedOver && !committed ? 2 : 1)
      return right && new Set(mails.map(({ messageId }) => messageId)).size === 1 ? [] : [[named(one), mails.length]]
    })
    expect(wrong).toEqual([])
  })
})

/** A partner with cards and an October, whose invoice is due to be mirrored. */
async function dueToday(world: World, numbers: readonly string[], fields: object = {}): Promise<TestAccount> {
  await createProduct(world, 'backup', '10.00')
  const account = await world.account({ card_required: false, ...fields })
  for (const number of numbers) await world.card(account, number)
  await issue(world, account, 'backup')
  await closeOctober(world)
  await world.at('2026-11-03T00:00:00Z')
  await world.perform('invoices.finalize-all-invoices', { at: world.now().toISOString() })
  return account
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const world = await createWorld('2026-10-01T12:00:00Z')
  try {
    await work(world)
  } finally {
    await world.close()
  }
}

const inBook = async (world: World) => (await bookCharges(world)).map(({ status }) => status).sort()
const paysAt = async (world: World) =>
  (await stripeWrites(world)).filter(({ operation }) => operation === 'invoices.pay')
const PAID_ONCE = { status: 'paid', payments: ['succeeded'], documents: ['paid_copy'] }

describe('the answer is lost, and Stripe has done it', () => {
  /** Twice as many connections are cut: the SDK sends once again, under the same key, before it tells us. */
  const lose = async (world: World, operation: string, times = 1) =>
    expect((await world.standIn.addFault({ operation, kind: 'timeout', times: 2 * times, ms: 1 })).status).toBe(200)

  it('of a charge that succeeded: it is looked up, not charged again', () =>
    inWorld(async (world) => {
      const account = await dueToday(world, ['4242424242424242'])
      await lose(world, 'invoices.pay')
      expect(await workAll(world)).toBe(1)
      expect(await invoiceOf(world, account)).toMatchObject(PAID_ONCE)
      expect(await inBook(world)).toEqual(['succeeded'])
      expect((await paysAt(world)).map(({ replayed }) => replayed)).toEqual([false, true])
      expect(world.mails).toHaveLength(1)
    }))

  it('of a charge that succeeded, and its webhook comes before we ask', () =>
    inWorld(async (world) => {
      const account = await dueToday(world, ['4242424242424242'])
      await lose(world, 'invoices.pay')
      await expect(world.drain()).rejects.toThrow()
      await webhooksDelivered(world)
      const events = await world.db.prisma.$queryRaw<{ event: string }[]>`
      SELECT id AS event FROM stripe_events WHERE type = 'invoice.paid'`
      expect(await world.perform('payments.follow-stripe-event', events[0])).toMatchObject({
        kind: 'done',
        note: 'paid',
      })
      await workAll(world)
      expect(await invoiceOf(world, account)).toMatchObject(PAID_ONCE)
      expect(await inBook(world)).toEqual(['succeeded'])
      expect(world.mails).toHaveLength(1)
    }))

  it('of a decline, twice: asked again under the same key, then the next card', () =>
    inWorld(async (world) => {
      const account = await dueToday(world, ['4242424242424242', DECLINES_LATER])
      await lose(world, 'invoices.pay', 2)
      expect(await workAll(world)).toBe(2)
      expect(await invoiceOf(world, account)).toMatchObject({ status: 'paid', payments: ['failed', 'succeeded'] })
      expect(await inBook(world)).toEqual(['failed', 'succeeded'])
      expect((await paysAt(world)).map(({ replayed }) => replayed)).toEqual([false, true, true, true, true, false])
    }))

  it.each(['invoices.create', 'invoices.addLines', 'invoices.finalizeInvoice'])(
    'of %s: there is one copy, with the same total, paid once',
    (operation) =>
      inWorld(async (world) => {
        const account = await dueToday(world, ['4242424242424242'])
        await lose(world, operation)
        expect(await workAll(world)).toBeGreaterThan(0)
        const invoice = await invoiceOf(world, account)
        expect(invoice).toMatchObject({ status: 'paid', payments: ['succeeded'] })
        expect(await bookInvoices(world)).toMatchObject([{ status: 'paid', total: Number(invoice.total) }])
        expect(await inBook(world)).toEqual(['succeeded'])
      }),
  )
})

describe('how an October is collected', () => {
  let world: World
  let partners: Map<string, TestAccount>
  const of = (name: string) => invoiceOf(world, partners.get(name)!)

  beforeAll(async () => {
    world = await createWorld('2026-10-01T12:00:00Z')
    partners = await liveOctober(world)
  })
  afterAll(() => world.close())

  it.each(Object.entries(PARTNERS))('%s', async (name, { expected }) => {
    expect(await of(name)).toMatchObject(expected)
  })

  it('what is parked takes no number and leaves no trace at Stripe or in the mail', async () => {
    const numbered = await Promise.all([...partners.keys()].map(async (name) => (await of(name)).number))
    const numbers = numbered.filter((number) => number !== null).sort()
    expect(numbers).toEqual(numbers.map((_, n) => `PD-${String(n + 1).padStart(6, '0')}`))
    const mirrored = await Promise.all([...partners.keys()].map(async (name) => ((await of(name)).mirrored ? 1 : 0)))
    expect(await bookInvoices(world)).toHaveLength(mirrored.reduce<number>((sum, one) => sum + one, 0))
  })

  it('each mail that asks for money carries the pay link, and no paid copy does', async () => {
    const copies = world.mails.filter(({ subject }) => subject.startsWith('Paid:'))
    // A total too small for a card asks for nothing.
    const settled = world.mails.filter(({ text }) => text.includes('Nothing is due'))
    expect(settled).toHaveLength(1)
    const asking = world.mails.filter((one) => !copies.includes(one) && !settled.includes(one))
    expect(asking.length).toBeGreaterThan(3)
    for (const mail of asking) expect(mail.text).toMatch(/Pay online: http\S+\/i\/\w+/)
    for (const mail of world.mails.filter((one) => !asking.includes(one))) expect(mail.text).not.toContain('Pay online')
  })

  it('paid on the hosted page: the webhook records one payment and marks it paid, however often it comes', async () => {
    const account = partners.get('every card declines')!
    const [{ url }] = await world.db.prisma.$queryRaw<[{ url: string }]>`
      SELECT hosted_url AS url FROM invoice_mirrors WHERE account_id = ${account.uuid}::uuid`
    const mails = world.mails.length
    const typed = new URLSearchParams({ number: '5555555555554444', exp: '12/38', cvc: '123', name: '' })
    const page = await fetch(url, { method: 'POST', redirect: 'manual', body: typed })
    expect(page.status).toBe(303)
    await webhooksDelivered(world)
    await world.drain()
    const paid = { status: 'paid', payments: ['failed', 'failed', 'succeeded'], documents: ['invoice', 'paid_copy'] }
    expect(await of('every card declines')).toMatchObject({ ...paid, paid: 1_000n })
    expect(world.mails).toHaveLength(mails + 1)
    const events = await world.db.prisma.$queryRaw<{ event: string }[]>`
      SELECT e.id AS event FROM stripe_events e JOIN invoice_mirrors m ON m.stripe_invoice_id = e.object_id
      WHERE e.type = 'invoice.paid' AND m.account_id = ${account.uuid}::uuid`
    expect(events).toHaveLength(1)
    const before = await snapshot(world)
    const again = await world.perform('payments.follow-stripe-event', events[0])
    expect(again).toEqual({ kind: 'skipped', reason: 'already paid' })
    expect(await snapshot(world)).toEqual(before)
    expect(world.mails).toHaveLength(mails + 1)
  })

  it('nothing more happens, however often the ticks fire', async () => {
    const before = [await snapshot(world), await outside(world)]
    await world.at('2026-11-03T12:00:00Z')
    await world.tick()
    await world.tick()
    expect([await snapshot(world), await outside(world)]).toEqual(before)
    expect(await invoicesOf(world, partners.get('nothing')!)).toHaveLength(1)
  })
})
