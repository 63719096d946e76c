// Writes accounts and vendor_settings.
import type { Tx } from '../kit/ports.ts'
import type { Day } from '../rules/period.ts'

export interface NewAccount {
  readonly id: string
  readonly name: string
  readonly externalId: string | null
  readonly currency: string
  readonly timezone: string
  readonly billingEmail: string | null
  readonly poNumber: string | null
  readonly company: Record<string, unknown>
  /** Minor units; null: no cap. */
  readonly autopayCap: bigint | null
  readonly cardRequired: boolean
  readonly netDays: number
  readonly invoiceDay: number
  /** First local day that is counted and billed. */
  readonly billFrom: Day
  readonly at: Date
}

/** @returns false when the external id is taken */
export async function createAccount(tx: Tx, account: NewAccount): Promise<boolean> {
  return (await createAccounts(tx, [account])) === 1
}

/** @returns how many were created: those whose external id is taken are left out */
export async function createAccounts(tx: Tx, accounts: readonly NewAccount[]): Promise<number> {
  return await tx.$executeRaw`
    INSERT INTO accounts (id, name, external_id, currency, timezone, billing_email, po_number, company, autopay_cap,
                          card_required, net_days, invoice_day, bill_from, created_at)
    SELECT id, name, external_id, currency, timezone, billing_email, po_number, company::jsonb, autopay_cap,
           card_required, net_days, invoice_day, bill_from, created_at
    FROM unnest(
      ${accounts.map((a) => a.id)}::uuid[], ${accounts.map((a) => a.name)}::text[],
      ${accounts.map((a) => a.externalId)}::text[], ${accounts.map((a) => a.currency)}::text[],
      ${accounts.map((a) => a.timezone)}::text[], ${accounts.map((a) => a.billingEmail)}::text[],
      ${accounts.map((a) => a.poNumber)}::text[], ${accounts.map((a) => JSON.stringify(a.company))}::text[],
      ${accounts.map((a) => a.autopayCap?.toString() ?? null)}::bigint[],
      ${accounts.map((a) => a.cardRequired)}::bool[],
      ${accounts.map((a) => a.netDays)}::int[], ${accounts.map((a) => a.invoiceDay)}::int[],
      ${accounts.map((a) => a.billFrom)}::date[], ${accounts.map((a) => a.at.toISOString())}::timestamptz[])
      AS given (id, name, external_id, currency, timezone, billing_email, po_number, company, autopay_cap,
                card_required, net_days, invoice_day, bill_from, created_at)
    ON CONFLICT (external_id) DO NOTHING`
}

/** Bills accounts from an earlier day on, those of them that have no closed month yet. @returns whose day it moved */
export async function billEarlier(tx: Tx, ids: readonly string[], from: Day): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    UPDATE accounts a SET bill_from = ${from}::date
    WHERE id = ANY(${ids}::uuid[]) AND bill_from > ${from}::date
      AND NOT EXISTS (SELECT 1 FROM closed_months m WHERE m.account_id = a.id) RETURNING id`
  return rows.map(({ id }) => id)
}

export interface AccountChanges {
  readonly name?: string | undefined
  readonly autopay?: boolean | undefined
  readonly billingEmail?: string | null | undefined
  readonly poNumber?: string | null | undefined
  readonly company?: Record<string, unknown> | undefined
  readonly autopayCap?: bigint | null | undefined
  readonly cardRequired?: boolean | undefined
  readonly netDays?: number | undefined
  readonly invoiceDay?: number | undefined
}

/** Changes what is named and leaves the rest; null empties, undefined leaves. */
export async function updateAccount(tx: Tx, id: string, changes: AccountChanges): Promise<void> {
  const named = (value: unknown): boolean => value !== undefined
  await tx.$executeRaw`
    UPDATE accounts SET
      name = coalesce(${changes.name ?? null}, name),
      autopay = coalesce(${changes.autopay ?? null}::boolean, autopay),
      billing_email =
        CASE WHEN ${named(changes.billingEmail)} THEN ${changes.billingEmail ?? null} ELSE billing_email END,
      po_number = CASE WHEN ${named(changes.poNumber)} THEN ${changes.poNumber ?? null} ELSE po_number END,
      company = coalesce(${changes.company === undefined ? null : JSON.stringify(changes.company)}::jsonb, company),
      autopay_cap =
        CASE WHEN ${named(changes.autopayCap)} THEN ${changes.autopayCap ?? null}::bigint ELSE autopay_cap END,
      card_required = coalesce(${changes.cardRequired ?? null}::boolean, card_required),
      net_days = coalesce(${changes.netDays ?? null}::int, net_days),
      invoice_day = coalesce(${changes.invoiceDay ?? null}::int, invoice_day)
    WHERE id = ${id}::uuid`
}

export interface Issuer {
  readonly name: string
  readonly address: readonly string[]
  readonly tax_ids: readonly string[]
  readonly support: string | null
}

export interface VendorSettings {
  readonly issuer: Issuer
  readonly series: string
}

export async function readSettings(tx: Tx): Promise<VendorSettings> {
  const rows = await tx.$queryRaw<VendorSettings[]>`SELECT issuer, series FROM vendor_settings WHERE id = 1`
  if (!rows[0]) throw new Error('the vendor settings are missing: run the release step')
  return rows[0]
}

export async function saveSettings(tx: Tx, settings: VendorSettings): Promise<void> {
  await tx.$executeRaw`
    UPDATE vendor_settings SET issuer = ${JSON.stringify(settings.issuer)}::jsonb, series = ${settings.series}
    WHERE id = 1`
}
