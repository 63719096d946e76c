// Invoices as partners see them, told without what differs from world to world: ids, numbers and dates of issue.
import { toPublicId } from '../../apps/adapters/ids.ts'
import type { World } from './world.ts'

interface InvoiceView {
  readonly kind: string
  readonly period: string
  readonly number: string | null
  readonly total: { readonly amount: number; readonly currency: string }
  readonly lines: readonly {
    readonly product: string
    readonly quantity: number
    readonly unit_amount: string
    readonly amount: { readonly amount: number }
  }[]
}

export interface AccountInvoices {
  readonly account: string
  /** By month. */
  readonly invoices: readonly InvoiceView[]
}

/** Every invoice, drafts too, of every account that has an external id. */
export async function allInvoices(world: World): Promise<AccountInvoices[]> {
  const accounts = await world.db.prisma.$queryRaw<{ id: string; account: string }[]>`
    SELECT id, external_id AS account FROM accounts WHERE external_id IS NOT NULL ORDER BY 2`
  const all: AccountInvoices[] = []
  for (const { id, account } of accounts) {
    const headers = { 'Perdiem-Account': toPublicId('account', id) }
    const { status, body } = await world.call('GET', '/v1/invoices?limit=100', { headers })
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`)
    const invoices = (body.data as InvoiceView[]).sort((a, b) => a.period.localeCompare(b.period))
    all.push({ account, invoices })
  }
  return all
}

/** Each invoice as a line of words: account, month, kind, lines and total. */
export async function invoiceWords(world: World): Promise<string[]> {
  return (await allInvoices(world)).flatMap(({ account, invoices }) =>
    invoices.map(({ kind, period, total, lines }) => {
      // Products made by one import have no order among themselves, and lines stand in that of their products.
      const words = lines
        .map((line) => `${line.product} ${line.quantity} × ${line.unit_amount} = ${line.amount.amount}`)
        .sort()
      return `${account} ${period} ${kind}: ${words.join(', ')}; ${total.amount} ${total.currency}`
    }),
  )
}
