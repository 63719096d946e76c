// Everything a test needs around the code under test: a database of its own, the real API over HTTP, the real Stripe
// stand-in spoken to by the real SDK, and fakes that record calls for the printer and the mail. Time moves by at().
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { pino } from 'pino'
import { catalog, ticks } from '../../jobs/catalog.ts'
import type { Mail, Ports } from '../../jobs/kit/ports.ts'
import { perform } from '../../jobs/kit/perform.ts'
import type { Outcome } from '../../jobs/kit/outcome.ts'
import { connectDatabase, type ProcessDatabase } from '../../apps/adapters/database.ts'
import { createFiles } from '../../apps/adapters/files.ts'
import { newId } from '../../apps/adapters/ids.ts'
import { workStaged } from '../../apps/adapters/outbox.ts'
import { createSecrets } from '../../apps/adapters/secrets.ts'
import { connectStripe, stripeProvider, verifyWebhook } from '../../apps/adapters/stripe.ts'
import { createApp } from '../../apps/api/app.ts'
import type { Services } from '../../apps/api/context.ts'
import { createKey } from '../../apps/api/keys.ts'
import { createActionWaiter } from '../../apps/api/waiting.ts'
import { standInClient, type StandIn } from '../../apps/sandbox/stand-in-client.ts'
import { startStripeStandIn } from '../../apps/sandbox/stripe/server.ts'
import { createTestDatabase, type TestDatabase } from './postgres.ts'

export interface Answer {
  readonly status: number
  // Tests read answers as they are; what a field is, is what they check.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any
  readonly headers: Headers
}

