// Issues licenses of one product. Applied twice it issues nothing new: a license's place in its action is unique.
import { audit } from '../../kit/audit.ts'
import { defineAction, refuse } from '../action.ts'
import { findSite, issuableProduct, issueLicenses, saveSite } from '../licenses.store.ts'
import { issueInput } from './inputs.ts'
import { siteConflict } from './refusals.ts'

export default defineAction({
  kind: 'license.issue',
  input: issueInput,
  gate: 'issue',
  async apply({ tx, ports, account, actionId, actor, at, today }, input) {
    const product = await issuableProduct(tx, account.id, input.product, account.currency, today)
    if (!product) return refuse('unknown_product', `There is no product ${input.product}.`, 'product')
    if (!product.priced) {
      return refuse('no_price', `${input.product} has no price in ${account.currency} on ${today}.`, 'product')
    }
    let siteId: string | null = null
    if (input.site) {
      const found = await findSite(tx, account.id, input.site)
      if (found === 'conflict') return siteConflict()
      siteId = found ?? ports.newId()
      await saveSite(tx, account.id, siteId, input.site, at)
    }
    const licenses = Array.from({ length: input.quantity }, () => ({
      id: ports.newId(),
      key: ports.keys.mint(input.product),
    }))
    await issueLicenses(tx, { accountId: account.id, productId: product.id, actionId, at, siteId, licenses })
    await audit(
      tx,
      licenses.map(({ id }) => ({
        accountId: account.id,
        at,
        actor,
        action: 'license.issued',
        subject: id,
        details: { product: input.product, site: siteId },
      })),
    )
    return { done: { licenses: licenses.map(({ id }) => id) } }
  },
})
