// Teeth outside the database: in the stand-in's book, the kept mails, the files, and what the client was answered.
import type { DatabaseSync } from 'node:sqlite'
import type { LedgerRequest } from '../workload/ledger.ts'
import type { Tooth } from './tooth.ts'

type Body = Record<string, unknown>

/** The first object of a kind that fits, as it stands in the book. */
function find(book: DatabaseSync, kind: string, fits: (body: Body) => boolean = () => true): Body {
  const rows = book.prepare('select body from objects where kind = ? order by seq').all(kind)
  const found = rows.map((row) => JSON.parse(String(row['body'])) as Body).find(fits)
  if (!found) throw new Error(`the book has no such ${kind}`)
  return found
}

const change = (book: DatabaseSync, body: Body, changes: Body): void =>
  void book
    .prepare('update objects set body = ? where id = ?')
    .run(JSON.stringify({ ...body, ...changes }), String(body['id']))

const remove = (book: DatabaseSync, body: Body): void =>
  void book.prepare('delete from objects where id = ?').run(String(body['id']))

function add(book: DatabaseSync, kind: string, body: Body): void {
  const insert = 'insert into objects (id, kind, created, body) values (?, ?, 0, ?)'
  book.prepare(insert).run(String(body['id']), kind, JSON.stringify(body))
}

const succeeded = (body: Body): boolean => body['status'] === 'succeeded'
const paid = (body: Body): boolean => body['status'] === 'paid'

const BOOK: readonly (readonly [name: string, book: (book: DatabaseSync) => void])[] = [
  [
    'an invoice is charged twice',
    (book) => add(book, 'charge', { ...find(book, 'charge', succeeded), id: 'ch_twice' }),
  ],
  ['a charge is forgotten', (book) => remove(book, find(book, 'charge', succeeded))],
  [
    'a charge is of a cent more',
    (book) => {
      const charge = find(book, 'charge', succeeded)
      change(book, charge, { amount: Number(charge['amount']) + 1 })
    },
  ],
  ['a charge is in another currency', (book) => change(book, find(book, 'charge', succeeded), { currency: 'eur' })],
  [
    'a charge that succeeded here failed there',
    (book) => change(book, find(book, 'charge', succeeded), { status: 'failed' }),
  ],
  ['a charge is given back', (book) => change(book, find(book, 'charge', succeeded), { amount_refunded: 1 })],
  ['a refund nobody made', (book) => add(book, 'refund', { id: 're_other' })],
  ['an invoice has two copies', (book) => add(book, 'invoice', { ...find(book, 'invoice', paid), id: 'in_twice' })],
  ['a copy is gone', (book) => remove(book, find(book, 'invoice', paid))],
  ['a copy is void', (book) => change(book, find(book, 'invoice', paid), { status: 'void' })],
  [
    'a copy of an invoice that is not ours',
    (book) => add(book, 'invoice', { ...find(book, 'invoice'), id: 'in_other', metadata: { invoice: 'other' } }),
  ],
  ['a copy has another total', (book) => change(book, find(book, 'invoice', paid), { total: 1 })],
  ['a copy bears another number', (book) => change(book, find(book, 'invoice', paid), { number: 'PD-000099' })],
  ['a copy is still open', (book) => change(book, find(book, 'invoice', paid), { status: 'open' })],
  ['a copy is of another customer', (book) => change(book, find(book, 'invoice', paid), { customer: 'cus_other' })],
  [
    'a copy has a line more',
    (book) => add(book, 'line_item', { ...find(book, 'line_item'), id: 'il_twice', amount: 0 }),
  ],
  ['a line of a copy is gone', (book) => remove(book, find(book, 'line_item'))],
  [
    'a charge was asked for that was not written down',
    (book) => {
      const request = { operation: 'invoices.pay', path: '/v1/invoices/in_1/pay', idempotency_key: 'charge:other' }
      book.prepare('insert into requests (body) values (?)').run(JSON.stringify(request))
    },
  ],
  ['an account has two customers', (book) => add(book, 'customer', { ...find(book, 'customer'), id: 'cus_twice' })],
  ['a customer is gone', (book) => remove(book, find(book, 'customer'))],
]

const bookTeeth = BOOK.map(([name, book]): Tooth => ({ name, book, caughtBy: 'I5' }))

const methodTooth: Tooth = {
  name: 'a card is of another customer there',
  caughtBy: 'I11',
  book: (book) =>
    change(
      book,
      find(book, 'payment_method', (body) => body['customer'] !== null),
      { customer: 'cus_other' },
    ),
}

