import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import type Stripe from 'stripe'
import type { CardSecret } from './cards.ts'

/** An invoice line as it travels: decimals are strings on the wire. */
export type WireLine = Omit<Stripe.InvoiceLineItem, 'quantity_decimal'> & {
  quantity_decimal: string | null
}

/** What the book holds. Objects are kept unexpanded: references are ids. */
export interface Kinds {
  customer: Stripe.Customer
  'checkout.session': Stripe.Checkout.Session
  setup_intent: Stripe.SetupIntent
  payment_method: Stripe.PaymentMethod
  invoice: Stripe.Invoice
  line_item: WireLine
  invoice_payment: Stripe.InvoicePayment
  payment_intent: Stripe.PaymentIntent
  charge: Stripe.Charge
  refund: Stripe.Refund
  credit_note: Stripe.CreditNote
  event: Stripe.Event
}
export type Kind = keyof Kinds

export interface Page {
  limit?: number
  starting_after?: string
  ending_before?: string
}
export type Filter = Record<string, SQLInputValue | undefined>

const SCHEMA = `
  create table if not exists objects (
    seq integer primary key autoincrement, id text not null unique, kind text not null,
    customer text, parent text, created integer not null, body text not null);
  create index if not exists objects_kind on objects (kind, seq);
  create index if not exists objects_customer on objects (kind, customer, seq);
  create index if not exists objects_parent on objects (kind, parent, seq);
  create table if not exists secrets (id text primary key, body text not null);
  create table if not exists tokens (token text primary key, id text not null unique);
  create table if not exists numbers (number text primary key, invoice text not null);
  create table if not exists keys (
    key text primary key, request text not null, status integer not null, body text not null,
    at integer not null);
  create table if not exists deliveries (
    seq integer primary key autoincrement, event text not null, state text not null,
    attempts integer not null, due integer not null);
  create index if not exists deliveries_pending on deliveries (state, due);
  create table if not exists requests (seq integer primary key autoincrement, body text not null);
  create table if not exists settings (name text primary key, value text not null);
`

