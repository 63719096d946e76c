import type { Book } from './book.ts'
import { luhn } from './cards.ts'
import type { FormMap } from './form.ts'

/** One API request as `GET /_sandbox/requests` shows it. */
export interface LoggedRequest {
  /** Real time. */
  at: string
  /** Business time, unix seconds. */
  now: number
  request_id: string
  method: string
  path: string
  operation: string | null
  idempotency_key: string | null
  status: number
  replayed: boolean
  fault: string | null
  error: { type: string; code?: string; decline_code?: string; param?: string } | null
  params: unknown
}

export function logRequest(book: Book, entry: LoggedRequest): void {
  const row = JSON.stringify({ ...entry, params: withoutCards(entry.params as FormMap) })
  book.statement('insert into requests (body) values (?)').run(row)
}

/** The latest requests, oldest first. */
export function listRequests(book: Book, limit: number): LoggedRequest[] {
  return book
    .statement('select body from requests order by seq desc limit ?')
    .all(limit)
    .map((row) => JSON.parse(String(row['body'])) as LoggedRequest)
    .reverse()
}

// Card data has no business in the API; should it come all the same, it is not written down.
function withoutCards(value: FormMap | string): unknown {
  if (typeof value === 'string') {
    return luhn(value.replaceAll(/[\s-]/g, '')) ? '[card number]' : value
  }
  const entries = Object.entries(value).map(([key, inner]) => [
    key,
    key === 'cvc' || key === 'card' ? '[card data]' : withoutCards(inner),
  ])
  return Object.fromEntries(entries)
}
