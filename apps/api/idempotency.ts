// Idempotency-Key on calls that write at once (calls that record an action keep the key on the action). The answer is
// kept in the transaction that makes it, encrypted, because one of them holds a secret.
import { hash as digest } from 'node:crypto'
import type { Tx } from '../../jobs/kit/ports.ts'
import type { Call, Reply } from './context.ts'
import { Problem } from './problem.ts'
import type { Route } from './route.ts'

const KEY_MAX = 255

/** The request's Idempotency-Key, or null. @throws Problem when it is not usable */
export function idempotencyKey(call: Call): string | null {
  const key = call.request.get('idempotency-key')
  if (key === undefined) return null
  if (key.length === 0 || key.length > KEY_MAX || !/^[\x21-\x7e]+$/.test(key)) {
    throw new Problem(
      400,
      'invalid_idempotency_key',
      'The Idempotency-Key must be 1 to 255 visible ASCII characters.',
      [{ path: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }],
    )
  }
  return key
}

/** JSON with its fields in one order, so that the same request has the same hash however it was written. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, canonical(v)]),
  )
}

export const requestHash = (what: string, input: unknown): Uint8Array<ArrayBuffer> =>
  new Uint8Array(digest('sha256', JSON.stringify([what, canonical(input)]), 'buffer'))

export const keyReused = (): Problem =>
  new Problem(409, 'idempotency_key_reused', 'This Idempotency-Key was used with another request.', [
    { path: 'Idempotency-Key', message: 'was used with another request' },
  ])

export const keyInProgress = (): Problem =>
  new Problem(409, 'idempotency_in_progress', 'A request with this Idempotency-Key is still being answered.', [
    { path: 'Idempotency-Key', message: 'is being answered' },
  ])

/** Runs a write in one transaction; with a key, at most once in 30 days, and the same answer every time. */
export async function answerOnce(
  route: Route,
  call: Call,
  write: (tx: Tx, call: Call) => Promise<Reply>,
): Promise<Reply> {
  const { services, caller } = call
  const key = route.method === 'post' ? idempotencyKey(call) : null
  const inTransaction =
    caller.operator && route.audience === 'operator'
      ? services.db.withOperator
      : <T>(work: (tx: Tx) => Promise<T>) => services.db.withAccount(call.accountId, work)
  return await inTransaction(async (tx) => {
    if (key === null) return await write(tx, call)
    const scope = caller.operator ? caller.keyId : call.accountId
    const hash = requestHash(`${route.method} ${route.path} ${call.accountId}`, [call.params, call.body])
    const kept = await findKept(tx, call, scope, key, hash)
    if (kept) return kept
    const reply = await write(tx, call)
    await keep(tx, call, scope, key, hash, reply)
    return reply
  })
}

/**
 * The same for a call that asks somebody else in between, and so cannot be one transaction: the answer kept first is
 * everybody's answer.
 */
export async function answerKept(what: string, call: Call, work: () => Promise<Reply>): Promise<Reply> {
  const key = idempotencyKey(call)
  if (key === null) return await work()
  const { services, accountId } = call
  const scope = call.caller.operator ? call.caller.keyId : accountId
  const hash = requestHash(`${what} ${accountId}`, [call.params, call.body])
  const kept = await services.db.withAccount(accountId, (tx) => findKept(tx, call, scope, key, hash))
  if (kept) return kept
  const reply = await work()
  return await services.db.withAccount(accountId, async (tx) => {
    const earlier = await findKept(tx, call, scope, key, hash)
    if (earlier) return earlier
    await keep(tx, call, scope, key, hash, reply)
    return reply
  })
}

async function keep(
  tx: Tx,
  { services }: Call,
  scope: string,
  key: string,
  hash: Uint8Array<ArrayBuffer>,
  reply: Reply,
): Promise<void> {
  const cipher = services.secrets.encrypt(JSON.stringify(reply.body ?? null))
  const at = await services.clock.now()
  await tx.$executeRaw`
    INSERT INTO idempotency_records (scope, key, request_hash, status, body_cipher, created_at)
    VALUES (${scope}::uuid, ${key}, ${hash}, ${reply.status}, ${cipher}, ${at}::timestamptz)`
}

async function findKept(tx: Tx, call: Call, scope: string, key: string, hash: Uint8Array): Promise<Reply | null> {
  await tx.$executeRaw`SELECT set_config('perdiem.scope', ${scope}, true)`
  const locked = await tx.$queryRaw<{ ok: boolean }[]>`
    SELECT pg_try_advisory_xact_lock(hashtextextended(${scope + key}, 2)) AS ok`
  if (!locked[0]?.ok) throw keyInProgress()
  const at = await call.services.clock.now()
  await tx.$executeRaw`
    DELETE FROM idempotency_records
    WHERE scope = ${scope}::uuid AND key = ${key} AND created_at < ${at}::timestamptz - interval '30 days'`
  const rows = await tx.$queryRaw<{ hash: Uint8Array; status: number; body: Uint8Array }[]>`
    SELECT request_hash AS hash, status, body_cipher AS body FROM idempotency_records
    WHERE scope = ${scope}::uuid AND key = ${key}`
  const kept = rows[0]
  if (!kept) return null
  if (!Buffer.from(kept.hash).equals(Buffer.from(hash))) throw keyReused()
  return {
    status: kept.status,
    body: JSON.parse(call.services.secrets.decrypt(kept.body)),
    headers: { 'Idempotent-Replayed': 'true' },
  }
}
