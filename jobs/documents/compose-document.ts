// Puts together what an invoice's document shows. Pure: everything comes from the final invoice and its evidence.
import type { FinalInvoice } from '../invoices/invoices.store.ts'
import { allot } from '../rules/allot.ts'
import { dayOf } from '../rules/period.ts'
import type { EvidenceRow } from '../usage/evidence.ts'
import type { DocumentKind } from './documents.store.ts'
import type { InvoiceDocument } from './invoice-document.ts'

export interface Extras {
  readonly kind: DocumentKind
  readonly payUrl: string | null
  readonly paidWith: string | null
  readonly evidence: readonly EvidenceRow[]
  readonly notes: readonly string[]
}

export function composeDocument(invoice: FinalInvoice, extras: Extras): InvoiceDocument {
  return {
    kind: extras.kind,
    issuer: issuerOf(invoice.issuer),
    billTo: billToOf(invoice.billTo),
    number: invoice.number,
    poNumber: invoice.poNumber,
    invoiceKind: invoice.kind,
    periodStart: invoice.periodStart,
    periodEnd: invoice.periodEnd,
    issuedOn: invoice.issuedOn,
    dueOn: invoice.dueOn,
    currency: invoice.currency,
    lines: invoice.lines.map((line) => ({
      description: line.description,
      quantity: String(line.quantity),
      unit: line.unit,
      unitPrice: line.unitRate,
      amount: line.amount,
    })),
    subtotal: invoice.subtotal,
    taxes: [],
    total: invoice.total,
    balance: invoice.total - invoice.paid - invoice.credited,
    payUrl: extras.kind === 'invoice' ? extras.payUrl : null,
    // Settled without a payment is not paid by anything.
    paid:
      invoice.paid > 0n && invoice.paidAt !== null
        ? {
            on: dayOf(invoice.paidAt, invoice.timezone),
            by: extras.paidWith ?? 'payment link',
          }
        : null,
    notes: [...extras.notes],
    clients: clientsOf(invoice, extras.evidence),
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
const texts = (...values: unknown[]): string[] => values.map(text).filter((value) => value !== null)
const list = (value: unknown): string[] => (Array.isArray(value) ? texts(...value) : [])

function issuerOf(issuer: Record<string, unknown>): InvoiceDocument['issuer'] {
  return {
    name: text(issuer.name) ?? 'The vendor',
    address: list(issuer.address),
    taxIds: list(issuer.tax_ids),
    support: text(issuer.support),
  }
}

function billToOf(company: Record<string, unknown>): InvoiceDocument['billTo'] {
  const town = texts(company.postal_code, company.city).join(' ')
  return {
    name: text(company.name) ?? text(company.account_name) ?? '',
    lines: texts(company.contact_name, company.address, company.address_line2, town, company.state, company.country),
    taxIds: texts(company.tax_id),
  }
}

type Clients = InvoiceDocument['clients']

/** Client, site, license. Each line's amount is allotted to licenses by their days: clients add up to it. */
function clientsOf(invoice: FinalInvoice, evidence: readonly EvidenceRow[]): Clients {
  const amounts = amountsOf(invoice, evidence)
  const clients = new Map<string | null, { amount: bigint; sites: Map<string | null, Clients[0]['sites'][0]> }>()
  evidence.forEach((row, index) => {
    const client = clients.get(row.client) ?? { amount: 0n, sites: new Map() }
    clients.set(row.client, client)
    client.amount += amounts.get(rowId(row, index)) ?? 0n
    const site = client.sites.get(row.site) ?? { site: row.site, licenses: [] }
    client.sites.set(row.site, site)
    site.licenses.push({ product: row.product, license: `…${row.hint}`, days: String(row.days) })
  })
  return [...clients].map(([client, { amount, sites }]) => ({ client, amount, sites: [...sites.values()] }))
}

/** Ties go by license id; the index keeps one license's sites apart. */
const rowId = (row: EvidenceRow, index: number): string => `${row.licenseId}.${String(index).padStart(6, '0')}`

function amountsOf(invoice: FinalInvoice, evidence: readonly EvidenceRow[]): Map<string, bigint> {
  const amounts = new Map<string, bigint>()
  const products = new Map<string, bigint>()
  for (const line of invoice.lines) {
    if (line.productId) products.set(line.productId, (products.get(line.productId) ?? 0n) + line.amount)
  }
  for (const [productId, amount] of products) {
    const parts = evidence
      .map((row, index) => ({ id: rowId(row, index), weight: row.days, productId: row.productId }))
      .filter((part) => part.productId === productId)
    for (const [id, share] of allot(amount, parts)) amounts.set(id, share)
  }
  return amounts
}