const PAPERS: readonly Omit<Tooth, 'caughtBy'>[] = [
  { name: 'a mail went out twice', mails: (mails) => [...mails, mails[0]!] },
  { name: 'a mail never left', mails: (mails) => mails.slice(1) },
  { name: 'a mail left for no reason', mails: (mails) => [...mails, { ...mails[0]!, messageId: '<other>' }] },
  {
    name: 'a mail left to somebody else',
    mails: ([mail, ...more]) => [{ ...mail!, to: ['other@chaos.example'] }, ...more],
  },
  { name: 'a mail carries nothing', mails: ([mail, ...more]) => [{ ...mail!, attachments: [] }, ...more] },
  {
    name: 'a mail carries another document',
    mails: ([mail, ...more]) => [{ ...mail!, attachments: [{ filename: 'a.pdf', bytes: 1 }] }, ...more],
  },
  {
    name: 'a mail names another invoice',
    mails: ([mail, ...more]) => [{ ...mail!, subject: 'Invoice PD-000099' }, ...more],
  },
  { name: 'a file is missing', file: () => async () => null },
  { name: 'a file is empty', file: () => async () => new Uint8Array() },
  { name: 'a file is no PDF', file: () => async () => Buffer.from('<html>') },
  { name: 'a file is another PDF', file: () => async () => Buffer.from('%PDF-other') },
]
const paperTeeth = PAPERS.map((tooth): Tooth => ({ ...tooth, caughtBy: 'I9' }))

/** The first request that fits, to be spoiled. */
function request(ledger: { readonly requests: LedgerRequest[] }, fits: (of: LedgerRequest) => boolean): LedgerRequest {
  const found = ledger.requests.find(fits)
  if (!found) throw new Error('the ledger has no such request')
  return found
}

const done = ({ end }: LedgerRequest): boolean => end?.status === 'done'

const clientTeeth: readonly Tooth[] = [
  { name: 'one key led to two actions', caughtBy: 'I6', ledger: (of) => void request(of, done).actions.push('other') },
  {
    name: 'an issue that was refused was done',
    caughtBy: 'I6',
    ledger: (of) =>
      void (request(of, ({ what, end }) => what === 'issue' && end?.status === 'refused').end = {
        status: 'done',
        code: null,
        licenses: [],
      }),
  },
  {
    name: 'an issue that was done was refused',
    caughtBy: 'I6',
    ledger: (of) =>
      void (request(of, (one) => one.what === 'issue' && done(one)).end = {
        status: 'refused',
        code: 'no_price',
        licenses: [],
      }),
  },
  {
    name: 'a revocation that was done was refused',
    caughtBy: 'I6',
    ledger: (of) =>
      void (request(of, (one) => one.what === 'revoke' && done(one)).end = {
        status: 'refused',
        code: 'license_revoked',
        licenses: [],
      }),
  },
  {
    name: 'a refusal names another reason',
    caughtBy: 'I6',
    ledger: (of) =>
      void (request(of, ({ what, end }) => what !== 'issue' && end?.status === 'refused').end = {
        status: 'refused',
        code: 'forbidden',
        licenses: [],
      }),
  },
  {
    name: 'a used key was taken again',
    caughtBy: 'I6',
    ledger: (of) => void (request(of, ({ reuses }) => reuses !== undefined).answer = { status: 202, code: null }),
  },
  { name: 'a request was never answered', caughtBy: 'client', ledger: (of) => void (request(of, done).answer = null) },
  {
    name: 'a good request was refused at the door',
    caughtBy: 'client',
    ledger: (of) => void (request(of, done).answer = { status: 403, code: 'forbidden' }),
  },
  {
    name: 'a request on another account’s license was taken',
    caughtBy: 'I11',
    ledger: (of) => void (request(of, ({ foreign }) => foreign === true).answer = { status: 202, code: null }),
  },
  {
    name: 'the clock was never moved without a failure',
    caughtBy: 'client',
    ledger: (of) => {
      of.moves.splice(0, of.moves.length, ...of.moves.map((move) => ({ ...move, clean: false })))
    },
  },
]

/** What only the rules know to be wrong: the database and the caller's answer agree. */
const rulesTooth: Tooth = {
  name: 'a refusal gives a reason that does not hold, here and there',
  caughtBy: 'I6',
  sql: [`UPDATE actions SET error = '{"code": "no_price"}' WHERE error ->> 'code' = 'license_not_assigned'`],
  ledger: ({ requests }) => {
    for (const one of requests.filter(({ end }) => end?.code === 'license_not_assigned')) {
      one.end = { status: 'refused', code: 'no_price', licenses: [] }
    }
  },
}

export const OUTSIDE_TEETH: readonly Tooth[] = [...bookTeeth, methodTooth, ...paperTeeth, ...clientTeeth, rulesTooth]
