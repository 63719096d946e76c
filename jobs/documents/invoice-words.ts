// How an invoice puts dates, amounts and names into words. Pure.

import { formatMoney, minorUnitDigits } from '../rules/money.ts'
import { html } from './html.ts'
import type { SafeHtml } from './html.ts'
import type { InvoiceDocumentLine, InvoiceDocumentSite } from './invoice-document.ts'

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** YYYY-MM-DD in parts; null for anything else. */
function dateParts(date: string): { year: string; month: string; day: number } | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(date)
  const month = match && MONTHS[Number(match[2]) - 1]
  return match && month ? { year: match[1]!, month, day: Number(match[3]) } : null
}

/** 2026-12-03 → December 3, 2026; anything else is shown as it stands. */
export function longDate(date: string): string {
  const parts = dateParts(date)
  return parts ? `${parts.month} ${parts.day}, ${parts.year}` : date
}

/** Both days included: November 1 – 30, 2026. */
export function period(start: string, end: string): string {
  const from = dateParts(start)
  const to = dateParts(end)
  if (start === end) return longDate(start)
  if (!from || !to || from.year !== to.year) return `${longDate(start)} – ${longDate(end)}`
  const last = from.month === to.month ? to.day : `${to.month} ${to.day}`
  return `${from.month} ${from.day} – ${last}, ${to.year}`
}

/** What people typed: kept apart from the text around it, whichever way its script runs. */
export function typed(text: string): SafeHtml {
  return html`<bdi>${text}</bdi>`
}

/** 1234567.000000 → 1,234,567.000000 */
export function grouped(decimal: string): string {
  const match = /^(-?\d+)(\.\d+)?$/.exec(decimal)
  return match ? match[1]!.replace(/\B(?=(\d{3})+$)/g, ',') + (match[2] ?? '') : decimal
}

/** Daily rates show all 6 places; other prices no more zeros than the currency has decimals. */
export function unitPrice(line: InvoiceDocumentLine, currency: string): string {
  if (line.unit === 'days' || !line.unitPrice.includes('.')) return grouped(line.unitPrice)
  const places = minorUnitDigits(currency)
  const [whole, fraction] = line.unitPrice.split('.') as [string, string]
  const needed = fraction.replace(/0+$/, '').padEnd(places, '0')
  return grouped(needed === '' ? whole : `${whole}.${needed}`)
}

/** An amount under a heading that already names the currency. */
export function bareMoney(amount: bigint, currency: string): string {
  return formatMoney(amount, currency).replace(/ [^ ]*$/, '')
}

/** The days of all licenses together, when they are whole numbers. */
export function sumOfDays(sites: InvoiceDocumentSite[]): string | null {
  const days = sites.flatMap((site) => site.licenses.map((license) => license.days))
  if (!days.every((count) => /^\d+$/.test(count))) return null
  return grouped(days.reduce((sum, count) => sum + BigInt(count), 0n).toString())
}

export function multiline(lines: string[]): SafeHtml[] {
  return lines.map((line) => html`${typed(line)}<br />`)
}
