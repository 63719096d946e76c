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

/** A license whose history is known already: as it stands after its last event. */
export interface ImportedLicense extends NewLicense {
  readonly accountId: string
  readonly productId: string
  /** The vendor's own reference, unique within the account. */
  readonly externalRef: string
  readonly issuedAt: Date
  readonly issuedIndex: number
  readonly revokedAt: Date | null
  readonly siteId: string | null
  readonly assignedAt: Date | null
}

/** Inserts any number of licenses of many accounts in one statement. A reference that is known already is refused. */
export async function importLicenses(tx: Tx, importId: string, licenses: readonly ImportedLicense[]): Promise<void> {
  const instants = (pick: (license: ImportedLicense) => Date | null): (string | null)[] =>
    licenses.map((license) => pick(license)?.toISOString() ?? null)
  await tx.$executeRaw`
    INSERT INTO licenses (id, account_id, product_id, key_cipher, key_hash, key_hint, external_ref, issued_at,
                          issued_by, issued_index, revoked_at, site_id, assigned_at)
    SELECT id, account_id, product_id, decode(cipher, 'hex'), decode(hash, 'hex'), hint, external_ref, issued_at,
           ${importId}::uuid, issued_index, revoked_at, site_id, assigned_at
    FROM unnest(${licenses.map((l) => l.id)}::uuid[], ${licenses.map((l) => l.accountId)}::uuid[],
                ${licenses.map((l) => l.productId)}::uuid[], ${licenses.map((l) => hex(l.key.cipher))}::text[],
                ${licenses.map((l) => hex(l.key.hash))}::text[], ${licenses.map((l) => l.key.hint)}::text[],
                ${licenses.map((l) => l.externalRef)}::text[], ${instants((l) => l.issuedAt)}::timestamptz[],
                ${licenses.map((l) => l.issuedIndex)}::int[], ${instants((l) => l.revokedAt)}::timestamptz[],
                ${licenses.map((l) => l.siteId)}::uuid[], ${instants((l) => l.assignedAt)}::timestamptz[])
      AS given (id, account_id, product_id, cipher, hash, hint, external_ref, issued_at, issued_index, revoked_at,
                site_id, assigned_at)`
}

/**
 * Creates the sites that a chunk's assignments name, and fills in what is new about known ones: of each site its
 * earliest mention, and the client last named. Url and external id are known to agree (import-checks).
 */
export async function importSites(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    WITH said AS (
      SELECT t.account_id, e.at, e.line, coalesce(e.site_url, sx.url) AS url,
             coalesce(e.site_external_id, su.external_id) AS external_id, e.client
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      LEFT JOIN sites su ON su.account_id = t.account_id AND su.url = e.site_url
      LEFT JOIN sites sx ON sx.account_id = t.account_id AND sx.external_id = e.site_external_id
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
        AND e.event IN ('assign', 'issue') AND coalesce(e.site_url, e.site_external_id) IS NOT NULL
    ), completed AS (
      SELECT account_id, at, line, client, coalesce(url, max(url) OVER (PARTITION BY account_id, external_id)) AS url,
             coalesce(external_id, max(external_id) OVER (PARTITION BY account_id, url)) AS external_id
      FROM said
    ), named AS (
      SELECT account_id, url, external_id, min(at) AS at,
             (array_agg(client ORDER BY at DESC, line DESC) FILTER (WHERE client IS NOT NULL))[1] AS client
      FROM completed GROUP BY account_id, url, external_id
    ), found AS (
      SELECT n.*, coalesce(su.id, sx.id) AS id FROM named n
      LEFT JOIN sites su ON su.account_id = n.account_id AND su.url = n.url
      LEFT JOIN sites sx ON sx.account_id = n.account_id AND sx.external_id = n.external_id
    ), filled AS (
      UPDATE sites s SET url = coalesce(s.url, f.url), external_id = coalesce(s.external_id, f.external_id),
        client = coalesce(f.client, s.client)
      FROM found f WHERE s.id = f.id AND s.account_id = f.account_id
    )
    INSERT INTO sites (id, account_id, url, external_id, client, created_at)
    SELECT uuid_v7(at), account_id, url, external_id, client, at FROM found WHERE id IS NULL`
}

/** Where the licenses of a chunk stood before where they stand now. Their sites and the new licenses are there. */
export async function importPastAssignments(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    WITH steps AS (
      SELECT t.account_id, e.license, e.at, e.line, coalesce(su.id, sx.id) AS site_id
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      LEFT JOIN sites su ON su.account_id = t.account_id AND su.url = e.site_url AND e.event IN ('assign', 'issue')
      LEFT JOIN sites sx ON sx.account_id = t.account_id AND sx.external_id = e.site_external_id
        AND e.event IN ('assign', 'issue')
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
      UNION ALL
      -- A license known before goes on from where it stands.
      SELECT t.account_id, l.external_ref, l.assigned_at, 0, l.site_id
      FROM import_targets t JOIN licenses l ON l.account_id = t.account_id AND l.issued_by <> t.import_id
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL AND l.site_id IS NOT NULL
        AND EXISTS (SELECT 1 FROM import_events e WHERE e.import_id = t.import_id AND e.account = t.account
                      AND e.license = l.external_ref)
    ), stands AS (
      SELECT *, lead(at) OVER (PARTITION BY account_id, license ORDER BY at, line) AS ended_at FROM steps
    )
    INSERT INTO past_assignments (id, account_id, license_id, site_id, assigned_at, unassigned_at)
    SELECT gen_random_uuid(), s.account_id, l.id, s.site_id, s.at, s.ended_at
    FROM stands s JOIN licenses l ON l.account_id = s.account_id AND l.external_ref = s.license
    WHERE s.site_id IS NOT NULL AND s.ended_at IS NOT NULL
    ORDER BY s.account_id, s.license, s.at, s.line`
}

/** Brings licenses that were known before to where their new events leave them. */
export async function importChanges(tx: Tx, importId: string, chunk: number): Promise<void> {
  await tx.$executeRaw`
    WITH last AS (
      SELECT DISTINCT ON (e.account, e.license) t.account_id, e.license, e.at, e.event, e.site_url, e.site_external_id
      FROM import_targets t JOIN import_events e ON e.import_id = t.import_id AND e.account = t.account
      WHERE t.import_id = ${importId}::uuid AND t.chunk = ${chunk} AND t.outcome IS NULL
      ORDER BY e.account, e.license, e.at DESC, e.line DESC
    ), placed AS (
      SELECT l.*, CASE WHEN l.event = 'assign' THEN coalesce(su.id, sx.id) END AS site_id FROM last l
      LEFT JOIN sites su ON su.account_id = l.account_id AND su.url = l.site_url
      LEFT JOIN sites sx ON sx.account_id = l.account_id AND sx.external_id = l.site_external_id
    )
    UPDATE licenses l SET site_id = p.site_id, assigned_at = CASE WHEN p.site_id IS NOT NULL THEN p.at END,
      revoked_at = CASE WHEN p.event = 'revoke' THEN p.at END
    FROM placed p
    WHERE l.account_id = p.account_id AND l.external_ref = p.license AND l.issued_by <> ${importId}::uuid`
}
