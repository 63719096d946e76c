import { describe, expect, it } from 'vitest'
import { licenseState, planAssign, planRevoke, planUnassign } from '../../../jobs/rules/license-state.ts'

const REVOKED_AT = new Date('2026-03-01T00:00:00Z')
const unassigned = { revokedAt: null, siteId: null }
const assigned = { revokedAt: null, siteId: 'here' }
const revoked = { revokedAt: REVOKED_AT, siteId: null }
/** Facts that should not be: a revocation takes the license off its site. The state must not depend on that. */
const revokedOnSite = { revokedAt: REVOKED_AT, siteId: 'here' }

describe('the state of a license', () => {
  it('is revoked before assigned before unassigned', () => {
    expect(licenseState(unassigned)).toBe('unassigned')
    expect(licenseState(assigned)).toBe('assigned')
    expect(licenseState(revoked)).toBe('revoked')
    expect(licenseState(revokedOnSite)).toBe('revoked')
  })
})

describe('assigning', () => {
  it.each([
    ['a free license puts it on the site', unassigned, 'there', false, { change: { leave: null, enter: 'there' } }],
    ['where it already stands changes nothing', assigned, 'here', false, { unchanged: true }],
    ['where it already stands changes nothing, with transfer, too', assigned, 'here', true, { unchanged: true }],
    ['elsewhere is refused', assigned, 'there', false, { refused: 'license_assigned' }],
    ['elsewhere moves it when told to', assigned, 'there', true, { change: { leave: 'here', enter: 'there' } }],
    ['a revoked license is refused', revoked, 'there', true, { refused: 'license_revoked' }],
    ['a revoked license is refused even where it stood', revokedOnSite, 'here', true, { refused: 'license_revoked' }],
  ] as const)('%s', (_, facts, site, transfer, plan) => {
    expect(planAssign(facts, site, transfer)).toEqual(plan)
  })
})

describe('unassigning', () => {
  it('takes an assigned license off its site and refuses any other', () => {
    expect(planUnassign(assigned)).toEqual({ change: { leave: 'here' } })
    expect(planUnassign(unassigned)).toEqual({ refused: 'license_not_assigned' })
    expect(planUnassign(revoked)).toEqual({ refused: 'license_revoked' })
    expect(planUnassign(revokedOnSite)).toEqual({ refused: 'license_revoked' })
  })
})

describe('revoking', () => {
  it('takes the license off its site, where it is on one, and happens once', () => {
    expect(planRevoke(assigned)).toEqual({ change: { leave: 'here' } })
    expect(planRevoke(unassigned)).toEqual({ change: { leave: null } })
    expect(planRevoke(revoked)).toEqual({ refused: 'license_revoked' })
    expect(planRevoke(revokedOnSite)).toEqual({ refused: 'license_revoked' })
  })
})
