// I5: the stand-in's own book against ours. It wrote down every charge it made, whatever became of its answers.
import { type Evidence, type Violation } from './evidence.ts'
import { fates, type Fate } from './invoicing.ts'

const ENDED = new Set(['succeeded', 'failed'])
/** An attempt the book bears no trace of: it may be made again with the same card. */
const LOST = 'not_found_at_provider'

/** Payments as they stand here: none under way, none twice, each card asked once. */
export function checkPayments(evidence: Evidence): Violation[] {
  const { facts } = evidence
  const fateOf = new Map(fates(evidence).map((fate) => [fate.invoice.id, fate]))
  const wrong = (what: string): Violation => ({ invariant: 'I5', what })
  const single = facts.payments.flatMap((payment) => {
    const { id, status, ended_at, amount, currency } = payment
    const fate = fateOf.get(payment.invoice_id)
    if (!fate) return [wrong(`payment ${id} is of no final invoice`)]
    const money = `${amount} ${currency}`
    const asked = `${fate.invoice.total} ${fate.invoice.currency}`
    return [
      ...(ENDED.has(status) && ended_at !== null ? [] : [wrong(`payment ${id} is left as ${status}`)]),
      ...(money === asked ? [] : [wrong(`payment ${id} is of ${money}, its invoice of ${asked}`)]),
      ...(fate.collection === 'charge' ? [] : [wrong(`payment ${id}: its invoice is not charged`)]),
    ]
  })
  const grouped = [...fateOf.values()].flatMap(({ invoice, by }) => {
    const mine = facts.payments.filter(({ invoice_id }) => invoice_id === invoice.id)
    const succeeded = mine.filter(({ status }) => status === 'succeeded').length
    const tried = mine.filter(({ status, code }) => status === 'failed' && code !== LOST)
    const twice = tried.filter((one, n) => tried.findIndex((x) => x.payment_method_id === one.payment_method_id) !== n)
    const asked = by === 'card' ? 1 : 0
    return [
      ...(succeeded === asked
        ? []
        : [wrong(`invoice ${invoice.number}: ${succeeded} payments, by its terms ${asked}`)]),
      ...twice.map(({ payment_method_id }) =>
        wrong(`invoice ${invoice.number}: card ${payment_method_id} was charged in vain twice`),
      ),
    ]
  })
  return [...single, ...grouped]
}

interface Indexed {
  /** Our invoice's id, by the book's. */
  readonly ours: ReadonlyMap<string, string>
  /** The book's invoice, by the intent it is paid with. */
  readonly byIntent: ReadonlyMap<string, string>
}

function indexed({ book }: Evidence): Indexed {
  return {
    ours: new Map(book.invoices.map(({ id, metadata }) => [id, metadata.invoice ?? ''])),
    byIntent: new Map(book.invoicePayments.map(({ invoice, payment }) => [payment.payment_intent, invoice])),
  }
}

/** Succeeded charges and succeeded payments are one to one, and of one amount. */
export function checkCharges(evidence: Evidence): Violation[] {
  const { facts, book } = evidence
  const { ours, byIntent } = indexed(evidence)
  const wrong = (what: string): Violation => ({ invariant: 'I5', what })
  const charged = book.charges.filter(({ status }) => status === 'succeeded')
  const paid = facts.payments.filter(({ status }) => status === 'succeeded')
  const invoiceOf = (intent: string | null): string => ours.get(byIntent.get(intent ?? '') ?? '') ?? 'no invoice'
  const inBook = charged.map((one) => [one.id, one.amount, one.currency, invoiceOf(one.payment_intent)].join(' '))
  const here = paid.map((one) => [one.provider_id, one.amount, one.currency, one.invoice_id].join(' '))
  const perInvoice = Map.groupBy(charged, ({ payment_intent }) => invoiceOf(payment_intent))
  const failed = Map.groupBy(
    book.charges.filter(({ status }) => status === 'failed'),
    ({ payment_intent }) => invoiceOf(payment_intent),
  )
  const attempts = (invoice: string): number =>
    facts.payments.filter(({ invoice_id, status }) => invoice_id === invoice && status === 'failed').length
  return [
    ...inBook.filter((one) => !here.includes(one)).map((one) => wrong(`charge ${one} succeeded there, and not here`)),
    ...here.filter((one) => !inBook.includes(one)).map((one) => wrong(`payment ${one} succeeded here, and not there`)),
    ...[...perInvoice]
      .filter(([, charges]) => charges.length > 1)
      .map(([invoice, charges]) => wrong(`invoice ${invoice} was charged ${charges.length} times`)),
    ...[...failed]
      .filter(([invoice, charges]) => charges.length > attempts(invoice))
      .map(([invoice, charges]) =>
        wrong(`invoice ${invoice}: ${charges.length} charges failed, fewer attempts are here`),
      ),
    ...book.charges.filter((one) => one.amount_refunded > 0).map(({ id }) => wrong(`charge ${id} was given back`)),
    ...book.refunds.map(({ id }) => wrong(`refund ${id} was made by nobody`)),
  ]
}

