// Small imports for tests of what is refused: rows by what matters in them, everything else filled in.
import {
  ACCOUNT_COLUMNS,
  EVENT_COLUMNS,
  PRICE_COLUMNS,
  tableOf,
  type FileName,
  type Files,
} from '../../support/history-files.ts'

type Cells = Readonly<Record<string, string>>

export const accountRow = (account: string, cells: Cells = {}): Cells => ({
  ...{ account, name: 'Partner', currency: 'usd', timezone: 'UTC', invoice_day: '3', net_days: '14' },
  ...{ autopay_cap: '4000.00', company_name: 'Partner', contact_name: 'Jo Müller', website: 'https://p.example' },
  ...{ address: '1 Main St', city: 'Springfield', postal_code: '10849', country: 'DE', ...cells },
})

export const priceRow = (product: string, cells: Cells = {}): Cells => ({
  ...{ product, name: product, family: 'test', currency: 'usd', model: 'per_day', monthly_amount: '10.00' },
  ...{ effective_from: '2026-01-01', account: '', ...cells },
})

/** One event as `2026-03-02T10:00:00Z bad L1 assign backup https://a.example 17`; `-` leaves a cell empty. */
export function eventRow(text: string, cells: Cells = {}): Cells {
  const [at, account, license, event, product = 'backup', url, id] = text
    .split(' ')
    .map((cell) => (cell === '-' ? '' : cell)) as [string, string, string, string, string?, string?, string?]
  const site = { ...(url && { site_url: url }), ...(id && { site_external_id: id }) }
  return { at, account, license, event, product, ...site, ...cells }
}

export interface Rows {
  readonly accounts?: readonly Cells[]
  readonly prices?: readonly Cells[]
  readonly events?: readonly Cells[]
}

const FILES = [
  ['accounts.csv', 'accounts', ACCOUNT_COLUMNS],
  ['prices.csv', 'prices', PRICE_COLUMNS],
  ['events.csv', 'events', EVENT_COLUMNS],
] as const satisfies readonly (readonly [FileName, keyof Rows, readonly string[]])[]

export const filesWith = (rows: Rows): Files =>
  Object.fromEntries(
    FILES.flatMap(([file, name, columns]) => (rows[name] ? [[file, tableOf(columns, rows[name])]] : [])),
  )

/** The same rows for accounts of another name: what is one case's is not another's. */
export const renamed = (rows: Rows, names: Readonly<Record<string, string>>): Rows =>
  Object.fromEntries(
    Object.entries(rows).map(([file, all]) => [
      file,
      (all as readonly Cells[]).map((row) => ({ ...row, account: names[row.account!] ?? row.account! })),
    ]),
  )
