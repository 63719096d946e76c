// Reads licenses and actions as the API shows them.
import { Prisma } from '../../prisma/client/client.ts'
import type { Tx } from '../../jobs/kit/ports.ts'
import { licenseState } from '../../jobs/rules/license-state.ts'
import { toPublicId } from '../adapters/ids.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import type { Secrets } from '../adapters/secrets.ts'
import { instantView } from './money-view.ts'

export interface LicenseRow {
  readonly id: string
  readonly keyCipher: Uint8Array
  readonly product: string
  readonly issuedAt: Date
  readonly assignedAt: Date | null
  readonly revokedAt: Date | null
  readonly siteId: string | null
  readonly url: string | null
  readonly externalId: string | null
  readonly client: string | null
}

export const licenseColumns = Prisma.sql`
  l.id, l.key_cipher AS "keyCipher", p.slug AS product, l.issued_at AS "issuedAt", l.assigned_at AS "assignedAt",
  l.revoked_at AS "revokedAt", l.site_id AS "siteId", s.url, s.external_id AS "externalId", s.client`

export const licenseTables = Prisma.sql`
  licenses l JOIN products p ON p.id = l.product_id
  LEFT JOIN sites s ON s.account_id = l.account_id AND s.id = l.site_id`

const products = new WeakMap<ProcessDatabase, Set<string>>()

/** Whether there is a product of that name. Products are never renamed nor deleted: one that was there is there. */
export async function isProduct(db: ProcessDatabase, slug: string): Promise<boolean> {
  const known = products.get(db) ?? new Set()
  products.set(db, known)
  if (known.has(slug)) return true
  const rows = await db.prisma.$queryRaw<unknown[]>`SELECT 1 FROM products WHERE slug = ${slug}`
  if (rows.length > 0) known.add(slug)
  return rows.length > 0
}

export function siteView(row: { id: string; url: string | null; externalId: string | null; client: string | null }) {
  return {
    id: toPublicId('site', row.id),
    object: 'site',
    url: row.url,
    external_id: row.externalId,
    client: row.client,
  }
}

export function licenseView(row: LicenseRow, secrets: Secrets) {
  return {
    id: toPublicId('license', row.id),
    object: 'license',
    key: secrets.decrypt(row.keyCipher),
    product: row.product,
    state: licenseState(row),
    site: row.siteId === null ? null : siteView({ ...row, id: row.siteId }),
    issued_at: instantView(row.issuedAt),
    assigned_at: instantView(row.assignedAt),
    revoked_at: instantView(row.revokedAt),
  }
}

export interface ActionRow {
  readonly id: string
  readonly accountId: string
  readonly kind: string
  readonly status: 'queued' | 'running' | 'done' | 'refused' | 'failed'
  readonly acceptedAt: Date
  readonly endedAt: Date | null
  readonly result: { licenses?: string[]; license?: string } | null
  readonly error: { code: string; message: string; path?: string } | null
}

export async function findAction(tx: Tx, accountId: string, id: string): Promise<ActionRow | null> {
  const rows = await tx.$queryRaw<ActionRow[]>`
    SELECT id, account_id AS "accountId", kind, status, accepted_at AS "acceptedAt",
           ended_at AS "endedAt", result, error
    FROM actions WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid`
  return rows[0] ?? null
}

/** What an action led to, with its licenses as they are now. Keys are read from where they are encrypted. */
export async function actionResult(
  tx: Tx,
  action: ActionRow,
  secrets: Secrets,
): Promise<Record<string, unknown> | null> {
  if (action.result === null) return null
  const ids = action.result.licenses ?? (action.result.license === undefined ? [] : [action.result.license])
  const rows = await tx.$queryRaw<LicenseRow[]>`
    SELECT ${licenseColumns} FROM ${licenseTables}
    WHERE l.account_id = ${action.accountId}::uuid AND l.id = ANY(${ids}::uuid[])
    ORDER BY l.issued_index`
  const views = rows.map((row) => licenseView(row, secrets))
  return action.result.licenses === undefined ? { license: views[0] ?? null } : { licenses: views }
}

export function actionView(action: ActionRow, result: Record<string, unknown> | null) {
  return {
    id: toPublicId('action', action.id),
    object: 'action',
    kind: action.kind,
    status: action.status,
    accepted_at: instantView(action.acceptedAt),
    ended_at: instantView(action.endedAt),
    result,
    error: action.error,
  }
}
