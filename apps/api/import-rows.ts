// Rows of an import's files, checked cell by cell: what can be taken, and of what cannot the line, the field and why.
import { z } from 'zod'
import type { AccountDetails } from '../../jobs/imports/import-lives.ts'
import type { AccountRow, EventRow, ImportFailure, ImportFile, PriceRow } from '../../jobs/imports/imports.store.ts'
import { siteAddress } from '../../jobs/licenses/actions/inputs.ts'
import { defaultAutopayCap } from '../../jobs/rules/invoice-plan.ts'
import { parseMajorUnits } from '../../jobs/rules/money.ts'
import { company, currency, day, decimalAmount, email, isPlainText, slug, timezone } from './schemas.ts'

/** The columns a file has, and those it may have besides. */
export const COLUMNS: Record<ImportFile, { required: readonly string[]; optional: readonly string[] }> = {
  'accounts.csv': {
    required: [
      'account',
      'name',
      'currency',
      'timezone',
      'invoice_day',
      'net_days',
      'autopay_cap',
      'company_name',
      'contact_name',
      'website',
      'address',
      'city',
      'postal_code',
      'country',
    ],
    optional: ['billing_email', 'po_number', 'card_required', 'address_line2', 'state', 'tax_id'],
  },
  'prices.csv': {
    required: ['product', 'name', 'family', 'currency', 'model', 'monthly_amount', 'effective_from', 'account'],
    optional: [],
  },
  'events.csv': {
    required: ['at', 'account', 'license', 'event', 'product', 'site_url', 'site_external_id', 'client'],
    optional: [],
  },
}

type Cells = Readonly<Record<string, string>>
type Wrong = { readonly field: string; readonly message: string }
type Parsed<Row> = { readonly row: Row } | { readonly wrong: readonly Wrong[] }

const TEXT_MAX = 200
const text = z.string().max(TEXT_MAX, `has more than ${TEXT_MAX} characters`)
const required = text.min(1, 'is missing')
const optional = text.transform((cell) => cell || null)
const whole = (min: number, max: number, otherwise: number) =>
  z
    .string()
    .regex(/^\d{0,4}$/, `must be a whole number from ${min} to ${max}`)
    .transform((cell) => (cell === '' ? otherwise : Number(cell)))
    .pipe(z.number().min(min, `must be ${min} to ${max}`).max(max, `must be ${min} to ${max}`))
const missing = { error: 'is missing' }

const accountCells = z.object({
  account: required,
  name: required,
  currency: z.string().min(1, missing).pipe(currency),
  timezone: z.string().min(1, missing).pipe(timezone),
  invoice_day: whole(1, 8, 3),
  net_days: whole(0, 365, 14),
  autopay_cap: z.string().regex(/^(none|\d{1,12}(\.\d{1,6})?)?$/, 'must be an amount such as 4000.00, or none'),
  card_required: z
    .enum(['', 'true', 'false'], 'must be true or false')
    .default('')
    .transform((cell) => cell !== 'false'),
  billing_email: z
    .literal('')
    .or(email)
    .default('')
    .transform((cell) => cell || null),
  po_number: optional.default(null),
})

/** Columns of accounts.csv that are company details, and what these are called. */
const COMPANY: Record<string, keyof z.infer<typeof company>> = {
  company_name: 'name',
  contact_name: 'contact_name',
  website: 'website',
  address: 'address',
  address_line2: 'address_line2',
  city: 'city',
  postal_code: 'postal_code',
  state: 'state',
  country: 'country',
  tax_id: 'tax_id',
}

const priceCells = z.object({
  account: text,
  product: z.string().min(1, missing).pipe(slug),
  name: required,
  family: required.max(100),
  currency: z.string().min(1, missing).pipe(currency),
  model: z.literal('per_day', 'must be per_day'),
  monthly_amount: z.string().min(1, missing).pipe(decimalAmount),
  effective_from: z.string().min(1, missing).pipe(day),
})

const instant = z.iso.datetime({ offset: true, error: 'must be an instant such as 2026-01-31T23:59:59Z' })
const EVENTS = ['issue', 'assign', 'unassign', 'revoke'] as const
const eventCells = z.object({
  at: z
    .string()
    .min(1, missing)
    .pipe(instant)
    .refine((cell) => cell >= '1970', 'must not lie before 1970'),
  account: required,
  license: required,
  event: z.enum(EVENTS, `must be one of ${EVENTS.join(', ')}`),
  product: text.max(100),
  site_url: z.string(),
  site_external_id: text,
  client: text,
})

function wrongOf(error: z.ZodError): Wrong[] {
  return error.issues.map((issue) => ({ field: String(issue.path[0] ?? 'row'), message: issue.message }))
}

/** Cells without the blanks around them; the first that is no plain text is wrong. */
function trimmed(cells: Cells): Parsed<Cells> {
  for (const [field, cell] of Object.entries(cells)) {
    if (!isPlainText(cell)) return { wrong: [{ field, message: 'must not contain control characters' }] }
  }
  return { row: Object.fromEntries(Object.entries(cells).map(([field, cell]) => [field, cell.trim()])) }
}

