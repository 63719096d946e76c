// The rows of an import's files, checked, and why one cannot be taken.
import type { Day } from '../rules/period.ts'

export type ImportFile = 'accounts.csv' | 'prices.csv' | 'events.csv'

export interface ImportFailure {
  readonly file: ImportFile
  /** 1-based, as an editor counts. */
  readonly line: number
  readonly field: string
  /** Null when the row does not say whose it is: then nothing of the import can be taken. */
  readonly account: string | null
  readonly message: string
}

export interface AccountRow {
  readonly line: number
  readonly account: string
  /** The account's fields, checked: see readyAccounts(). */
  readonly details: Record<string, unknown>
}

export interface PriceRow {
  readonly line: number
  /** Empty: the list price. */
  readonly account: string
  readonly product: string
  readonly name: string
  readonly family: string
  readonly currency: string
  readonly model: string
  readonly monthlyAmount: string
  readonly effectiveFrom: Day
}

export interface EventRow {
  readonly line: number
  readonly at: string
  readonly account: string
  readonly license: string
  readonly event: 'issue' | 'assign' | 'unassign' | 'revoke'
  readonly product: string | null
  readonly siteUrl: string | null
  readonly siteExternalId: string | null
  readonly client: string | null
}
