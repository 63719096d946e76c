import { createHash } from 'node:crypto'
import type { Book } from './book.ts'
import { malformed, refusal } from './errors.ts'
import type { FormMap } from './form.ts'
import type { Answer } from './http.ts'
import type { StandIn } from './standin.ts'

const REPLAYED = { 'Idempotent-Replayed': 'true' }

/** The stored first answer to this key; refuses a key that was used for anything else. */
export function replay(standIn: StandIn, key: string, fingerprint: string): Answer | undefined {
  if (key.length > 255) {
    throw malformed('Idempotency keys may be at most 255 characters long.')
  }
  if (standIn.inFlight.has(key)) {
    const message = `Another request with the idempotency key ${key} is in progress.`
    throw refusal(409, 'invalid_request_error', message, 'idempotency_key_in_use')
  }
  const row = standIn.book.statement('select request, status, body from keys where key = ?').get(key)
  if (row === undefined) return undefined
  if (row['request'] !== fingerprint) {
    const message =
      'Keys for idempotent requests can only be used with the same endpoint and parameters ' +
      `they were first used with. Try a key other than '${key}'.`
    throw refusal(400, 'idempotency_error', message)
  }
  const headers = { 'Content-Type': 'application/json', ...REPLAYED }
  return { status: Number(row['status']), body: String(row['body']), headers }
}

/** Keeps the first answer to a key, in the transaction of what it answers; for good. */
export function remember(book: Book, key: string, fingerprint: string, answer: Answer): void {
  book
    .statement('insert into keys (key, request, status, body, at) values (?, ?, ?, ?, ?)')
    .run(key, fingerprint, answer.status, answer.body, Date.now())
}

/** What makes two requests the same: method, path and parameters, in whatever order. */
export function fingerprintOf(method: string, pathname: string, params: FormMap): string {
  const text = `${method} ${pathname} ${JSON.stringify(sorted(params))}`
  return createHash('sha256').update(text).digest('hex')
}

function sorted(value: FormMap | string): unknown {
  if (typeof value === 'string') return value
  const keys = Object.keys(value).sort()
  return keys.map((key) => [key, sorted(value[key] ?? '')])
}
