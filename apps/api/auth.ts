// Who calls. A key is found by the hash of its secret, before any account is known, through one function of the
// database that returns one row.
import type { Request } from 'express'
import type { Role } from '../../jobs/rules/gate.ts'
import { fromPublicId } from '../adapters/ids.ts'
import { hashApiSecret } from '../adapters/secrets.ts'
import type { Caller, Services } from './context.ts'
import { notFound, Problem } from './problem.ts'

/** Longer than any key we ever made; hashing megabytes is an attack. */
const SECRET_MAX = 300

const unauthorized = (): Problem => new Problem(401, 'unauthorized', 'Send a valid key: Authorization: Bearer <key>.')

export const bearer = (request: Request): string | null =>
  /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null

/** @throws Problem 401 without a valid key; 404 when an operator names an account that does not exist */
export async function authenticate(request: Request, { db }: Services): Promise<Caller> {
  const secret = bearer(request)
  if (secret === null || secret.length > SECRET_MAX) throw unauthorized()
  const rows = await db.prisma.$queryRaw<{ id: string; accountId: string | null; scopes: Role[] }[]>`
    SELECT id, account_id AS "accountId", scopes FROM find_api_key(${hashApiSecret(secret)})`
  const key = rows[0]
  if (!key) throw unauthorized()
  const operator = key.accountId === null
  const accountId = operator ? await namedAccount(request, db) : key.accountId
  return { keyId: key.id, roles: key.scopes, operator, accountId }
}

async function namedAccount(request: Request, db: Services['db']): Promise<string | null> {
  const header = request.get('perdiem-account')
  if (header === undefined) return null
  const id = fromPublicId('account', header)
  const found =
    id && (await db.withAccount(id, (tx) => tx.$queryRaw<unknown[]>`SELECT 1 FROM accounts WHERE id = ${id}::uuid`))
  if (!id || !found || found.length === 0) throw notFound('account')
  return id
}
