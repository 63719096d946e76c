// Who calls. A key is found by the hash of its secret, before any account is known, through one function of the
// database that returns one row.
import type { Request } from 'express'
import type { Role } from '../../jobs/rules/gate.ts'
import { fromPublicId } from '../adapters/ids.ts'
import { hashApiSecret } from '../adapters/secrets.ts'
import type { Caller, Services } from './context.ts'
import { gather } from './gather.ts'
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
  const key = await findKey(db, hashApiSecret(secret))
  if (!key) throw unauthorized()
  const operator = key.accountId === null
  // An observer's key sees what an operator's does, and changes nothing.
  const looksOnly = operator && !key.scopes.includes('operator')
  if (looksOnly && request.method !== 'GET' && request.method !== 'HEAD') {
    throw new Problem(403, 'forbidden', 'This key may only look.')
  }
  const accountId = operator ? await namedAccount(request, db) : key.accountId
  return { keyId: key.id, roles: key.scopes, operator, accountId }
}

type Hash = ReturnType<typeof hashApiSecret>

interface FoundKey {
  readonly id: string
  readonly accountId: string | null
  readonly scopes: Role[]
}

const finders = new WeakMap<Services['db'], (hash: Hash) => Promise<FoundKey | null>>()

/** The valid key of that hash, or null. Never from memory: a revocation holds from its commit on. */
function findKey(db: Services['db'], hash: Hash): Promise<FoundKey | null> {
  const find = finders.get(db) ?? gather((hashes: readonly Hash[]) => findKeys(db, hashes))
  finders.set(db, find)
  return find(hash)
}

/** Named, so that each connection plans it once. */
const FIND_KEYS = {
  name: 'find-keys',
  text: `
    SELECT h.n::int AS n, k.id, k.account_id AS "accountId", k.scopes
    FROM unnest($1::bytea[]) WITH ORDINALITY AS h (hash, n) CROSS JOIN LATERAL find_api_key(h.hash) AS k`,
}

async function findKeys({ pool }: Services['db'], hashes: readonly Hash[]): Promise<(FoundKey | null)[]> {
  const { rows } = await pool.query<FoundKey & { n: number }>({ ...FIND_KEYS, values: [hashes] })
  const found = new Map(rows.map((row) => [row.n, row]))
  return hashes.map((_, index) => found.get(index + 1) ?? null)
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
