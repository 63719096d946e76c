import { z } from 'zod'
import { audit } from '../../../jobs/kit/audit.ts'
import { typedText } from '../../../jobs/licenses/actions/inputs.ts'
import type { Role } from '../../../jobs/rules/gate.ts'
import { fromPublicId, toPublicId } from '../../adapters/ids.ts'
import { createKey, revokeKey } from '../keys.ts'
import { instantView } from '../money-view.ts'
import { notFound, Problem } from '../problem.ts'
import { defineRoute } from '../route.ts'
import { idParam } from '../schemas.ts'

const key = z
  .object({
    id: z.string(),
    object: z.literal('api_key'),
    name: z.string(),
    hint: z.string().meta({ description: 'The last four characters.' }),
    scopes: z.array(z.string()),
    created_at: z.string(),
  })
  .meta({ id: 'ApiKey' })

const words = { audience: 'account', tag: 'API keys', action: 'edit_keys' } as const

const list = defineRoute({
  ...words,
  method: 'get',
  path: '/v1/api-keys',
  summary: 'The keys of the account that are in force',
  responses: { 200: { description: 'The keys.', schema: z.object({ data: z.array(key) }) } },
  async handle({ services, accountId }) {
    const rows = await services.db.withAccount(
      accountId,
      (tx) => tx.$queryRaw<{ id: string; name: string; hint: string; scopes: string[]; createdAt: Date }[]>`
        SELECT id, name, hint, scopes, created_at AS "createdAt" FROM api_keys
        WHERE account_id = ${accountId}::uuid AND revoked_at IS NULL ORDER BY id`,
    )
    const data = rows.map(({ id, createdAt, ...row }) => ({
      id: toPublicId('apiKey', id),
      object: 'api_key',
      ...row,
      created_at: instantView(createdAt),
    }))
    return { status: 200, body: { data } }
  },
})

const create = defineRoute({
  ...words,
  method: 'post',
  path: '/v1/api-keys',
  summary: 'Make a key',
  description: 'Its secret is shown this once. Its scopes are what it may do, as a member with these roles.',
  body: z.strictObject({
    name: typedText(100),
    scopes: z
      .array(z.enum(['owner', 'billing', 'licenses', 'viewer']))
      .min(1)
      .max(4),
  }),
  responses: { 201: { description: 'The key, with its secret.', schema: key.extend({ secret: z.string() }) } },
  async write(tx, { services, accountId, body, caller }) {
    const at = await services.clock.now()
    const scopes = [...new Set<Role>(body.scopes)]
    const { id, secret } = await createKey(tx, { accountId, name: body.name, scopes, at })
    const details = { name: body.name, scopes }
    await audit(tx, [{ accountId, at, actor: `key:${caller.keyId}`, action: 'api_key.created', subject: id, details }])
    const shown = { id: toPublicId('apiKey', id), object: 'api_key', name: body.name, hint: secret.slice(-4), scopes }
    return { status: 201, body: { ...shown, created_at: instantView(at), secret } }
  },
})

const remove = defineRoute({
  ...words,
  method: 'delete',
  path: '/v1/api-keys/{id}',
  summary: 'Revoke a key',
  description: 'At once, and for good. The last owner key can only be revoked by an operator.',
  params: idParam('apiKey'),
  responses: { 204: { description: 'It is revoked.' } },
  async write(tx, { services, accountId, params, caller }) {
    const id = fromPublicId('apiKey', params.id)
    const at = await services.clock.now()
    const revoked = id ? await revokeKey(tx, accountId, id, at, caller.operator) : 'unknown'
    if (revoked === 'unknown') throw notFound('API key')
    if (revoked === 'last_owner') {
      throw new Problem(409, 'last_owner_key', 'This is the last key with the scope owner: make another one first.')
    }
    await audit(tx, [{ accountId, at, actor: `key:${caller.keyId}`, action: 'api_key.revoked', subject: id! }])
    return { status: 204 }
  },
})

export const apiKeyRoutes = [list, create, remove]
