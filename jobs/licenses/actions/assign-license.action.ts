// Puts a license on a site. Applied twice it changes nothing: where it already stands succeeds unchanged.
import { audit } from '../../kit/audit.ts'
import { planAssign } from '../../rules/license-state.ts'
import { defineAction } from '../action.ts'
import { findSite, lockLicense, saveSite, standOn } from '../licenses.store.ts'
import { assignInput } from './inputs.ts'
import { siteConflict, unknownLicense, whyNot } from './refusals.ts'

export default defineAction({
  kind: 'license.assign',
  input: assignInput,
  gate: 'assign',
  async apply({ tx, ports, account, actor, at }, input) {
    const license = await lockLicense(tx, account.id, input.license)
    if (!license) return unknownLicense()
    const found = await findSite(tx, account.id, input.site)
    if (found === 'conflict') return siteConflict()
    const plan = planAssign(license, found ?? ports.newId(), input.transfer)
    if ('refused' in plan) return whyNot(plan.refused)
    if ('change' in plan) {
      await saveSite(tx, account.id, plan.change.enter, input.site, at)
      await standOn(tx, account.id, license.id, plan.change.enter, at)
      const action = plan.change.leave ? 'license.transferred' : 'license.assigned'
      await audit(tx, [
        { accountId: account.id, at, actor, action, subject: license.id, details: { site: plan.change.enter } },
      ])
    }
    return { done: { license: license.id } }
  },
})