/** The durable record of all that happened: each transaction is on disk before it is answered. */
export class Book {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true })
    this.#db = new DatabaseSync(join(folder, 'stripe.sqlite'))
    this.#db.exec('pragma journal_mode = wal; pragma synchronous = full')
    this.#db.exec(SCHEMA)
  }

  close(): void {
    this.#db.close()
  }

  statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const made = this.#db.prepare(sql)
    this.#statements.set(sql, made)
    return made
  }

  /** Runs the work whole or not at all. */
  transaction<T>(work: () => T): T {
    this.#db.exec('begin immediate')
    try {
      const result = work()
      this.#db.exec('commit')
      return result
    } catch (error) {
      this.#db.exec('rollback')
      throw error
    }
  }

  /** A part of a transaction that can be undone alone. */
  attempt<T>(work: () => T, keep: (error: unknown) => boolean): T {
    this.#db.exec('savepoint attempt')
    try {
      const result = work()
      this.#db.exec('release attempt')
      return result
    } catch (error) {
      if (!keep(error)) this.#db.exec('rollback to attempt')
      this.#db.exec('release attempt')
      throw error
    }
  }

  insert<K extends Kind>(kind: K, object: Kinds[K], created: number): void {
    const { customer, parent } = links(object)
    this.statement('insert into objects (id, kind, customer, parent, created, body) values (?, ?, ?, ?, ?, ?)').run(
      object.id ?? '',
      kind,
      customer,
      parent,
      created,
      JSON.stringify(object),
    )
  }

  update(object: Kinds[Kind]): void {
    const { customer, parent } = links(object)
    this.statement('update objects set customer = ?, parent = ?, body = ? where id = ?').run(
      customer,
      parent,
      JSON.stringify(object),
      object.id ?? '',
    )
  }

  remove(id: string): void {
    this.statement('delete from objects where id = ? or parent = ?').run(id, id)
  }

  find<K extends Kind>(kind: K, id: string): Kinds[K] | undefined {
    const row = this.statement('select body from objects where id = ? and kind = ?').get(id, kind)
    return row === undefined ? undefined : (JSON.parse(String(row['body'])) as Kinds[K])
  }

  /** Any object by id, for expansion. */
  findAny(id: string): { kind: Kind; object: Record<string, unknown> } | undefined {
    const row = this.statement('select kind, body from objects where id = ?').get(id)
    if (row === undefined) return undefined
    return {
      kind: row['kind'] as Kind,
      object: JSON.parse(String(row['body'])) as Record<string, unknown>,
    }
  }

  /** Objects of a kind that meet conditions (SQL over columns and `$.fields`), oldest first. */
  all<K extends Kind>(kind: K, by: { customer?: string; parent?: string }): Kinds[K][] {
    const column = by.parent === undefined ? 'customer' : 'parent'
    return this.statement(`select body from objects where kind = ? and ${column} = ? order by seq`)
      .all(kind, by.parent ?? by.customer ?? '')
      .map((row) => JSON.parse(String(row['body'])) as Kinds[K])
  }

  /** One page, newest first unless `oldestFirst`. Conditions are our own, values are bound. */
  page<K extends Kind>(
    kind: K,
    conditions: [sql: string, value: SQLInputValue][],
    page: Page,
    oldestFirst = false,
  ): { data: Kinds[K][]; has_more: boolean } {
    const limit = page.limit ?? 10
    const cursor = page.starting_after ?? page.ending_before
    const after = cursor === undefined ? undefined : this.#seq(cursor)
    const backwards = page.starting_after === undefined && page.ending_before !== undefined
    const descending = oldestFirst === backwards
    const where = ['kind = ?', ...conditions.map(([sql]) => sql)]
    const values: SQLInputValue[] = [kind, ...conditions.map(([, value]) => value)]
    if (cursor !== undefined) {
      where.push(descending ? 'seq < ?' : 'seq > ?')
      values.push(after ?? 0)
    }
    const rows = this.statement(
      `select body from objects where ${where.join(' and ')}
       order by seq ${descending ? 'desc' : 'asc'} limit ?`,
    ).all(...values, limit + 1)
    const data = rows.slice(0, limit).map((row) => JSON.parse(String(row['body'])) as Kinds[K])
    if (backwards) data.reverse()
    return { data, has_more: rows.length > limit }
  }

  #seq(id: string): number | undefined {
    const row = this.statement('select seq from objects where id = ?').get(id)
    return row === undefined ? undefined : Number(row['seq'])
  }

  /** What a card does when charged; the number itself is never written. */
  cardSecret(paymentMethod: string): CardSecret | undefined {
    const row = this.statement('select body from secrets where id = ?').get(paymentMethod)
    return row === undefined ? undefined : (JSON.parse(String(row['body'])) as CardSecret)
  }

  keepCardSecret(paymentMethod: string, secret: CardSecret): void {
    this.statement('insert or replace into secrets (id, body) values (?, ?)').run(paymentMethod, JSON.stringify(secret))
  }

  setting(name: string): string | undefined {
    const row = this.statement('select value from settings where name = ?').get(name)
    return row === undefined ? undefined : String(row['value'])
  }

  set(name: string, value: string): void {
    this.statement('insert or replace into settings (name, value) values (?, ?)').run(name, value)
  }
}

// The columns an object is looked up by: who owns it, and what it hangs on.
function links(object: Kinds[Kind]): { customer: string | null; parent: string | null } {
  const fields = object as unknown as Record<string, unknown>
  const parent = {
    line_item: fields['invoice'],
    invoice_payment: fields['invoice'],
    credit_note: fields['invoice'],
    charge: fields['payment_intent'],
    refund: fields['charge'],
    checkout_session: fields['setup_intent'],
  }[String(fields['object']).replace('.', '_')]
  return { customer: textOrNull(fields['customer']), parent: textOrNull(parent) }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
