// Two accounts, and every call there is, for the tests of isolation.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { createSecrets } from '../../../apps/adapters/secrets.ts'
import type { ProcessDatabase } from '../../../apps/adapters/database.ts'
import { createApp, routes } from '../../../apps/api/app.ts'
import type { Services } from '../../../apps/api/context.ts'
import type { Route } from '../../../apps/api/route.ts'
import { createActionWaiter } from '../../../apps/api/waiting.ts'
import { Prisma } from '../../../prisma/client/client.ts'
import type { Tx } from '../../../jobs/kit/ports.ts'
import { act, createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'

/** Stands in every text of the first account; no answer to anybody else may hold it. */
const MARK = 'kanarienvogel'

export interface TwoAccounts {
  readonly world: World
  readonly first: TestAccount
  readonly other: TestAccount
  /** Ids of everything the first account has, as the API shows them. */
  readonly ids: readonly string[]
  /** What only answers to the first account may hold. */
  readonly secrets: readonly string[]
}

/** The other account is the older one, so that a query over both would show the first account's rows first. */
export async function twoAccounts(): Promise<TwoAccounts> {
  const world = await createWorld('2026-10-01T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
  const other = await world.account({ card_required: false, name: 'Other' })
  const first = await world.account({
    name: MARK,
    external_id: `${MARK}-1`,
    billing_email: `${MARK}@${MARK}.example`,
    po_number: MARK,
    company: { name: MARK, city: MARK, tax_id: MARK, website: `https://${MARK}.example` },
  })
  await world.card(first, '5555555555554444')
  await world.call('POST', '/v1/admin/products', { body: { slug: 'private', name: 'private', family: 'test' } })
  for (const product of ['backup', 'private']) {
    await world.call('POST', '/v1/admin/prices', {
      body: {
        product,
        currency: 'usd',
        model: 'per_day',
        monthly_amount: '13.370001',
        effective_from: '2026-01-01',
        account: first.id,
      },
    })
  }
  const site = { url: `https://${MARK}.example`, external_id: MARK, client: MARK }
  const issued = await act(world, first, '/v1/licenses', { product: 'backup', quantity: 2, site })
  const spare = await act(world, first, '/v1/licenses', { product: 'private' })
  await world.at('2026-11-03T12:00:00Z')
  await world.tick()
  const read = async (path: string) => (await world.call('GET', path, { key: first.key })).body
  const [invoice] = (await read('/v1/invoices')).data
  const [card] = (await read('/v1/payment-methods')).data
  const made = { name: MARK, scopes: ['viewer'] }
  const { body: apiKey } = await world.call('POST', '/v1/api-keys', { key: first.key, body: made })
  const licenses = [...issued.result.licenses, ...spare.result.licenses] as { id: string; key: string }[]
  const ids = [
    first.id,
    issued.id,
    ...licenses.map(({ id }) => id),
    issued.result.licenses[0].site.id,
    invoice.id,
    card.id,
    apiKey.id,
  ]
  const secrets = [
    MARK,
    ...ids,
    ...ids.map((id) => id.split('_')[1]!),
    first.uuid,
    ...licenses.map(({ key }) => key),
    invoice.number,
    '13.370001',
  ]
  return { world, first, other, ids, secrets }
}

/** Bodies that are understood, so that what is refused is refused for whose it is. */
export const BODIES: Record<string, unknown> = {
  'post /v1/licenses': { product: 'backup' },
  'post /v1/licenses/{id}/assign': { site: { url: 'https://thief.example' }, transfer: true },
  'post /v1/payment-methods/setup': {},
  'post /v1/api-keys': { name: 'thief', scopes: ['owner'] },
  'patch /v1/account': { po_number: 'thief' },
  'put /v1/company': { name: 'thief' },
  'post /v1/admin/accounts': { name: 'thief', currency: 'usd' },
  'patch /v1/admin/accounts/{id}': { name: 'thief' },
  'post /v1/admin/products': { slug: 'thief', name: 'thief', family: 'thief' },
  'post /v1/admin/prices': {
    product: 'backup',
    currency: 'usd',
    model: 'per_day',
    monthly_amount: '1',
    effective_from: '2027-01-01',
  },
  'post /v1/admin/imports': { bill_from: '2026-09' },
  'post /v1/admin/imports/{id}/rows': {
    file: 'events.csv',
    columns: ['at', 'account', 'license', 'event', 'product', 'site_url', 'site_external_id', 'client'],
    rows: [[2, '2026-09-01T00:00:00Z', 'thief', 'thief', 'issue', 'backup', '', '', '']],
  },
  'put /v1/admin/settings': { issuer: { name: 'thief', address: [], tax_ids: [], support: null }, series: 'X' },
}

export const nameOf = (route: Route): string => `${route.method} ${route.path}`
export const hasId = (route: Route): boolean => route.path.includes('{')

/** One route, asked by a key: with each of the ids where it takes one. */
export async function* ask(
  of: TwoAccounts,
  route: Route,
  key: string,
  url = of.world.url,
): AsyncGenerator<{ path: string; answer: Answer; text: string }> {
  const paths = hasId(route) ? of.ids.map((id) => route.path.replace(/\{\w+\}/g, id)) : [route.path]
  for (const path of paths) {
    const body = route.body === undefined ? undefined : (BODIES[nameOf(route)] ?? {})
    const response = await fetch(url + path, {
      method: route.method.toUpperCase(),
      headers: { Authorization: `Bearer ${key}`, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const bytes = await response.text()
    const json = /json/.test(response.headers.get('content-type') ?? '')
    const answer = { status: response.status, body: json ? JSON.parse(bytes) : bytes, headers: response.headers }
    yield { path, answer, text: `${JSON.stringify([...response.headers])}\n${bytes}` }
  }
}

export const leaks = (of: TwoAccounts, text: string): string[] => of.secrets.filter((secret) => text.includes(secret))

/** The other account's call with one filter is told apart by this: its own id, compared for equality. */
const OWN_ID = /(?:\w+\.)?(?:account_)?id = $/

/** A transaction in which every comparison with the caller's own account id holds for every row. */
export function withoutScoping(tx: Tx, accountId: string): Tx {
  const rewrite = (strings: TemplateStringsArray, values: unknown[]): Prisma.Sql => {
    const sql = Prisma.sql(strings, ...values)
    const texts = [...sql.strings]
    sql.values.forEach((value, index) => {
      const column = value === accountId ? OWN_ID.exec(texts[index]!) : null
      if (!column) return
      texts[index] = `${texts[index]!.slice(0, column.index)}(true OR ${column[0]}`
      texts[index + 1] = texts[index + 1]!.replace(/^::uuid/, '::uuid)')
    })
    return new Prisma.Sql(texts, [...sql.values])
  }
  return new Proxy(tx, {
    get(target, name) {
      if (name !== '$queryRaw' && name !== '$executeRaw') return Reflect.get(target, name, target)
      return (strings: TemplateStringsArray, ...values: unknown[]) => {
        // The account that row-level security sees is no scoping of the code's own.
        return target[name](rewrite(strings, values))
      }
    },
  })
}

export interface Unscoped {
  readonly url: string
  close(): Promise<void>
}

/** The API with its own scoping switched off, reading account data through the given role. */
export async function hostUnscoped({ world }: TwoAccounts, role: ProcessDatabase): Promise<Unscoped> {
  const db: ProcessDatabase = {
    ...world.apiDb,
    withAccount: (accountId, work) => role.withAccount(accountId, (tx) => work(withoutScoping(tx, accountId))),
  }
  const waiter = createActionWaiter(world.database.apiUrl, () => {})
  const services: Services = {
    db,
    clock: world.ports.clock,
    waiter,
    log: pino({ level: 'silent' }),
    publicUrl: world.url,
    files: world.ports.files,
    stripe: world.ports.stripe,
    secrets: createSecrets('a test secret that is long enough to be one'),
    relay: { offer: () => {}, drain: async () => {} },
    queueTrouble: () => null,
    verifyWebhook: () => null,
  }
  const server = createApp({ services, rateLimitPerMinute: 1_000_000 }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((done) => server.close(done))
      server.closeAllConnections()
      await Promise.all([closed, waiter.close()])
    },
  }
}

export const accountRoutes = routes.filter((route) => route.audience === 'account')
export const operatorRoutes = routes.filter((route) => route.audience === 'operator')
