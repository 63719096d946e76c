// The functions that run as their owner: what the API role cannot make them do.
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
      'find_api_key',
      'oldest_undone_job_s',
      'receive_stripe_event',
      'redrive_job',
    ])
    for (const row of rows) expect(row.proconfig).toEqual(['search_path=pg_catalog, public, pg_temp'])
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
})
