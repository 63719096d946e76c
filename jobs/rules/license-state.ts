// The state of a license, derived from its facts and never stored (domain.md, Words), and what may be asked of it.

export interface LicenseFacts {
  readonly revokedAt: Date | null
  readonly siteId: string | null
}

export type LicenseState = 'revoked' | 'assigned' | 'unassigned'

/** Revoked before assigned before unassigned. */
export function licenseState(facts: LicenseFacts): LicenseState {
  if (facts.revokedAt !== null) return 'revoked'
  return facts.siteId === null ? 'unassigned' : 'assigned'
}

export type LicenseRefusal = 'license_revoked' | 'license_not_assigned' | 'license_assigned'
export type Plan<Change> =
  { readonly change: Change } | { readonly unchanged: true } | { readonly refused: LicenseRefusal }

/** Assigning where it already stands succeeds unchanged; elsewhere only when asked to transfer. */
export function planAssign(
  facts: LicenseFacts,
  siteId: string,
  transfer: boolean,
): Plan<{ leave: string | null; enter: string }> {
  const state = licenseState(facts)
  if (state === 'revoked') return { refused: 'license_revoked' }
  if (facts.siteId === siteId) return { unchanged: true }
  if (state === 'assigned' && !transfer) return { refused: 'license_assigned' }
  return { change: { leave: facts.siteId, enter: siteId } }
}

export function planUnassign(facts: LicenseFacts): Plan<{ leave: string }> {
  if (facts.revokedAt !== null) return { refused: 'license_revoked' }
  return facts.siteId === null ? { refused: 'license_not_assigned' } : { change: { leave: facts.siteId } }
}

export function planRevoke(facts: LicenseFacts): Plan<{ leave: string | null }> {
  return facts.revokedAt !== null ? { refused: 'license_revoked' } : { change: { leave: facts.siteId } }
}
