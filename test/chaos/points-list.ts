// The crash points that the life of one account, one month and three licenses comes by. A run in which one of them was
// not struck has proved nothing about it, and fails.

const TRANSACTION = ['before', 'uncommitted', 'after'] as const
const CALL = ['before', 'after'] as const
const each = (name: string, hows: readonly string[]): string[] => hows.map((how) => `${name}: ${how}`)

/** What a job does, in order: transactions by how many of each, other calls by name. */
interface Passed {
  readonly acrossAccounts?: number
  readonly withAccount?: number
  readonly calls?: readonly string[]
}

const JOBS: Readonly<Record<string, Passed>> = {
  'licenses.apply-action': { acrossAccounts: 1, withAccount: 1 },
  'usage.count-all-days': { acrossAccounts: 1 },
  'usage.count-day': { acrossAccounts: 2 },
  'invoices.close-all-months': { acrossAccounts: 1 },
  'invoices.close-month': { acrossAccounts: 1 },
  'invoices.finalize-all-invoices': { acrossAccounts: 1 },
  // Between the number and its commit lies `withAccount 2: uncommitted`.
  'invoices.finalize-invoice': { acrossAccounts: 1, withAccount: 2 },
  'payments.mirror-invoice': {
    acrossAccounts: 1,
    withAccount: 4,
    calls: ['stripe.createInvoiceCopy', 'stripe.addLines', 'stripe.finalizeCopy', 'stripe.readInvoiceCopy'],
  },
  'payments.charge-invoice': { acrossAccounts: 1, withAccount: 2, calls: ['stripe.charge'] },
  'payments.follow-stripe-event': {
    acrossAccounts: 2,
    withAccount: 1,
    calls: ['stripe.readCardSetup', 'stripe.readInvoiceCopy'],
  },
  'documents.render-invoice': { acrossAccounts: 1, withAccount: 2, calls: ['pdf.render', 'files.put'] },
  'notifications.mail-invoice': { acrossAccounts: 1, withAccount: 3, calls: ['files.get', 'mailer.send'] },
}

const times = (name: string, count = 0): string[] => Array.from({ length: count }, (_, n) => `${name} ${n + 1}`)

function pointsOf(job: string, { acrossAccounts, withAccount, calls = [] }: Passed): string[] {
  const transactions = [...times('db.acrossAccounts', acrossAccounts), ...times('db.withAccount', withAccount)]
  return [
    ...transactions.flatMap((name) => each(`${job} ${name}`, TRANSACTION)),
    ...calls.flatMap((name) => each(`${job} ${name} 1`, CALL)),
    ...each(`${job} ended`, CALL),
  ]
}

const QUEUES = ['licenses', 'usage', 'invoices', 'payments', 'documents', 'notifications'] as const

export const POINTS: readonly string[] = [
  ...Object.entries(JOBS).flatMap(([job, passed]) => pointsOf(job, passed)),
  ...QUEUES.flatMap((queue) => each(`enqueue ${queue}`, CALL)),
  ...each('accept', ['before', 'recorded']),
  ...each('webhook', ['before', 'recorded']),
  'sweep: marked',
]
