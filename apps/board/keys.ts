// Whose key it is: an operator's, who may look and retry, or an observer's, who may look. Asked anew with every
// request, so that a revocation holds from its commit on.
import type { ProcessDatabase } from '../adapters/database.ts'
import { hashApiSecret } from '../adapters/secrets.ts'
import { bounded, Unavailable } from './bounded.ts'

export type KeyHash = ReturnType<typeof hashApiSecret>
export type BoardRole = 'operator' | 'observer'

export interface BoardKey {
  readonly id: string
  readonly role: BoardRole
}

/** Longer than any key we ever made; hashing megabytes is an attack. */
const SECRET_MAX = 300

export const keyHashOf = (secret: string): KeyHash | null =>
  secret === '' || secret.length > SECRET_MAX ? null : hashApiSecret(secret)

/**
 * The vendor's own key of that hash that is in force; an account's is none.
 * @throws Unavailable when the database cannot be asked now
 */
export async function findBoardKey(db: ProcessDatabase, hash: KeyHash): Promise<BoardKey | null> {
  const ask = () => db.prisma.$queryRaw<{ id: string; accountId: string | null; scopes: string[] }[]>`
    SELECT id, account_id AS "accountId", scopes FROM find_api_key(${hash})`
  const rows = await bounded('PostgreSQL', async () => await ask()).catch(() => {
    throw new Unavailable('Keys cannot be checked now: PostgreSQL does not answer. Try again soon.')
  })
  const key = rows[0]
  if (!key || key.accountId !== null) return null
  if (key.scopes.includes('operator')) return { id: key.id, role: 'operator' }
  return key.scopes.includes('observer') ? { id: key.id, role: 'observer' } : null
}
