// Writes api_keys. A secret is shown once and stored as a hash.
import type { Tx } from '../../jobs/kit/ports.ts'
import type { Role } from '../../jobs/rules/gate.ts'
import { newId } from '../adapters/ids.ts'
import { hashApiSecret, newApiSecret } from '../adapters/secrets.ts'

export interface NewKey {
  readonly accountId: string | null
  readonly name: string
  readonly scopes: readonly Role[]
  readonly at: Date
  /** Left out, a fresh one is made. */
  readonly secret?: string | undefined
}

export async function createKey(tx: Tx, key: NewKey): Promise<{ id: string; secret: string }> {
  const id = newId()
  const secret = key.secret ?? newApiSecret(key.accountId === null ? 'op' : 'acct')
  await tx.$executeRaw`
    INSERT INTO api_keys (id, account_id, name, secret_hash, hint, scopes, created_at)
    VALUES (${id}::uuid, ${key.accountId}::uuid, ${key.name}, ${hashApiSecret(secret)}, ${secret.slice(-4)},
            ${[...key.scopes]}::text[], ${key.at}::timestamptz)
    ON CONFLICT (secret_hash) DO NOTHING`
  return { id, secret }
}

/** Revokes an account's key. The last one that may do everything stays, unless an operator asks. */
export async function revokeKey(
  tx: Tx,
  accountId: string,
  id: string,
  at: Date,
  byOperator: boolean,
): Promise<'revoked' | 'unknown' | 'last_owner'> {
  // The account's row keeps two revocations from each taking the other for the last.
  await tx.$queryRaw`SELECT 1 FROM accounts WHERE id = ${accountId}::uuid FOR NO KEY UPDATE`
  const keys = await tx.$queryRaw<{ id: string; owner: boolean }[]>`
    SELECT id, 'owner' = ANY (scopes) AS owner FROM api_keys
    WHERE account_id = ${accountId}::uuid AND revoked_at IS NULL`
  const key = keys.find((one) => one.id === id)
  if (!key) return 'unknown'
  if (key.owner && !byOperator && keys.filter((one) => one.owner).length === 1) return 'last_owner'
  await tx.$executeRaw`
    UPDATE api_keys SET revoked_at = ${at}::timestamptz WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid`
  return 'revoked'
}
