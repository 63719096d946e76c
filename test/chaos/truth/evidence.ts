// What a verdict is made from: the client's ledger, the database, the stand-in's own book, the kept mails, the files.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Ledger } from '../workload/ledger.ts'
import type { Facts } from './facts.ts'

export interface Violation {
  /** I1 to I13 of domain.md; `jobs`: work left over or dead; `client`: what the caller was answered. */
  readonly invariant: string
  readonly what: string
}

export interface SeenMail {
  readonly messageId: string
  readonly to: readonly string[]
  readonly subject: string
  readonly attachments: readonly { readonly filename: string; readonly bytes: number }[]
}

export interface BookInvoice {
  readonly id: string
  readonly status: string
  readonly total: number
  readonly currency: string
  readonly number: string | null
  readonly customer: string | null
  readonly metadata: { readonly invoice?: string }
}
export interface BookCharge {
  readonly id: string
  readonly status: string
  readonly amount: number
  readonly amount_refunded: number
  readonly currency: string
  readonly payment_intent: string | null
}
export interface BookRequest {
  readonly operation: string | null
  readonly path: string
  readonly idempotency_key: string | null
}

/** The stand-in's book, as it wrote it down. */
export interface Book {
  readonly invoices: readonly BookInvoice[]
  readonly lines: readonly { readonly invoice: string; readonly amount: number }[]
  readonly invoicePayments: readonly {
    readonly invoice: string
    readonly payment: { readonly payment_intent: string }
  }[]
  readonly intents: readonly { readonly id: string; readonly status: string }[]
  readonly charges: readonly BookCharge[]
  readonly customers: readonly { readonly id: string; readonly metadata: { readonly account?: string } }[]
  readonly methods: readonly { readonly id: string; readonly customer: string | null }[]
  readonly refunds: readonly { readonly id: string }[]
  readonly requests: readonly BookRequest[]
}

export interface Evidence {
  readonly ledger: Ledger
  readonly facts: Facts
  readonly book: Book
  readonly mails: readonly SeenMail[]
  /** How often a mail may have been handed over again, the same in every byte and under the same Message-ID. */
  readonly mailsAgain: number
  /** A file by the name the database knows it by; null when there is none. */
  readonly file: (name: string) => Promise<Uint8Array | null>
}

export function readBook(path: string): Book {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const all = (kind: string): never[] =>
      db
        .prepare('select body from objects where kind = ? order by seq')
        .all(kind)
        .map((row) => JSON.parse(String(row['body']))) as never[]
    const requests = db.prepare('select body from requests order by seq').all()
    return {
      invoices: all('invoice'),
      lines: all('line_item'),
      invoicePayments: all('invoice_payment'),
      intents: all('payment_intent'),
      charges: all('charge'),
      customers: all('customer'),
      methods: all('payment_method'),
      refunds: all('refund'),
      requests: requests.map((row) => JSON.parse(String(row['body']))),
    }
  } finally {
    db.close()
  }
}

/** The mails a sandbox kept: one file each. What is only half written ends in another name. */
export async function mailsIn(folder: string): Promise<SeenMail[]> {
  const names = await readdir(folder).catch(() => [])
  const files = names.filter((name) => name.endsWith('.json')).map((name) => readFile(join(folder, name), 'utf8'))
  return (await Promise.all(files)).map((text) => JSON.parse(text) as SeenMail)
}

export const filesIn =
  (folder: string): Evidence['file'] =>
  async (name) =>
    await readFile(join(folder, name)).catch(() => null)

/** Until when all that was due is known to be done: the end of the last move that met no failure and crossed a day. */
export function settledUntil({ moves }: Ledger): number | null {
  const whole = moves.filter(({ from, to, clean }) => clean && Date.parse(to) - Date.parse(from) >= 25 * 3_600_000)
  return whole.length === 0 ? null : Math.max(...whole.map(({ to }) => Date.parse(to)))
}

export const clockOf = ({ moves, openedAt }: Ledger): number =>
  Math.max(Date.parse(openedAt), ...moves.map(({ to }) => Date.parse(to)))

export const iso = (at: number | null): string => (at === null ? 'never' : new Date(at).toISOString())

export function describeViolations(violations: readonly Violation[]): string {
  if (violations.length === 0) return 'no violation'
  const lines = violations.map(({ invariant, what }) => `  ${invariant}: ${what}`)
  return [`${violations.length} violation${violations.length === 1 ? '' : 's'}`, ...lines].join('\n')
}
