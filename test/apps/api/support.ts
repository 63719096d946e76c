// What the tests of the HTTP contract share.
import pg from 'pg'
import { expect } from 'vitest'
import { newId, toPublicId, type IdKind } from '../../../apps/adapters/ids.ts'
import { createKey } from '../../../apps/api/keys.ts'
import type { Role } from '../../../jobs/rules/gate.ts'
import { waitUntil } from '../../support/wait.ts'
import type { Answer, CallOptions, TestAccount, World } from '../../support/world.ts'

/** Runs SQL whom no policy holds back. */
export async function asSuperuser<Row extends pg.QueryResultRow>(
  world: World,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: world.database.superuserUrl })
  await client.connect()
  try {
    return (await client.query<Row>(sql, [...values])).rows
  } finally {
    await client.end()
  }
}

const WRITTEN = [
  'accounts',
  'api_keys',
  'products',
  'prices',
  'sites',
  'licenses',
  'past_assignments',
  'actions',
  'staged_jobs',
  'idempotency_records',
  'stripe_customers',
  'payment_methods',
  'stripe_events',
  'audit_entries',
  'imports',
  'import_accounts',
  'import_prices',
  'import_events',
  'import_targets',
  'import_failures',
]

/** How many rows each table has that a request could write to, and what they say. */
export async function recorded(world: World): Promise<Record<string, string>> {
  const columns = WRITTEN.map(
    (name) =>
      `(SELECT concat_ws(' ', count(*), md5(string_agg(t::text, '|' ORDER BY t::text))) FROM ${name} t) AS ${name}`,
  )
  const [row] = await asSuperuser<Record<string, string>>(world, `SELECT ${columns.join(', ')}`)
  return row!
}

/** Traces of the inside that no caller may see. */
const INSIDES =
  /\bat [\w.<> ]+\(|node:|node_modules|\.ts\b|\b(?:SELECT|INSERT|UPDATE|FROM) |[Pp]risma|[Pp]ostgres|\bpg_|stack/

export function expectProblem(answer: Answer, status: number, code: string, path?: string): void {
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body: { status, code } })
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json\b/)
  expect(answer.body).toMatchObject({
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.stringMatching(/./),
  })
  expect(answer.body.title).not.toBe('Error')
  expect(JSON.stringify(answer.body)).not.toMatch(INSIDES)
  if (path === undefined) return
  const errors = answer.body.errors as { path: string; message: string }[]
  expect(errors?.map((error) => error.path)).toContain(path)
  for (const error of errors) expect(error.message).toMatch(/./)
}

export interface RawRequest {
  readonly method?: string
  readonly path: string
  readonly key?: string | null
  readonly body?: string | Buffer
  readonly headers?: Record<string, string>
}

/** A request whose every byte is the test's own; nothing is added but the key. */
export async function send(world: World, raw: RawRequest): Promise<Answer> {
  const key = raw.key === undefined ? world.operatorKey : raw.key
  const response = await fetch(world.url + raw.path, {
    method: raw.method ?? 'POST',
    redirect: 'manual',
    headers: { ...(key !== null && { Authorization: `Bearer ${key}` }), ...raw.headers },
    ...(raw.body !== undefined && { body: typeof raw.body === 'string' ? raw.body : new Uint8Array(raw.body) }),
  })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: json && text !== '' ? JSON.parse(text) : text, headers: response.headers }
}

/** Another key of an account, with other roles. */
export async function keyOf(world: World, account: TestAccount, ...scopes: Role[]): Promise<string> {
  const made = await world.apiDb.withOperator((tx) =>
    createKey(tx, { accountId: account.uuid, name: scopes.join(), scopes, at: world.now() }),
  )
  return made.secret
}

/** Nobody's id of that kind. */
export const unknownId = (kind: IdKind): string => toPublicId(kind, newId())

/** Sends with Prefer: wait, works the jobs once they are there, and gives the answer. */
export async function waited(world: World, path: string, options: CallOptions & { wait?: number }): Promise<Answer> {
  let answered = false
  const headers = { ...options.headers, Prefer: `wait=${options.wait ?? 30}` }
  const answer = world.call('POST', path, { ...options, headers }).finally(() => (answered = true))
  await waitUntil('the action is staged', async () => answered || (await openJobs(world)) > 0)
  await world.drain()
  return await answer
}

export async function openJobs(world: World): Promise<number> {
  const rows = await world.db.prisma.$queryRaw<{ n: number }[]>`
    SELECT count(*)::int AS n FROM staged_jobs WHERE finished_at IS NULL AND due_at IS NULL`
  return rows[0]!.n
}

/** The account's licenses as the first page shows them. */
export async function licensesOf(world: World, account: TestAccount, query = ''): Promise<Answer['body']> {
  const answer = await world.call('GET', `/v1/licenses${query}`, { key: account.key })
  expect(answer.status).toBe(200)
  return answer.body
}

export async function sitesOf(world: World, account: TestAccount): Promise<Answer['body'][]> {
  return (await world.call('GET', '/v1/sites', { key: account.key })).body.data
}
