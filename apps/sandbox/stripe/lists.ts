import type { SQLInputValue } from 'node:sqlite'
import type { Kind, Kinds, Page } from './book.ts'
import type { Context } from './context.ts'
import { malformed, noSuch } from './errors.ts'

/** A page as Stripe's lists look. */
export interface Listed<T> {
  object: 'list'
  data: T[]
  has_more: boolean
  url: string
}
type Conditions = [sql: string, value: SQLInputValue][]

// Which parameters narrow a list, and where what they are held against stands.
const columns: Record<string, string> = {
  customer: 'customer',
  created: 'created',
  invoice: 'parent',
  email: "body ->> '$.email'",
  status: "body ->> '$.status'",
  type: "body ->> '$.type'",
  collection_method: "body ->> '$.collection_method'",
  due_date: "body ->> '$.due_date'",
  payment_intent: "body ->> '$.payment_intent'",
  payment_method: "body ->> '$.payment_method'",
  charge: "body ->> '$.charge'",
}

/** The operation that lists a kind, narrowed by whatever parameters were sent. */
export function lister<K extends Kind>(kind: K, url: string) {
  return (context: Context, params: Record<string, unknown>): Listed<Kinds[K]> =>
    listOf(context, kind, url, conditionsOf(params), params)
}

/** One page of a kind that meets the conditions. */
export function listOf<K extends Kind>(
  context: Context,
  kind: K,
  url: string,
  conditions: Conditions,
  params: Record<string, unknown>,
  oldestFirst = false,
): Listed<Kinds[K]> {
  const page = params as Page
  if (page.limit !== undefined && (page.limit < 1 || page.limit > 100)) {
    throw malformed('Invalid limit: must be between 1 and 100', 'limit')
  }
  for (const cursor of ['starting_after', 'ending_before'] as const) {
    const id = page[cursor]
    if (id !== undefined && context.book.find(kind, id) === undefined) {
      throw noSuch(kind.replace('_', ' '), id, cursor)
    }
  }
  return { object: 'list', ...context.book.page(kind, conditions, page, oldestFirst), url }
}

function conditionsOf(params: Record<string, unknown>): Conditions {
  const conditions: Conditions = []
  for (const [name, value] of Object.entries(params)) {
    if (name === 'types') conditions.push(anyOfTypes(value as string[]))
    if (name === 'payment') conditions.push(ofPayment(value as Record<string, string>))
    const column = columns[name]
    if (column === undefined) continue
    if (typeof value !== 'object' || value === null) {
      conditions.push([`${column} = ?`, value as SQLInputValue])
      continue
    }
    const signs: Record<string, string> = { gt: '>', gte: '>=', lt: '<', lte: '<=' }
    for (const [sign, bound] of Object.entries(value)) {
      conditions.push([`${column} ${signs[sign]} ?`, bound as SQLInputValue])
    }
  }
  return conditions
}

function anyOfTypes(types: string[]): [string, SQLInputValue] {
  const sql = "body ->> '$.type' in (select value from json_each(?))"
  return [sql, JSON.stringify(types)]
}

function ofPayment(payment: Record<string, string>): [string, SQLInputValue] {
  return ["body ->> '$.payment.payment_intent' = ?", payment['payment_intent'] ?? '']
}
