// What the license actions take. The API checks requests with these same schemas and documents them from them.
import { z } from 'zod'

/** Text a person typed: no control characters, which would only serve to forge lines and headers. */
export const typedText = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must not contain control characters')

const SITE_URL_MAX = 2_000

/** The address of a site, in one spelling. */
export const siteAddress = z
  .string()
  .trim()
  .max(SITE_URL_MAX)
  .transform((text, context) => {
    const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`)
    if (!url || !/^https?:$/.test(url.protocol) || !/^[^.]+(\.[^.]+)+$/.test(url.hostname)) {
      context.addIssue({ code: 'custom', message: 'must be the http or https address of a site' })
      return z.NEVER
    }
    if (url.username || url.password) {
      context.addIssue({ code: 'custom', message: 'must not contain a user name or password' })
      return z.NEVER
    }
    // One site, one spelling: without fragment, and without the slash at the end.
    const spelled = `${url.origin}${url.pathname.replace(/\/+$/, '')}${url.search}`
    // Its other letters are written as three each: the bound is on what is kept.
    if (spelled.length <= SITE_URL_MAX) return spelled
    context.addIssue({ code: 'custom', message: `must have at most ${SITE_URL_MAX} characters` })
    return z.NEVER
  })

export const siteWords = z
  .strictObject({
    url: siteAddress.optional(),
    external_id: typedText(200).optional(),
    client: typedText(200).optional(),
  })
  .refine((site) => site.url !== undefined || site.external_id !== undefined, 'needs url or external_id')
  .meta({ id: 'SiteReference', description: 'A site, by its address or by your own id for it; created when unknown.' })

/** A thousand licenses are one insert of some hundred kilobytes; more belong in several calls. */
export const MAX_LICENSES_PER_CALL = 1_000

export const issueInput = z
  .strictObject({
    product: typedText(100).meta({ description: "The product's slug." }),
    quantity: z.int().min(1).max(MAX_LICENSES_PER_CALL).default(1),
    site: siteWords.optional(),
  })
  .meta({ id: 'IssueLicenses' })

export const assignRequest = z
  .strictObject({ site: siteWords, transfer: z.boolean().default(false) })
  .meta({ id: 'AssignLicense', description: 'With transfer, a license that stands elsewhere is moved.' })

export const licenseInput = z.strictObject({ license: z.uuid() })
export const assignInput = assignRequest.extend({ license: z.uuid() })
