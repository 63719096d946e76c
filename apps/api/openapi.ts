// The OpenAPI 3.1 document, made once from the routes' own schemas: what is checked is what is documented.
import { z } from 'zod'
import { problem } from './schemas.ts'
import type { Route } from './route.ts'

type Json = Record<string, unknown>

/** Schemas with an id become components; everything else stands where it is used. */
function toSchema(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const made = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any', reused: 'inline' }) as Json
  const { $defs, $schema: _, ...rest } = made
  for (const [name, definition] of Object.entries(($defs as Json | undefined) ?? {})) {
    components[name] = reference(withoutId(definition as Json))
  }
  const { id, ...body } = rest
  if (typeof id !== 'string') return reference(rest) as Json
  components[id] = reference(body)
  return { $ref: `#/components/schemas/${id}` }
}

const withoutId = ({ id: _, ...rest }: Json): Json => rest

function reference(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reference)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace('#/$defs/', '#/components/schemas/')
        : reference(inner),
    ]),
  )
}

function parameters(route: Route, components: Json): Json[] {
  const of = (schema: z.ZodType | undefined, place: 'path' | 'query'): Json[] => {
    if (!schema) return []
    const made = toSchema(schema, 'input', components) as { properties?: Record<string, Json>; required?: string[] }
    return Object.entries(made.properties ?? {}).map(([name, inner]) => ({
      name,
      in: place,
      required: place === 'path' || (made.required ?? []).includes(name),
      schema: inner,
      ...(typeof inner.description === 'string' && { description: inner.description }),
    }))
  }
  const header = (name: string, description: string): Json => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  })
  return [
    ...of(route.params, 'path'),
    ...of(route.query, 'query'),
    ...(route.audience === 'account' ? [header('Perdiem-Account', 'With an operator key: which account.')] : []),
    ...(route.method === 'post'
      ? [header('Idempotency-Key', 'The same key and body lead to the same answer for 30 days.')]
      : []),
    ...(route.responses[202]
      ? [header('Prefer', 'wait=10 waits up to that many seconds for the end (RFC 7240).')]
      : []),
  ]
}

function operation(route: Route, components: Json): Json {
  const responses: Json = {}
  for (const [status, { description, schema, type }] of Object.entries(route.responses)) {
    const content = schema
      ? { 'application/json': { schema: toSchema(schema, 'output', components) } }
      : type
        ? { [type]: { schema: { type: 'string', format: 'binary' } } }
        : undefined
    responses[status] = { description, ...(content && { content }) }
  }
  responses.default = {
    description: 'What is wrong.',
    content: { 'application/problem+json': { schema: toSchema(problem, 'output', components) } },
  }
  return {
    operationId: `${route.method}_${route.path
      .replace(/^\/v1\//, '')
      .replace(/[^a-z0-9]+/gi, '_')
      .replace(/_$/, '')}`,
    summary: route.summary,
    ...(route.description && { description: route.description }),
    tags: [route.tag],
    parameters: parameters(route, components),
    ...(route.body && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: toSchema(route.body, 'input', components) } },
      },
    }),
    responses,
    ...(route.audience === 'public' && { security: [] }),
  }
}

export function openApiDocument(routes: readonly Route[]): Json {
  const schemas: Json = {}
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route, schemas) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Perdiem',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Licenses sold through partners, billed by the day. Writes that start work answer 202 with an action.',
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    paths,
    components: { schemas, securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key.' } } },
  }
}
