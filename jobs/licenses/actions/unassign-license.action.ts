// Takes a license off its site; it stays active, and is billed. Applied a second time it is refused, and changes
// nothing.
import { audit } from '../../kit/audit.ts'
import { planUnassign } from '../../rules/license-state.ts'
import { defineAction } from '../action.ts'
import { lockLicense, standOn } from '../licenses.store.ts'
import { licenseInput } from './inputs.ts'
import { unknownLicense, whyNot } from './refusals.ts'

export default defineAction({
  kind: 'license.unassign',
  input: licenseInput,
  gate: 'unassign',
  async apply({ tx, account, actor, at }, input) {
    const license = await lockLicense(tx, account.id, input.license)
    if (!license) return unknownLicense()
    const plan = planUnassign(license)
    if ('refused' in plan) return whyNot(plan.refused)
    await standOn(tx, account.id, license.id, null, at)
    await audit(tx, [
      {
        accountId: account.id,
        at,
        actor,
        action: 'license.unassigned',
        subject: license.id,
        details: { site: license.siteId },
      },
    ])
    return { done: { license: license.id } }
  },
})
