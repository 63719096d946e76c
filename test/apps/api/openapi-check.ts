// A structural check of an answer against its OpenAPI schema: types, required and unknown fields, items, references.
type Json = Record<string, unknown>

export interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, Json>; readonly securitySchemes: Json }
}

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly tags: string[]
  readonly parameters: { name: string; in: string; required: boolean; schema: Json }[]
  readonly requestBody?: { content: Record<string, { schema: Json }> }
  readonly responses: Record<string, { description: string; content?: Record<string, { schema: Json }> }>
}

/** Keywords this check understands, or which say nothing about an answer's shape. Another one would go unchecked. */
const KNOWN = new Set([
  '$ref',
  'type',
  'required',
  'properties',
  'additionalProperties',
  'propertyNames',
  'enum',
  'const',
  'items',
  'anyOf',
  'allOf',
  'description',
  'format',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'maxItems',
  'default',
])

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value

/** What is wrong with a value, each with its place; nothing when it fits. */
export function misfits(document: Document, schema: Json, value: unknown, at = '$'): string[] {
  for (const keyword of Object.keys(schema))
    if (!KNOWN.has(keyword)) return [`${at}: keyword ${keyword} is not checked`]
  if (typeof schema.$ref === 'string') {
    const target = resolve(document, schema.$ref)
    return target ? misfits(document, target, value, at) : [`${at}: ${schema.$ref} does not resolve`]
  }
  const wrong: string[] = []
  if (Array.isArray(schema.anyOf)) {
    const each = (schema.anyOf as Json[]).map((option) => misfits(document, option, value, at))
    if (!each.some((list) => list.length === 0)) wrong.push(...each.flat())
  }
  for (const part of (schema.allOf ?? []) as Json[]) wrong.push(...misfits(document, part, value, at))
  const type = typeOf(value)
  const types = schema.type === undefined ? [type] : [schema.type].flat()
  if (!types.includes(type) && !(type === 'integer' && types.includes('number'))) {
    return [...wrong, `${at}: ${type} is not ${types.join(' or ')}`]
  }
  if (Array.isArray(schema.enum) && !schema.enum.includes(value))
    wrong.push(`${at}: ${String(value)} is none of its values`)
  if ('const' in schema && schema.const !== value) wrong.push(`${at}: is not ${String(schema.const)}`)
  if (typeof schema.pattern === 'string' && typeof value === 'string' && !new RegExp(schema.pattern, 'u').test(value)) {
    wrong.push(`${at}: does not match its pattern`)
  }
  if (type === 'array' && schema.items) {
    const items = value as unknown[]
    items.forEach((item, index) => wrong.push(...misfits(document, schema.items as Json, item, `${at}[${index}]`)))
  }
  if (type === 'object') wrong.push(...fieldMisfits(document, schema, value as Json, at))
  return wrong
}

function fieldMisfits(document: Document, schema: Json, value: Json, at: string): string[] {
  const wrong: string[] = []
  const properties = (schema.properties ?? {}) as Record<string, Json>
  for (const name of (schema.required ?? []) as string[]) if (!(name in value)) wrong.push(`${at}.${name}: is missing`)
  for (const [name, inner] of Object.entries(value)) {
    const known = properties[name]
    if (known) wrong.push(...misfits(document, known, inner, `${at}.${name}`))
    else if (schema.additionalProperties === false) wrong.push(`${at}.${name}: is not documented`)
    else if (typeof schema.additionalProperties === 'object') {
      wrong.push(...misfits(document, schema.additionalProperties as Json, inner, `${at}.${name}`))
    }
  }
  return wrong
}

export function resolve(document: unknown, reference: string): Json | undefined {
  if (!reference.startsWith('#/')) return undefined
  let place: unknown = document
  for (const step of reference.slice(2).split('/'))
    place = (place as Json | undefined)?.[step.replace(/~1/g, '/').replace(/~0/g, '~')]
  return place as Json | undefined
}

/** Every value below a place that stands under a given key. */
export function* under(value: unknown, key: string): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    if (name === key) yield inner
    yield* under(inner, key)
  }
}
