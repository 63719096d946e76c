// What an invoice's document shows. Everything is decided before: the page only lays it out.

import type { Currency } from '../rules/money.ts'

/** One row of the invoice's table. */
export interface InvoiceDocumentLine {
  description: string
  quantity: string
  /** What is counted, in the plural: `days` for licenses billed by the day. */
  unit: string
  /** A decimal of major units with 6 places. */
  unitPrice: string
  /** Minor units. */
  amount: bigint
}

/** A license's share in the evidence. */
export interface InvoiceDocumentLicense {
  product: string
  /** A short hint such as …7F3K, never the key. */
  license: string
  days: string
}

/** Licenses that stood on one site; null: on none. */
export interface InvoiceDocumentSite {
  site: string | null
  licenses: InvoiceDocumentLicense[]
}

/** One client's part of the invoice; null: sites that bear no client. */
export interface InvoiceDocumentClient {
  client: string | null
  amount: bigint
  sites: InvoiceDocumentSite[]
}

/** An invoice, or the copy of a paid one, as it is printed. Amounts are in minor units. */
export interface InvoiceDocument {
  kind: 'invoice' | 'paid_copy'
  issuer: { name: string; address: string[]; taxIds: string[]; support: string | null }
  billTo: { name: string; lines: string[]; taxIds: string[] }
  number: string
  poNumber: string | null
  invoiceKind: 'usage' | 'contract' | 'overage' | 'renewal' | 'proration'
  /** YYYY-MM-DD; both days are included. */
  periodStart: string
  periodEnd: string
  issuedOn: string
  /** null: due on no particular day. */
  dueOn: string | null
  currency: Currency
  lines: InvoiceDocumentLine[]
  subtotal: bigint
  taxes: { label: string; amount: bigint }[]
  total: bigint
  balance: bigint
  payUrl: string | null
  paid: { on: string; by: string } | null
  notes: string[]
  clients: InvoiceDocumentClient[]
}
