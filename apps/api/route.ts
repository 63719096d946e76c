// A route is a value: what it takes, who may call it, what it does. The router and the OpenAPI document are both made
// from these, so that they cannot disagree.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { RequestHandler, Response } from 'express'
import { z } from 'zod'
import type { Tx } from '../../jobs/kit/ports.ts'
import { mayDo, type GatedAction } from '../../jobs/rules/gate.ts'
import { authenticate } from './auth.ts'
import type { Call, Caller, Reply, Services } from './context.ts'
import { answerOnce } from './idempotency.ts'
import { inputProblem, notFound, Problem } from './problem.ts'
import { isPlainText } from './schemas.ts'

type Schema = z.ZodType
type Output<S> = S extends Schema ? z.infer<S> : undefined

export interface RouteWords {
  readonly method: 'get' | 'post' | 'patch' | 'put' | 'delete'
  /** OpenAPI style: /v1/licenses/{id} */
  readonly path: string
  /** Whose it is: an account's (or an operator's on its behalf), operators' only, or anybody's. */
  readonly audience: 'account' | 'operator' | 'public'
  /** What the caller's roles must allow; account routes only. */
  readonly action?: GatedAction
  readonly summary: string
  readonly description?: string
  readonly tag: string
  readonly responses: Record<number, { description: string; schema?: Schema; type?: string }>
}

export interface Route extends RouteWords {
  readonly body?: Schema
  readonly query?: Schema
  readonly params?: Schema
  /** Its texts may be anything: it checks them itself, row by row. */
  readonly anyText?: boolean
  /** Answers without writing of its own, or by recording an action. */
  readonly handle?: (call: Call) => Promise<Reply>
  /** Writes in one transaction, which also keeps the answer for its Idempotency-Key. */
  readonly write?: (tx: Tx, call: Call) => Promise<Reply>
}

interface Typed<B, Q, P> {
  readonly body?: B
  readonly query?: Q
  readonly params?: P
  readonly anyText?: boolean
  readonly handle?: (call: Call<Output<B>, Output<Q>, Output<P>>) => Promise<Reply>
  readonly write?: (tx: Tx, call: Call<Output<B>, Output<Q>, Output<P>>) => Promise<Reply>
}

export function defineRoute<B extends Schema | undefined, Q extends Schema | undefined, P extends Schema | undefined>(
  route: RouteWords & Typed<B, Q, P>,
): Route {
  return route as unknown as Route
}

/** The Express path of an OpenAPI path. */
export const expressPath = (path: string): string => path.replace(/\{(\w+)\}/g, ':$1')

/** Made once: a schema costs more to make than to use. */
const NO_QUERY = z.strictObject({})
const NOBODY: Caller = { keyId: '', roles: [], operator: false, accountId: null }

/** Order of refusals: who are you, may you, do we understand you. */
export function routeHandler(route: Route, services: Services): RequestHandler {
  return async (request, response) => {
    const caller = route.audience === 'public' ? NOBODY : await authenticate(request, services)
    requireAudience(route, caller)
    const call: Call = {
      services,
      caller,
      request,
      accountId: caller.accountId ?? '',
      params: parse(route.params, request.params, 'path'),
      query: parse(route.query ?? NO_QUERY, request.query, 'query'),
      body: parseBody(route, request),
    }
    const reply = route.write ? await answerOnce(route, call, route.write) : await route.handle!(call)
    await send(response, reply)
  }
}

function requireAudience(route: Route, caller: Caller): void {
  if (route.audience === 'operator' && !caller.operator) {
    throw new Problem(403, 'forbidden', 'This call is for operators.')
  }
  if (route.audience !== 'account') return
  if (caller.accountId === null) {
    throw new Problem(400, 'account_required', 'Name the account in the header Perdiem-Account.', [
      { path: 'Perdiem-Account', message: 'is required with an operator key' },
    ])
  }
  if (!mayDo(route.action ?? 'read', caller.roles)) throw new Problem(403, 'forbidden', 'This key may not do that.')
}

function parseBody(route: Route, request: Parameters<RequestHandler>[0]): unknown {
  const hasBody =
    (request.headers['content-length'] !== undefined && request.headers['content-length'] !== '0') ||
    request.headers['transfer-encoding'] !== undefined
  if (hasBody && !request.is('application/json')) {
    throw new Problem(415, 'unsupported_media_type', 'Send the body as application/json.')
  }
  if (!route.body) {
    if (hasBody && Object.keys((request.body as object) ?? {}).length > 0) {
      throw new Problem(400, 'invalid_request', 'This call takes no body.', [
        { path: 'body', message: 'must be empty' },
      ])
    }
    return undefined
  }
  return parse(route.body, request.body ?? {}, 'body', route.anyText)
}

function parse(schema: Schema | undefined, value: unknown, where: 'body' | 'query' | 'path', anyText = false): unknown {
  if (!schema) return undefined
  const bad = anyText ? null : findBadText(value, [])
  if (bad) {
    if (where === 'path') throw notFound()
    const message = 'must not contain control characters or halves of characters'
    throw new Problem(400, 'invalid_request', `The ${where} is not valid: ${bad} ${message}`, [{ path: bad, message }])
  }
  const result = schema.safeParse(value)
  if (!result.success) throw inputProblem(result.error, where)
  return result.data
}

/**
 * The first field whose text holds what no field of ours may: control characters, which forge lines, headers and keys
 * and which PostgreSQL does not store, or half a surrogate pair. Checked once for all fields, before each field's own
 * rules.
 */
function findBadText(value: unknown, path: readonly string[]): string | null {
  if (typeof value === 'string') {
    return isPlainText(value) ? null : path.join('.') || 'body'
  }
  if (typeof value !== 'object' || value === null || path.length > DEPTH_MAX) return null
  for (const [key, inner] of Object.entries(value)) {
    const bad = findBadText(inner, [...path, key])
    if (bad !== null) return bad
  }
  return null
}

/** Deeper than any request of ours; what is deeper fails its schema. */
const DEPTH_MAX = 10

async function send(response: Response, reply: Reply): Promise<void> {
  const bytes = reply.file?.bytes
  const pieces = bytes === undefined || bytes instanceof Uint8Array ? null : Readable.from(bytes)
  // What fails before the first piece is answered like any other failure; later the answer can only be cut short.
  if (pieces) await once(pieces, 'readable')
  response.status(reply.status)
  // Answers hold license keys and money: nothing between us and the caller keeps them.
  response.setHeader('Cache-Control', 'private, no-store')
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value)
  if (reply.file) {
    response.setHeader('Content-Type', reply.file.type)
    response.setHeader('Content-Disposition', `attachment; filename="${reply.file.name.replace(/[^\w.-]/g, '_')}"`)
    if (pieces) await pipeline(pieces, response)
    else response.end(bytes)
  } else if (reply.body === undefined) {
    response.end()
  } else {
    response.json(reply.body)
  }
}
