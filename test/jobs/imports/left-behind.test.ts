// What must not be left behind: events of an import that is applied too late, a chunk beside one whose answer was lost,
// rows that come while an import begins, and a month that closes while its price is being set.
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { catalog } from '../../../jobs/catalog.ts'
import { applyImport, lookAt, runImport, sendFiles, uuidOf } from '../../support/imports.ts'
import { dueJobs } from '../../support/walk.ts'
import { waitUntil } from '../../support/wait.ts'
import { createProduct, createWorld, type World } from '../../support/world.ts'
import { accountRow, eventRow, filesWith } from './support.ts'

let world: World
beforeEach(async () => {
  world = await createWorld('2026-11-20T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
})
afterEach(() => world.close())

const one = filesWith({ accounts: [accountRow('a')], events: [eventRow('2026-10-01T10:00:00Z a L1 issue')] })
const rowsLeft = () => world.db.prisma.$queryRaw<{ n: number }[]>`
  SELECT ((SELECT count(*) FROM import_accounts) + (SELECT count(*) FROM import_events))::int AS n`

it('an import that is not applied within a day is refused, not applied without its events', async () => {
  const id = await sendFiles(world, one, '2026-10')
  await world.at('2026-11-21T13:00:00Z')
  await runImport(world, filesWith({ accounts: [accountRow('b')] }), '2026-10')
  const late = await world.call('POST', `/v1/admin/imports/${id}/apply`)
  expect([late.status, late.body.code]).toEqual([409, 'import_not_receiving'])
  expect((await lookAt(world, id)).status).toBe('refused')
  expect(await rowsLeft()).toEqual([{ n: 0 }])
})

it('a chunk that was applied, and buried because its answer was lost, takes no other with it', async () => {
  const accounts = Array.from({ length: 1_100 }, (_, n) => accountRow(`a${String(n).padStart(4, '0')}`))
  const id = await sendFiles(world, filesWith({ accounts }), '2026-10')
  await applyImport(world, id)
  const [prepare] = await dueJobs(world)
  await world.perform(prepare!.name, prepare!.payload)
  const chunks = (await dueJobs(world)).filter(({ name }) => name === 'imports.apply-chunk')
  expect(chunks.length).toBeGreaterThan(1)
  await world.perform(chunks[0]!.name, chunks[0]!.payload)
  await catalog.get('imports.apply-chunk')!.bury!(chunks[0]!.payload, world.ports, 'connection lost')
  await world.drain()
  const { body } = await world.call('GET', `/v1/admin/imports/${id}`)
  expect(body).toMatchObject({ status: 'done', accounts: { total: 1_100, done: 1_100, refused: 0 } })
})

/** Works in an open transaction of another session, until it is told to commit. */
async function meanwhile(url: string, sql: string, values: unknown[]): Promise<{ commit(): Promise<void> }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('BEGIN')
  await client.query(`SELECT set_config('perdiem.operator', 'on', true)`)
  await client.query(sql, values)
  return {
    async commit() {
      await client.query('COMMIT')
      await client.end()
    },
  }
}

const somebodyWaits = () =>
  waitUntil('somebody waits for a lock', async () => {
    const rows = await world.db.prisma.$queryRaw<unknown[]>`SELECT 1 FROM pg_locks WHERE NOT granted`
    return rows.length > 0
  })

it('rows on their way when an import begins are waited for; later ones are refused', async () => {
  const id = await sendFiles(world, one, '2026-10')
  const sending = await meanwhile(world.database.apiUrl, 'SELECT takes_import_rows($1)', [uuidOf(id)])
  const begun = applyImport(world, id)
  await somebodyWaits()
  await sending.commit()
  await begun
  const row = [2, '2026-10-01T10:00:00Z', 'a', 'L2', 'issue', 'backup', '', '', '']
  const columns = 'at account license event product site_url site_external_id client'.split(' ')
  const late = await world.call('POST', `/v1/admin/imports/${id}/rows`, {
    body: { file: 'events.csv', columns, rows: [row] },
  })
  expect([late.status, late.body.code]).toEqual([409, 'import_not_receiving'])
})

it('a month that closes while its list price is being set is billed by it', async () => {
  await applyImport(world, await sendFiles(world, one, '2026-10'))
  for (const name of ['imports.apply-import', 'imports.apply-chunk', 'usage.count-all-days', 'usage.count-day']) {
    for (const job of (await dueJobs(world)).filter((due) => due.name === name)) {
      await world.perform(job.name, job.payload)
      await world.db.prisma.$executeRaw`
        UPDATE staged_jobs SET finished_at = clock_timestamp(), outcome = 'done' WHERE id = ${job.id}::uuid`
    }
  }
  const setting = await meanwhile(
    world.database.workerUrl,
    `SELECT add_price(gen_random_uuid(), (SELECT id FROM products), NULL, 'usd', 'per_day', 20, '2026-10-01', NULL,
                      false, '2026-11-20T12:00:00Z', gen_random_uuid())`,
    [],
  )
  const closing = world.drain()
  await somebodyWaits()
  await setting.commit()
  await closing
  // 31 × 20.00 × 12/365 = 20.3835… → 20.38
  expect(await world.db.prisma.$queryRaw`SELECT total, number FROM invoices`).toEqual([
    { total: 2038n, number: 'PD-000001' },
  ])
})
