// The functions that run as their owner: what the API role cannot make them do.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'

describe('functions that run as the owner', () => {
  let database: TestDatabase
  let superuser: pg.Client
  let api: pg.Client

  beforeAll(async () => {
    database = await createTestDatabase()
    superuser = new pg.Client({ connectionString: database.superuserUrl })
    api = new pg.Client({ connectionString: database.apiUrl })
    await Promise.all([superuser.connect(), api.connect()])
    // Harder than it is: even if the API role could make temporary tables, they must not stand in for ours.
    await superuser.query(`GRANT TEMPORARY ON DATABASE ${database.name} TO perdiem_api`)
  })
  afterAll(async () => {
    await Promise.all([superuser.end(), api.end()])
    await database.drop()
  })

  it('name where they look, with temporary tables last, every one of them', async () => {
    const { rows } = await superuser.query(`
      SELECT proname, proconfig FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
      WHERE prosecdef AND nspname = 'public' ORDER BY proname`)
    expect(rows.map((row) => row.proname)).toEqual([
      'accept_action',
      'add_price',
      'analyze_imports',
      'begin_import',
      'find_api_key',
      'oldest_undone_job_s',
      'rebuild_queue',
      'receive_stripe_event',
      'redrive_job',
      'takes_import_rows',
    ])
    for (const row of rows) expect(row.proconfig).toEqual(['search_path=pg_catalog, public, pg_temp'])
  })

  it('each is for those who need it, and for nobody else', async () => {
    const { rows } = await superuser.query(`
      SELECT proname, ARRAY(
        SELECT rolname::text FROM pg_roles
        WHERE rolname LIKE 'perdiem\\_%' AND rolname <> 'perdiem_owner'
          AND has_function_privilege(oid, p.oid, 'EXECUTE')
        ORDER BY 1) AS by, has_function_privilege('public', p.oid, 'EXECUTE') AS everybody
      FROM pg_proc p WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY proname`)
    const api = { by: ['perdiem_api'], everybody: false }
    expect(rows).toEqual([
      { proname: 'accept_action', ...api },
      { proname: 'add_price', ...api, by: ['perdiem_api', 'perdiem_worker'] },
      { proname: 'analyze_imports', by: ['perdiem_worker'], everybody: false },
      { proname: 'begin_import', ...api },
      { proname: 'find_api_key', ...api },
      { proname: 'oldest_undone_job_s', ...api },
      { proname: 'rebuild_queue', ...api },
      { proname: 'receive_stripe_event', ...api },
      { proname: 'redrive_job', ...api },
      { proname: 'takes_import_rows', ...api },
    ])
  })

  it('a temporary table of the caller does not stand in for ours', async () => {
    await api.query(
      'CREATE TEMP TABLE stripe_events (id text PRIMARY KEY, type text, object_id text, received_at timestamptz)',
    )
    await api.query('GRANT ALL ON pg_temp.stripe_events TO public')
    await api.query(`SELECT receive_stripe_event('evt_1', 'invoice.paid', 'in_1', '2026-10-01Z', gen_random_uuid())`)
    expect((await api.query('SELECT * FROM pg_temp.stripe_events')).rows).toEqual([])
    expect((await superuser.query('SELECT id FROM public.stripe_events')).rows).toEqual([{ id: 'evt_1' }])
  })

  it('only through them does the API stage a job or record an action; it redrives only as an operator', async () => {
    for (const sql of [
      `INSERT INTO staged_jobs (id, name, payload, key)
       VALUES (gen_random_uuid(), 'payments.charge-invoice', '{}', 'x')`,
      `INSERT INTO actions (id, account_id, kind, input, actor, accepted_at)
       VALUES (gen_random_uuid(), gen_random_uuid(), 'license.issue', '{}', 'x', '2026-10-01Z')`,
      `UPDATE staged_jobs SET finished_at = NULL`,
    ]) {
      await expect(api.query(sql), sql).rejects.toMatchObject({ code: '42501' })
    }
    const { rows } = await superuser.query(`
      INSERT INTO staged_jobs (id, name, payload, key, outcome, finished_at)
      VALUES (gen_random_uuid(), 'x.y', '{}', 'k', 'dead', '2026-10-01Z') RETURNING id`)
    const verdict = async () => (await api.query('SELECT redrive_job($1) AS v', [rows[0].id])).rows[0].v
    expect(await verdict()).toBe('unknown')
    await api.query('BEGIN')
    await api.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    expect([await verdict(), await verdict()]).toEqual(['redriven', 'not_dead'])
    await api.query('COMMIT')
  })

  it('everything undone is told again, and nothing that is done, if an operator asks', async () => {
    await superuser.query('DELETE FROM staged_jobs')
    await superuser.query(`
      INSERT INTO staged_jobs (id, name, payload, key, next_at, outcome, finished_at)
      SELECT gen_random_uuid(), 'x.y', '{}', key, now() + interval '1 hour', outcome,
             CASE WHEN outcome = 'done' THEN now() END
      FROM (VALUES ('one', NULL), ('two', NULL), ('three', 'done')) AS given (key, outcome)`)
    const told = async () => (await api.query('SELECT rebuild_queue() AS told')).rows[0].told
    const due = async () =>
      (await superuser.query(`SELECT key FROM staged_jobs WHERE next_at < now() + interval '1 minute' ORDER BY 1`)).rows
    expect([await told(), await due()]).toEqual([0, []])
    await api.query('BEGIN')
    await api.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    expect(await told()).toBe(2)
    await api.query('COMMIT')
    expect(await due()).toEqual([{ key: 'one' }, { key: 'two' }])
  })

  it('an action asked for again by its id, because its answer was lost, is the same one', async () => {
    const [account, other, action] = [randomUUID(), randomUUID(), randomUUID()]
    await superuser.query(
      `INSERT INTO accounts (id, name, currency, timezone, bill_from, created_at)
       SELECT one, 'A', 'usd', 'UTC', '2026-10-01', '2026-10-01Z' FROM unnest($1::uuid[]) AS one`,
      [[account, other]],
    )
    const accept = async (by: string) =>
      (
        await api.query(
          `SELECT verdict, action_id AS id FROM accept_action(
             $1, $2, 'license.issue', '{}', 'test', '2026-10-02Z', gen_random_uuid(), NULL, '\\x00')`,
          [by, action],
        )
      ).rows[0]
    expect([await accept(account), await accept(account)]).toEqual([
      { verdict: 'accepted', id: action },
      { verdict: 'accepted', id: action },
    ])
    await expect(accept(other)).rejects.toThrow(/actions_pkey/)
    const { rows } = await superuser.query('SELECT count(*)::int AS n FROM staged_jobs WHERE account_id = $1', [
      account,
    ])
    expect(rows).toEqual([{ n: 1 }])
  })

  it('an import is begun by an operator, once, and one at a time', async () => {
    const add = async (status: string) => {
      const { rows } = await superuser.query(
        `INSERT INTO imports (id, bill_from, status, actor, created_at, ended_at)
         VALUES (gen_random_uuid(), '2026-10-01', $1, 'test', now(), $2) RETURNING id`,
        [status, ['done', 'refused'].includes(status) ? '2026-10-01Z' : null],
      )
      return rows[0].id as string
    }
    const [first, second, ended] = [await add('receiving'), await add('receiving'), await add('refused')]
    const jobs = [randomUUID(), randomUUID()]
    const begin = async (id: string, job = randomUUID()) =>
      (await api.query('SELECT begin_import($1, $2) AS v', [id, job])).rows[0].v
    const statuses = async () =>
      (await superuser.query('SELECT status FROM imports ORDER BY array_position($1, id)', [[first, second, ended]]))
        .rows
    expect(await begin(first)).toBe('unknown')
    await api.query('BEGIN')
    await api.query(`SELECT set_config('perdiem.operator', 'on', true)`)
    expect(await begin(first, jobs[0])).toBe('begun')
    const verdicts = [await begin(first), await begin(second), await begin(ended), await begin(randomUUID())]
    expect(verdicts).toEqual(['not_receiving', 'busy', 'not_receiving', 'unknown'])
    await api.query('COMMIT')
    expect(await begin(second)).toBe('unknown')
    expect(await statuses()).toEqual([{ status: 'applying' }, { status: 'receiving' }, { status: 'refused' }])
    const { rows } = await superuser.query(
      `SELECT id, name, payload, key, due_at FROM staged_jobs WHERE name LIKE 'imports.%'`,
    )
    const job = { name: 'imports.apply-import', payload: { import: first }, key: first, due_at: null }
    expect(rows).toEqual([{ id: jobs[0], ...job }])
  })

  it('ids of a business instant are in its order, and no two are one', async () => {
    const { rows } = await superuser.query(`
      SELECT uuid_v7('2026-10-01T12:00:00.123Z'::timestamptz + n * interval '1 millisecond') AS id
      FROM generate_series(0, 300) AS n`)
    const ids = rows.map((row) => row.id as string)
    expect(ids).toEqual([...ids].sort())
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const milliseconds = Number.parseInt(ids[0]!.replaceAll('-', '').slice(0, 12), 16)
    expect(new Date(milliseconds)).toEqual(new Date('2026-10-01T12:00:00.123Z'))
  })
})
