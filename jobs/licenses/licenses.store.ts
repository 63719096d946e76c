// Writes licenses, past_assignments and sites.
import type { MintedKey, Tx } from '../kit/ports.ts'
import type { LicenseFacts } from '../rules/license-state.ts'
import type { Day } from '../rules/period.ts'

export interface NewLicense {
  readonly id: string
  readonly key: MintedKey
}

export interface Issue {
  readonly accountId: string
  readonly productId: string
  readonly actionId: string
  readonly at: Date
  readonly siteId: string | null
  readonly licenses: readonly NewLicense[]
}

/** Inserts any number of licenses in one statement. Their place in the action makes a repetition do nothing. */
export async function issueLicenses(tx: Tx, issue: Issue): Promise<void> {
  const { licenses } = issue
  await tx.$executeRaw`
    INSERT INTO licenses (id, account_id, product_id, key_cipher, key_hash, key_hint, issued_at, issued_by,
                          issued_index, site_id, assigned_at)
    SELECT id, ${issue.accountId}::uuid, ${issue.productId}::uuid, decode(cipher, 'hex'), decode(hash, 'hex'), hint,
           ${issue.at}::timestamptz, ${issue.actionId}::uuid, position, ${issue.siteId}::uuid,
           CASE WHEN ${issue.siteId}::uuid IS NOT NULL THEN ${issue.at}::timestamptz END
    FROM unnest(${licenses.map((l) => l.id)}::uuid[], ${licenses.map((l) => hex(l.key.cipher))}::text[],
                ${licenses.map((l) => hex(l.key.hash))}::text[], ${licenses.map((l) => l.key.hint)}::text[])
      WITH ORDINALITY AS given (id, cipher, hash, hint, position)
    ON CONFLICT (issued_by, issued_index) DO NOTHING`
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export interface LockedLicense extends LicenseFacts {
  readonly id: string
  readonly assignedAt: Date | null
}

export async function lockLicense(tx: Tx, accountId: string, id: string): Promise<LockedLicense | null> {
  const rows = await tx.$queryRaw<LockedLicense[]>`
    SELECT id, revoked_at AS "revokedAt", site_id AS "siteId", assigned_at AS "assignedAt" FROM licenses
    WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid FOR UPDATE`
  return rows[0] ?? null
}

/**
 * Ends where a license stands, if it stands anywhere. Two requests in flight at once may be accepted in one order and
 * recorded in the other; an assignment then ends in the instant it began rather than before it.
 */
async function leaveSite(tx: Tx, accountId: string, licenseId: string, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO past_assignments (id, account_id, license_id, site_id, assigned_at, unassigned_at)
    SELECT gen_random_uuid(), account_id, id, site_id, assigned_at, greatest(assigned_at, ${at}::timestamptz)
    FROM licenses
    WHERE account_id = ${accountId}::uuid AND id = ${licenseId}::uuid AND site_id IS NOT NULL`
}

/** Puts a license on a site (or, with null, on none), keeping where it stood before. */
export async function standOn(
  tx: Tx,
  accountId: string,
  licenseId: string,
  siteId: string | null,
  at: Date,
): Promise<void> {
  await leaveSite(tx, accountId, licenseId, at)
  await tx.$executeRaw`
    UPDATE licenses SET site_id = ${siteId}::uuid,
      assigned_at = CASE WHEN ${siteId}::uuid IS NOT NULL
        THEN greatest(coalesce(assigned_at, issued_at), ${at}::timestamptz, (
          SELECT max(unassigned_at) FROM past_assignments p
          WHERE p.account_id = licenses.account_id AND p.license_id = licenses.id)) END
    WHERE account_id = ${accountId}::uuid AND id = ${licenseId}::uuid`
}

export async function revokeLicense(tx: Tx, accountId: string, licenseId: string, at: Date): Promise<void> {
  await leaveSite(tx, accountId, licenseId, at)
  await tx.$executeRaw`
    UPDATE licenses SET revoked_at = greatest(issued_at, ${at}::timestamptz), site_id = NULL, assigned_at = NULL
    WHERE account_id = ${accountId}::uuid AND id = ${licenseId}::uuid`
}

export interface SiteWords {
  readonly url?: string | undefined
  readonly external_id?: string | undefined
  readonly client?: string | undefined
}

/** The site a request names: its id, null when it is unknown, or 'conflict' when its words belong to two sites. */
export async function findSite(tx: Tx, accountId: string, words: SiteWords): Promise<string | null | 'conflict'> {
  const url = words.url ?? null
  const externalId = words.external_id ?? null
  const known = await tx.$queryRaw<{ id: string; url: string | null; externalId: string | null }[]>`
    SELECT id, url, external_id AS "externalId" FROM sites
    WHERE account_id = ${accountId}::uuid AND (url = ${url} OR external_id = ${externalId})`
  const site = known[0]
  if (!site) return null
  const contradicts = (mine: string | null, theirs: string | null): boolean =>
    mine !== null && theirs !== null && mine !== theirs
  const conflict = contradicts(url, site.url) || contradicts(externalId, site.externalId)
  return known.length > 1 || conflict ? 'conflict' : site.id
}

/** Creates a site, or fills in what is new about a known one. Only after nothing can be refused any more. */
export async function saveSite(tx: Tx, accountId: string, id: string, words: SiteWords, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO sites (id, account_id, url, external_id, client, created_at)
    VALUES (${id}::uuid, ${accountId}::uuid, ${words.url ?? null}, ${words.external_id ?? null},
            ${words.client ?? null}, ${at}::timestamptz)
    ON CONFLICT (id) DO UPDATE SET url = coalesce(sites.url, excluded.url),
      external_id = coalesce(sites.external_id, excluded.external_id), client = coalesce(excluded.client, sites.client)`
}

export interface IssuableProduct {
  readonly id: string
  /** Whether some price of the account's currency holds on the day. */
  readonly priced: boolean
}

export async function issuableProduct(
  tx: Tx,
  accountId: string,
  slug: string,
  currency: string,
  today: Day,
): Promise<IssuableProduct | null> {
  const rows = await tx.$queryRaw<IssuableProduct[]>`
    SELECT p.id, EXISTS (
      SELECT 1 FROM prices r WHERE r.product_id = p.id AND r.currency = ${currency}
        AND (r.account_id IS NULL OR r.account_id = ${accountId}::uuid)
        AND r.effective_from <= ${today}::date AND (r.ends_on IS NULL OR r.ends_on > ${today}::date)) AS priced
    FROM products p WHERE p.slug = ${slug}`
  return rows[0] ?? null
}
