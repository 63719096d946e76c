// I8, I11 and the jobs: nothing ties two accounts together, nobody is paused, and no work is left.
import { clockOf, type Evidence, type Violation } from './evidence.ts'
import { ms, type Facts } from './facts.ts'

type Owner = string | null | undefined

/** Of each thing that is of an account, its owner. */
function owners(facts: Facts): (kind: 'invoice' | 'license' | 'site' | 'card' | 'action', id: Owner) => Owner {
  const of = (rows: readonly { readonly id: string; readonly account_id: string }[]): Map<string, string> =>
    new Map(rows.map(({ id, account_id }) => [id, account_id]))
  const maps = {
    invoice: of(facts.invoices),
    license: of(facts.licenses),
    site: of(facts.sites),
    card: of(facts.payment_methods),
    action: of(facts.actions),
  }
  return (kind, id) => (id === null || id === undefined ? null : (maps[kind].get(id) ?? 'nobody'))
}

/** Every pair of owners that a row ties together. */
function ties(facts: Facts): { readonly what: string; readonly owner: Owner; readonly other: Owner }[] {
  const owner = owners(facts)
  const ofInvoice = (what: string, rows: readonly { readonly account_id: string; readonly invoice_id: string }[]) =>
    rows.map((row) => ({
      what: `${what} of invoice ${row.invoice_id}`,
      owner: row.account_id,
      other: owner('invoice', row.invoice_id),
    }))
  return [
    ...ofInvoice('line', facts.invoice_lines),
    ...ofInvoice('claim', facts.invoice_claims),
    ...ofInvoice('state', facts.invoice_states),
    ...ofInvoice('mirror', facts.invoice_mirrors),
    ...ofInvoice('payment', facts.payments),
    ...ofInvoice('document', facts.documents),
    ...facts.payments.map((row) => ({
      what: `card of payment ${row.id}`,
      owner: row.account_id,
      other: owner('card', row.payment_method_id),
    })),
    ...facts.licenses.flatMap((row) => [
      { what: `site of license ${row.id}`, owner: row.account_id, other: owner('site', row.site_id) },
      { what: `action of license ${row.id}`, owner: row.account_id, other: owner('action', row.issued_by) },
    ]),
    ...facts.past_assignments.flatMap((row) => [
      { what: `license of stay ${row.id}`, owner: row.account_id, other: owner('license', row.license_id) },
      { what: `site of stay ${row.id}`, owner: row.account_id, other: owner('site', row.site_id) },
    ]),
    ...facts.actions.map((row) => ({
      what: `license of action ${row.id}`,
      owner: row.account_id,
      other: owner('license', row.input.license),
    })),
    ...facts.hold_members.map((row) => ({
      what: 'member of a hold',
      owner: row.account_id,
      other: owner('license', row.license_id),
    })),
    ...facts.messages.map((row) => ({
      what: `mail for ${row.reason}`,
      owner: row.account_id,
      other: owner('invoice', row.reason.split('.')[1]),
    })),
    ...facts.staged_jobs
      .filter(({ account_id }) => account_id !== null)
      .flatMap((row) => [
        { what: `invoice of job ${row.id}`, owner: row.account_id, other: owner('invoice', row.payload.invoice) },
        { what: `action of job ${row.id}`, owner: row.account_id, other: owner('action', row.payload.action) },
      ]),
    ...facts.invoice_lines.map((row) => {
      const price = facts.prices.find(({ id }) => id === row.price_id)
      return { what: `price of invoice ${row.invoice_id}`, owner: row.account_id, other: price?.account_id ?? null }
    }),
  ]
}

/** I11, as far as rows show it: no row of one account points at a thing of another, here or at the stand-in. */
export function checkTies({ facts, book }: Evidence): Violation[] {
  const accountOf = new Map(facts.stripe_customers.map(({ account_id, customer_id }) => [customer_id, account_id]))
  const customerOf = new Map(book.methods.map(({ id, customer }) => [id, customer]))
  const cards = facts.payment_methods.map((row) => ({
    what: `card ${row.stripe_id}`,
    owner: row.account_id,
    other: accountOf.get(customerOf.get(row.stripe_id) ?? '') ?? 'nobody',
  }))
  return [...ties(facts), ...cards]
    .filter(({ owner, other }) => other !== null && owner !== other)
    .map(({ what, owner, other }) => ({
      invariant: 'I11',
      what: `${what}: one is of account ${owner}, one of ${other}`,
    }))
}

/** I8: in these worlds nobody is ever paused. */
export function checkHolds({ facts }: Evidence): Violation[] {
  return [
    ...facts.holds.map(({ id }) => `hold ${id} was put by nobody`),
    ...facts.hold_members.map(({ license_id }) => `license ${license_id} is paused without a reason`),
  ].map((what) => ({ invariant: 'I8', what }))
}

/** After a rest nothing is left to do, but what is due later; and nothing was given up. */
export function checkJobs({ facts, ledger }: Evidence): Violation[] {
  const clock = clockOf(ledger)
  return facts.staged_jobs.flatMap(({ id, name, due_at, finished_at, outcome, reason }): Violation[] => {
    const wrong = (what: string): Violation[] => [
      { invariant: 'jobs', what: `${name} ${id} ${what} (${reason ?? ''})` },
    ]
    if (outcome === 'dead') return wrong('is dead')
    return finished_at === null && (due_at === null || ms(due_at) <= clock) ? wrong('is undone') : []
  })
}