export interface CallOptions {
  readonly key?: string | null
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export interface TestAccount {
  readonly id: string
  readonly uuid: string
  readonly key: string
}

export interface World {
  readonly database: TestDatabase
  /** Connected as the worker. */
  readonly db: ProcessDatabase
  /** Connected as the API: row-level security holds. */
  readonly apiDb: ProcessDatabase
  readonly ports: Ports
  readonly standIn: StandIn
  readonly url: string
  readonly operatorKey: string
  readonly mails: Mail[]
  readonly pages: string[]
  /** Moves business time. Nothing else happens: no tick fires, no job runs. */
  at(instant: string): Promise<void>
  now(): Date
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  perform(name: string, payload: unknown): Promise<Outcome>
  /** Works staged jobs, and follows webhooks, until nothing is due. */
  drain(): Promise<void>
  /** Fires every tick at the present instant, each worked off before the next. */
  tick(): Promise<void>
  account(fields?: Record<string, unknown>): Promise<TestAccount>
  card(account: TestAccount, number?: string): Promise<void>
  close(): Promise<void>
}

const WEBHOOK_SECRET = 'whsec_test_secret_of_the_test_world'
const STRIPE_KEY = 'sk_test_of_the_test_world'
/** More rounds than any story needs: a job that stages itself for ever is found. */
const DRAIN_ROUNDS = 200

export async function createWorld(start = '2026-10-01T12:00:00Z'): Promise<World> {
  let now = new Date(start)
  const clock = { now: async () => now }
  const folder = await mkdtemp(join(tmpdir(), 'perdiem-world-'))
  const database = await createTestDatabase()
  const db = connectDatabase({ url: database.workerUrl, max: 5 })
  const apiDb = connectDatabase({ url: database.apiUrl, max: 5 })
  const host = await hostApp()
  const standIn = await startStripeStandIn({
    book: join(folder, 'stripe'),
    secretKey: STRIPE_KEY,
    webhook: { url: `${host.url}/webhooks/stripe`, secret: WEBHOOK_SECRET },
  })
  const standInCalls = standInClient(standIn.url, STRIPE_KEY)
  await standInCalls.setClock(now)
  const sdk = connectStripe({ secretKey: STRIPE_KEY, url: standIn.url })
  const secrets = createSecrets('a test secret that is long enough to be one')
  const mails: Mail[] = []
  const pages: string[] = []
  const log = pino({ level: 'silent' })
  const ports: Ports = {
    db,
    clock,
    newId,
    log,
    keys: secrets,
    stripe: stripeProvider(sdk),
    files: createFiles(join(folder, 'files')),
    pdf: { render: async (html) => (pages.push(html), Buffer.from(`%PDF-fake ${pages.length}`)) },
    mailer: { send: async (mail) => void mails.push(mail) },
  }
  const waiter = createActionWaiter(database.apiUrl, () => {})
  const services: Services = {
    db: apiDb,
    clock,
    secrets,
    waiter,
    log,
    publicUrl: host.url,
    files: ports.files,
    stripe: ports.stripe,
    relay: { offer: () => {}, drain: async () => {} },
    queueTrouble: () => null,
    verifyWebhook: (body, signature) => verifyWebhook(sdk, body, signature, [WEBHOOK_SECRET]),
  }
  host.mount(createApp({ services, rateLimitPerMinute: 1_000_000 }))
  const { secret: operatorKey } = await apiDb.withOperator((tx) =>
    createKey(tx, { accountId: null, name: 'test operator', scopes: ['operator'], at: now }),
  )
  const world: World = {
    database,
    db,
    apiDb,
    ports,
    standIn: standInCalls,
    url: host.url,
    operatorKey,
    mails,
    pages,
    now: () => now,
    async at(instant) {
      if (new Date(instant) < now) throw new Error(`time only goes forward: ${instant}`)
      now = new Date(instant)
      await standInCalls.setClock(now)
    },
    call: (method, path, options) => call(host.url, operatorKey, method, path, options),
    perform: (name, payload) => perform(catalog.get(name)!, JSON.parse(JSON.stringify(payload)), ports),
    drain: () => drain(db, ports, standInCalls, () => now),
    async tick() {
      for (const tick of ticks) {
        const outcome = await world.perform(tick.name, { at: now.toISOString() })
        if (outcome.kind !== 'done') throw new Error(`${tick.name}: ${JSON.stringify(outcome)}`)
        await world.drain()
      }
    },
    account: (fields) => createAccount(world, fields),
    card: (account, number = '4242424242424242') => enterCard(world, account, number),
    async close() {
      await host.close()
      await Promise.all([waiter.close(), standIn.close(), db.close(), apiDb.close()])
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return world
}

/** The stand-in needs our address before the app needs its: the server listens first and is filled after. */
async function hostApp(): Promise<{ url: string; mount(app: express.Express): void; close(): Promise<void> }> {
  const shell = express()
  shell.set('etag', false)
  shell.disable('x-powered-by')
  const server: Server = shell.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mount: (app) => void shell.use(app),
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

async function call(
  url: string,
  operatorKey: string,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Answer> {
  const key = options.key === undefined ? operatorKey : options.key
  const raw =
    typeof options.body === 'string'
      ? options.body
      : options.body === undefined
        ? undefined
        : JSON.stringify(options.body)
  const response = await fetch(url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(key !== null && { Authorization: `Bearer ${key}` }),
      ...(raw !== undefined && { 'Content-Type': 'application/json' }),
      ...options.headers,
    },
    ...(raw !== undefined && { body: raw }),
  })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: json && text !== '' ? JSON.parse(text) : text, headers: response.headers }
}

async function drain(db: ProcessDatabase, ports: Ports, standIn: StandIn, now: () => Date): Promise<void> {
  for (let round = 0; round < DRAIN_ROUNDS; round += 1) {
    const rows = await db.prisma.$queryRaw<{ id: string }[]>`
      SELECT id FROM staged_jobs WHERE finished_at IS NULL AND (due_at IS NULL OR due_at <= ${now()}::timestamptz)
      ORDER BY created_at, id`
    for (const { id } of rows) await workStaged(id, db, ports)
    if (rows.length === 0 && (await standIn.pendingWebhooks()) === 0) {
      const left = await db.prisma.$queryRaw<unknown[]>`
        SELECT 1 FROM staged_jobs WHERE finished_at IS NULL AND (due_at IS NULL OR due_at <= ${now()}::timestamptz)`
      if (left.length === 0) return
    }
  }
  const left = await db.prisma.$queryRaw`SELECT name, payload, reason FROM staged_jobs WHERE finished_at IS NULL`
  throw new Error(`still undone after ${DRAIN_ROUNDS} rounds: ${JSON.stringify(left)}`)
}

let accounts = 0

async function createAccount(world: World, fields: Record<string, unknown> = {}): Promise<TestAccount> {
  accounts += 1
  const body = {
    name: `Partner ${accounts}`,
    currency: 'usd',
    billing_email: `billing${accounts}@partner.example`,
    ...fields,
  }
  const made = await world.call('POST', '/v1/admin/accounts', { body })
  if (made.status !== 201) throw new Error(`account: ${made.status} ${JSON.stringify(made.body)}`)
  const hex = made.body.id.slice('acct_'.length) as string
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return { id: made.body.id, uuid, key: made.body.api_key.secret }
}

async function enterCard(world: World, account: TestAccount, number: string): Promise<void> {
  const setup = await world.call('POST', '/v1/payment-methods/setup', { key: account.key, body: {} })
  if (setup.status !== 200) throw new Error(`card page: ${setup.status} ${JSON.stringify(setup.body)}`)
  const year = String((world.now().getUTCFullYear() + 12) % 100).padStart(2, '0')
  const refused = await world.standIn.enterCard(setup.body.url, { number, exp: `12/${year}` })
  if (refused) throw new Error(`card refused: ${refused.code}`)
  await world.drain()
}

/** A product with a list price, from the first of the year. */
export async function createProduct(world: World, slug: string, monthly: string, currency = 'usd'): Promise<void> {
  const product = await world.call('POST', '/v1/admin/products', { body: { slug, name: slug, family: 'test' } })
  if (product.status !== 201 && product.status !== 409) throw new Error(`product: ${JSON.stringify(product.body)}`)
  const price = await world.call('POST', '/v1/admin/prices', {
    body: { product: slug, currency, model: 'per_day', monthly_amount: monthly, effective_from: '2026-01-01' },
  })
  if (price.status !== 201) throw new Error(`price: ${JSON.stringify(price.body)}`)
}

/** Sends an action, works it, and gives its end: 202, then done or refused. */
export async function act(world: World, account: TestAccount, path: string, body?: unknown): Promise<Answer['body']> {
  const accepted = await world.call('POST', path, { key: account.key, body })
  if (accepted.status !== 202) throw new Error(`${path}: ${accepted.status} ${JSON.stringify(accepted.body)}`)
  await world.drain()
  return (await world.call('GET', `/v1/actions/${accepted.body.id}`, { key: account.key })).body
}
