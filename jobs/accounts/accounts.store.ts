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
  const created = await tx.$executeRaw`
    INSERT INTO accounts (id, name, external_id, currency, timezone, billing_email, po_number, company, autopay_cap,
                          card_required, net_days, invoice_day, bill_from, created_at)
    VALUES (${account.id}::uuid, ${account.name}, ${account.externalId}, ${account.currency}, ${account.timezone},
            ${account.billingEmail}, ${account.poNumber}, ${JSON.stringify(account.company)}::jsonb,
            ${account.autopayCap},
            ${account.cardRequired}, ${account.netDays}, ${account.invoiceDay}, ${account.billFrom}::date,
            ${account.at}::timestamptz)
    ON CONFLICT (external_id) DO NOTHING`
  return created === 1
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
