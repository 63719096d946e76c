// Revokes a license for good; the day of revocation is its last billed day. A second revocation is refused.
import { audit } from '../../kit/audit.ts'
import { planRevoke } from '../../rules/license-state.ts'
import { defineAction } from '../action.ts'
import { lockLicense, revokeLicense } from '../licenses.store.ts'
import { licenseInput } from './inputs.ts'
import { unknownLicense, whyNot } from './refusals.ts'

export default defineAction({
  kind: 'license.revoke',
  input: licenseInput,
  gate: 'revoke',
  async apply({ tx, account, actor, at }, input) {
    const license = await lockLicense(tx, account.id, input.license)
    if (!license) return unknownLicense()
    const plan = planRevoke(license)
    if ('refused' in plan) return whyNot(plan.refused)
    await revokeLicense(tx, account.id, license.id, at)
    await audit(tx, [{ accountId: account.id, at, actor, action: 'license.revoked', subject: license.id }])
    return { done: { license: license.id } }
  },
})
