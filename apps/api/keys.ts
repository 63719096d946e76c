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