/** One copy there of each invoice that is to be collected, the same in every number. */
export function checkCopies(evidence: Evidence): Violation[] {
  const { book } = evidence
  const live = book.invoices.filter(({ status }) => status !== 'void')
  const copies = Map.groupBy(live, ({ metadata }) => metadata.invoice ?? '')
  const mirrored = fates(evidence).filter(({ by }) => by !== 'too_small')
  const known = new Set(mirrored.map(({ invoice }) => invoice.id))
  const stray = live.filter(({ metadata }) => !known.has(metadata.invoice ?? ''))
  return [
    ...stray.map(({ id }) => ({ invariant: 'I5', what: `${id} there is a copy of none of our invoices` })),
    ...mirrored.flatMap((fate) => compareCopies(evidence, fate, copies.get(fate.invoice.id) ?? [])),
  ]
}

function compareCopies({ facts, book }: Evidence, fate: Fate, copies: Evidence['book']['invoices']): Violation[] {
  const { invoice, status } = fate
  const wrong = (what: string): Violation[] => [{ invariant: 'I5', what: `invoice ${invoice.number}: ${what}` }]
  const [copy] = copies
  if (!copy || copies.length > 1) return wrong(`${copies.length} copies there`)
  const mirror = facts.invoice_mirrors.find(({ invoice_id }) => invoice_id === invoice.id)
  const customer = facts.stripe_customers.find(({ account_id }) => account_id === invoice.account_id)?.customer_id
  const amounts = (lines: readonly { readonly amount: number }[]): string => lines.map(({ amount }) => amount).join('+')
  const mine = facts.invoice_lines
    .filter(({ invoice_id }) => invoice_id === invoice.id)
    .sort((a, b) => a.position - b.position)
  const theirs = book.lines.filter((line) => line.invoice === copy.id)
  const found = [copy.id, copy.customer, copy.total, copy.currency, copy.status, copy.number, amounts(theirs)].join(' ')
  const asked = [
    mirror?.stripe_invoice_id,
    customer,
    invoice.total,
    invoice.currency,
    status,
    invoice.number,
    amounts(mine),
  ]
  return found === asked.join(' ') ? [] : wrong(`the copy is ${found}, ours ${asked.join(' ')}`)
}

/** Nothing was asked there that is not written here: each charge has its attempt, each account one customer. */
export function checkAsked({ facts, book, ledger }: Evidence): Violation[] {
  const wrong = (what: string): Violation => ({ invariant: 'I5', what })
  const attempts = new Set(facts.payments.map(({ id }) => `charge:${id}`))
  const pays = book.requests.filter(({ operation, path }) => operation === 'invoices.pay' || /\/pay$/.test(path))
  const unknown = pays.filter(({ idempotency_key }) => !attempts.has(idempotency_key ?? ''))
  const customers = Map.groupBy(book.customers, ({ metadata }) => metadata.account ?? '')
  const here = facts.stripe_customers.map(({ account_id, customer_id }) => `${account_id} ${customer_id}`)
  const accounts = new Set(ledger.accounts.map(({ id }) => id))
  return [
    ...unknown.map(({ idempotency_key }) =>
      wrong(`a charge was asked for as ${idempotency_key}, of which no attempt is here`),
    ),
    ...[...customers].flatMap(([account, rows]) => {
      if (!accounts.has(account)) return [wrong(`customer ${rows[0]!.id} is of none of our accounts`)]
      if (rows.length > 1) return [wrong(`account ${account} has ${rows.length} customers there`)]
      return here.includes(`${account} ${rows[0]!.id}`) ? [] : [wrong(`customer ${rows[0]!.id} is not known here`)]
    }),
    ...facts.stripe_customers
      .filter(({ account_id }) => !customers.has(account_id))
      .map(({ customer_id }) => wrong(`customer ${customer_id} is not known there`)),
  ]
}