function accountRow(line: number, cells: Cells): Parsed<AccountRow> {
  const parsed = accountCells.safeParse(cells)
  const details = Object.entries(COMPANY).flatMap(([column, field]) => (cells[column] ? [[field, cells[column]]] : []))
  const companyParsed = company.safeParse(Object.fromEntries(details))
  const wrong = parsed.success ? [] : wrongOf(parsed.error)
  if (!companyParsed.success) {
    const column = (field: string): string => Object.keys(COMPANY).find((name) => COMPANY[name] === field) ?? field
    wrong.push(...wrongOf(companyParsed.error).map(({ field, message }) => ({ field: column(field), message })))
  }
  if (!parsed.success || !companyParsed.success) return { wrong }
  const { account, autopay_cap, ...rest } = parsed.data
  const cap = capOf(autopay_cap, rest.currency)
  if (cap === 'fraction')
    return { wrong: [{ field: 'autopay_cap', message: `is no whole amount in ${rest.currency}` }] }
  const row: AccountDetails = { ...rest, autopay_cap: cap, company: companyParsed.data as Record<string, string> }
  return { row: { line, account, details: { ...row } } }
}

/** Minor units as text; null: no cap. A cell left empty gives the currency's default. */
function capOf(cell: string, code: string): string | null | 'fraction' {
  if (cell === '') return defaultAutopayCap(code)?.toString() ?? null
  if (cell === 'none') return null
  const { numerator, denominator } = parseMajorUnits(cell, code)
  return numerator % denominator === 0n ? String(numerator / denominator) : 'fraction'
}

function priceRow(line: number, cells: Cells): Parsed<PriceRow> {
  const parsed = priceCells.safeParse(cells)
  if (!parsed.success) return { wrong: wrongOf(parsed.error) }
  const { monthly_amount: monthlyAmount, effective_from: effectiveFrom, ...rest } = parsed.data
  return { row: { line, ...rest, monthlyAmount, effectiveFrom } }
}

function eventRow(line: number, cells: Cells, now: Date): Parsed<EventRow> {
  const parsed = eventCells.safeParse(cells)
  if (!parsed.success) return { wrong: wrongOf(parsed.error) }
  const { data } = parsed
  const at = new Date(data.at)
  const url = siteUrlOf(data.site_url)
  const wrong: Wrong[] = []
  if (at > now) wrong.push({ field: 'at', message: `lies in the future: it is ${now.toISOString()} now` })
  if (typeof url === 'object' && url !== null) wrong.push({ field: 'site_url', message: url.wrong })
  if (data.event === 'issue' && data.product === '') wrong.push({ field: 'product', message: 'is missing' })
  if (wrong.length > 0) return { wrong }
  return {
    row: {
      line,
      at: at.toISOString(),
      account: data.account,
      license: data.license,
      event: data.event,
      product: data.product || null,
      siteUrl: url as string | null,
      siteExternalId: data.site_external_id || null,
      client: data.client || null,
    },
  }
}

/** Sites repeat from row to row: their addresses are read once. Bounded, so that memory stays flat. */
const addresses = new Map<string, string | { wrong: string }>()
const ADDRESSES_MAX = 20_000

function siteUrlOf(cell: string): string | null | { wrong: string } {
  if (cell === '') return null
  const known = addresses.get(cell)
  if (known !== undefined) return known
  const parsed = siteAddress.safeParse(cell)
  const read = parsed.success ? parsed.data : { wrong: parsed.error.issues[0]!.message }
  if (addresses.size >= ADDRESSES_MAX) addresses.clear()
  addresses.set(cell, read)
  return read
}

export interface ReadRows {
  readonly accounts: AccountRow[]
  readonly prices: PriceRow[]
  readonly events: EventRow[]
  readonly failures: ImportFailure[]
}

/** Reads rows of one file: each is a line number and its cells, in the order of the columns. */
export function readRows(
  file: ImportFile,
  columns: readonly string[],
  rows: readonly (readonly [number, ...string[]])[],
  now: Date,
): ReadRows {
  const read: ReadRows = { accounts: [], prices: [], events: [], failures: [] }
  for (const [line, ...values] of rows) {
    const raw = Object.fromEntries(columns.map((column, index) => [column, values[index] ?? '']))
    const cells = trimmed(raw)
    const parsed = 'wrong' in cells ? cells : rowOf(file, line, cells.row, now)
    if ('wrong' in parsed) {
      const account = accountOf(raw)
      read.failures.push(...parsed.wrong.map((wrong) => ({ file, line, account, ...wrong })))
    } else if (file === 'accounts.csv') read.accounts.push(parsed.row as AccountRow)
    else if (file === 'prices.csv') read.prices.push(parsed.row as PriceRow)
    else read.events.push(parsed.row as EventRow)
  }
  return read
}

function rowOf(file: ImportFile, line: number, cells: Cells, now: Date): Parsed<AccountRow | PriceRow | EventRow> {
  if (file === 'accounts.csv') return accountRow(line, cells)
  return file === 'prices.csv' ? priceRow(line, cells) : eventRow(line, cells, now)
}

/** Whose a failing row is. Null: nobody can tell, or, in prices.csv, it is everybody's. */
function accountOf(cells: Cells): string | null {
  const account = cells.account?.trim() ?? ''
  return account === '' || account.length > TEXT_MAX || !isPlainText(account) ? null : account
}
