// A vendor's history as the three files of an import, in cells and as CSV.
import type { VendorEvent, VendorHistory, VendorSite } from './history.ts'

export type FileName = 'accounts.csv' | 'prices.csv' | 'events.csv'
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}
export type Files = Partial<Record<FileName, Table>>

export const ACCOUNT_COLUMNS = [
  ...['account', 'name', 'currency', 'timezone', 'invoice_day', 'net_days', 'autopay_cap', 'company_name'],
  ...['contact_name', 'website', 'address', 'city', 'postal_code', 'country'],
] as const
export const PRICE_COLUMNS = [
  ...['product', 'name', 'family', 'currency', 'model', 'monthly_amount', 'effective_from', 'account'],
] as const
export const EVENT_COLUMNS = [
  ...['at', 'account', 'license', 'event', 'product', 'site_url', 'site_external_id', 'client'],
] as const

/** Columns of a table and its rows by column; a cell left out is empty. */
export const tableOf = (
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string | undefined>>[],
): Table => ({ columns, rows: rows.map((row) => columns.map((column) => row[column] ?? '')) })

/** The n-th spelling of one address or one instant: files are not written by us. */
const spelled = (url: string | undefined, n: number): string =>
  url === undefined ? '' : n % 5 === 0 ? `${url.replace('https://', '')}/` : url
function instant(at: number, n: number): string {
  const text = (shifted: number): string => new Date(shifted).toISOString().replace('.000Z', '')
  return n % 7 === 0 ? `${text(at + 2 * 3_600_000)}+02:00` : `${text(at)}Z`
}

const siteCells = (site: VendorSite | null, n: number) => ({
  site_url: spelled(site?.url, n),
  site_external_id: site?.externalId ?? '',
})

const eventRow = ({ at, account, license, event, product, site, client }: VendorEvent, n: number) => ({
  ...{ at: instant(at, n), account, license, event, product: event === 'issue' || n % 3 > 0 ? product : '' },
  ...siteCells(site, n),
  client: client ?? '',
})

export function filesOf({ accounts, prices, events }: VendorHistory): Files {
  return {
    'accounts.csv': tableOf(
      ACCOUNT_COLUMNS,
      accounts.map(({ account, name, currency, zone, invoiceDay }) => ({
        ...{ account, name, currency, timezone: zone, invoice_day: String(invoiceDay), net_days: '14' },
        ...{ autopay_cap: '4000.00', company_name: name, contact_name: 'Jo Müller', website: 'https://p.example' },
        ...{ address: '1 Main St, "Annex"', city: 'Springfield', postal_code: '10849', country: 'DE' },
      })),
    ),
    'prices.csv': tableOf(
      PRICE_COLUMNS,
      prices.map(({ product, currency, monthly, from, account }) => ({
        ...{ product, name: `The ${product}`, family: 'test', currency, model: 'per_day', monthly_amount: monthly },
        ...{ effective_from: from, account },
      })),
    ),
    'events.csv': tableOf(EVENT_COLUMNS, events.map(eventRow)),
  }
}

const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
export const csvText = ({ columns, rows }: Table): string =>
  [columns, ...rows].map((row) => `${row.map(cell).join(',')}\n`).join('')

/** The line a row is on, as an editor counts: the first holds the columns. */
export const lineOfRow = (index: number): number => index + 2
