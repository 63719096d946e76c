// Shapes that more than one route takes or gives. Requests are checked with these; the OpenAPI document shows them.
import { z } from 'zod'
import { typedText } from '../../jobs/licenses/actions/inputs.ts'
import { isDay, isTimeZone } from '../../jobs/rules/period.ts'
import { fromPublicId, PREFIX, type IdKind } from '../adapters/ids.ts'

/** Text without control characters and without halves of characters. */
export const isPlainText = (text: string): boolean => text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text)

/** The instant in a cursor. There is no year 0, and PostgreSQL takes none. */
export const cursorInstant = z.iso.datetime().refine((text) => text >= '0001')

/** A public id in the path; one that cannot be one is answered like one that does not exist. */
export const idParam = (kind: IdKind) =>
  z.object({
    id: z
      .string()

      .meta({ description: `${PREFIX[kind]}_…` }),
  })

/** A public id in a body. */
export const idField = (kind: IdKind) =>
  z.string().transform((text, context) => {
    const id = fromPublicId(kind, text)
    if (id !== null) return id
    context.addIssue({ code: 'custom', message: `must be an id like ${PREFIX[kind]}_…` })
    return z.NEVER
  })

export const slug = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,99}$/, 'must be lower-case letters, digits, - and _')
const CURRENCIES = new Set(Intl.supportedValuesOf('currency').map((code) => code.toLowerCase()))
export const currency = z
  .string()
  .regex(/^[a-z]{3}$/, 'must be a three-letter currency code in lower case')
  .refine((code) => CURRENCIES.has(code), 'is not a currency')
export const day = z.string().refine(isDay, 'must be a calendar day, YYYY-MM-DD')
export const month = z.string().refine((text) => isDay(`${text}-01`), 'must be a month, YYYY-MM')
export const timezone = z.string().max(64).refine(isTimeZone, 'must be an IANA time zone, such as Europe/Berlin')
export const email = z.email().max(254)
export const decimalAmount = z
  .string()
  .regex(/^\d{1,9}(\.\d{1,6})?$/, 'must be a decimal amount in a string, such as "24.95"')

/** Page by page: at most a hundred rows, from a cursor of an earlier answer. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(500).optional(),
})

export const company = z
  .strictObject({
    name: typedText(200),
    contact_name: typedText(200),
    website: z.url({ protocol: /^https?$/ }).max(500),
    address: typedText(300),
    address_line2: typedText(300),
    city: typedText(200),
    postal_code: typedText(20),
    state: typedText(100),
    country: z.string().regex(/^[A-Z]{2}$/, 'must be a two-letter country code'),
    tax_id: typedText(50),
  })
  .partial()
  .meta({ id: 'Company', description: 'Company details, as future invoices will bear them.' })

export const money = z
  .object({ amount: z.int().meta({ description: 'Minor units.' }), currency: z.string() })
  .meta({ id: 'Money' })

export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457, with a stable code and, for input, the fields that are wrong.' })

const instant = z.string().meta({ format: 'date-time' })

export const site = z
  .object({
    id: z.string(),
    object: z.literal('site'),
    url: z.string().nullable(),
    external_id: z.string().nullable(),
    client: z.string().nullable(),
  })
  .meta({ id: 'Site' })

export const license = z
  .object({
    id: z.string(),
    object: z.literal('license'),
    key: z.string(),
    product: z.string(),
    state: z.enum(['assigned', 'unassigned', 'revoked']),
    site: site.nullable(),
    issued_at: instant,
    assigned_at: instant.nullable(),
    revoked_at: instant.nullable(),
  })
  .meta({ id: 'License' })

export const action = z
  .object({
    id: z.string(),
    object: z.literal('action'),
    kind: z.string(),
    status: z.enum(['queued', 'running', 'done', 'refused', 'failed']),
    accepted_at: instant,
    ended_at: instant.nullable(),
    result: z.record(z.string(), z.unknown()).nullable(),
    error: z.object({ code: z.string(), message: z.string(), path: z.string().optional() }).nullable(),
  })
  .meta({ id: 'Action', description: 'Something asked for, kept until it is done or refused.' })

export const listOf = (item: z.ZodType) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable(), total: z.int() })
