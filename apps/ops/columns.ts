// The files of an import and their columns. Their order is free; what is not known is refused, because a misspelled
// column would otherwise be left out without a word.
import { excerpt, Failure } from './failure.ts'

export interface CsvFile {
  readonly name: string
  readonly required: readonly string[]
  readonly optional: readonly string[]
}

/** In the order in which they are sent: what is named before what names it. */
export const FILES: readonly CsvFile[] = [
  {
    name: 'accounts.csv',
    required: [
      ...['account', 'name', 'currency', 'timezone', 'invoice_day', 'net_days', 'autopay_cap', 'company_name'],
      ...['contact_name', 'website', 'address', 'city', 'postal_code', 'country'],
    ],
    optional: ['billing_email', 'po_number', 'card_required', 'address_line2', 'state', 'tax_id'],
  },
  {
    name: 'prices.csv',
    required: ['product', 'name', 'family', 'currency', 'model', 'monthly_amount', 'effective_from', 'account'],
    optional: [],
  },
  {
    name: 'events.csv',
    required: ['at', 'account', 'license', 'event', 'product', 'site_url', 'site_external_id', 'client'],
    optional: [],
  },
]

const SEPARATORS: Readonly<Record<string, string>> = { ';': 'semicolons', '\t': 'tabs', '|': 'vertical bars' }

/** @throws Failure naming every column that is missing, unknown or there twice */
export function checkHeader(file: CsvFile, header: readonly string[]): void {
  const at = `${file.name} line 1`
  const [only = ''] = header
  if (header.length === 1 && only === '') throw new Failure(`${at} is empty; it must name the columns.`)
  if (header.some((cell) => cell.includes('\r')))
    throw new Failure(`${at}: its lines end as on old Macs. Save it with LF or CRLF line ends.`)
  const separator = Object.keys(SEPARATORS).find((one) => header.length === 1 && only.includes(one))
  if (separator) {
    throw new Failure(`${at}: its cells are separated by ${SEPARATORS[separator]}; they must be by commas.`)
  }
  const known = [...file.required, ...file.optional]
  const wrong = [...new Set(header)].flatMap((column) => {
    const name = column === '' ? `number ${header.indexOf('') + 1} (without a name)` : excerpt(column)
    if (!known.includes(column)) return [`${at}: the column ${name} is not known.`]
    if (header.indexOf(column) !== header.lastIndexOf(column)) return [`${at}: the column ${name} is there twice.`]
    return []
  })
  const missing = file.required.filter((column) => !header.includes(column))
  const all = [...wrong, ...missing.map((column) => `${at}: the column ${column} is missing.`)]
  if (all.length === 0) return
  const told = [...all.slice(0, WORDS_MAX), `The columns of ${file.name} are ${known.join(', ')}.`]
  throw new Failure(told.join('\n'))
}

/** Of a file that is something else altogether, a few columns tell as much as all of them. */
const WORDS_MAX = 25
