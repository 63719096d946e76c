import type { LicenseRefusal } from '../../rules/license-state.ts'
import { refuse, type Applied } from '../action.ts'

const SENTENCES: Record<LicenseRefusal, string> = {
  license_revoked: 'The license is revoked; a revoked license cannot be used again.',
  license_not_assigned: 'The license is not assigned to a site.',
  license_assigned: 'The license stands on another site. Unassign it first, or ask for transfer.',
}

export const whyNot = (code: LicenseRefusal): Applied =>
  refuse(code, SENTENCES[code], code === 'license_assigned' ? 'transfer' : 'license')

/** Another account's license is answered like one that does not exist. */
export const unknownLicense = (): Applied => refuse('not_found', 'There is no such license.', 'license')

export const siteConflict = (): Applied =>
  refuse('site_conflict', 'url and external_id belong to different sites.', 'site')
