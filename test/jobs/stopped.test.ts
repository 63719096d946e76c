// A worker may be stopped at any call of a job, another take the job over and do it all, and the first come back: the
// same rows, the same money, the same file, and nothing noted twice.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stopped, strikeEverywhere, type Death } from '../support/deaths.ts'
import { bookCharges } from '../support/ledger.ts'
import { createWorld, type World } from '../support/world.ts'

const PIPELINE = [
  'payments.mirror-invoice',
  'payments.charge-invoice',
  'documents.render-invoice',
  'notifications.mail-invoice',
]

describe('a job that is stopped at any of its calls while another worker does it', () => {
  let world: World
  let points: Death[]
  beforeAll(async () => {
    world = await createWorld('2026-10-01T12:00:00Z')
    points = await strikeEverywhere(world, PIPELINE, stopped)
  })
  afterAll(() => world.close())

  const named = (uuid: string): string | undefined => {
    const found = points.find(({ account }) => account.uuid === uuid)?.point
    return found && `${found.job} ${found.call} ${found.port} ${found.how}`
  }

  it('each was stopped once', () => {
    expect(points.length).toBeGreaterThan(40)
    expect(points.filter(({ fired }) => fired !== 1).map(({ account }) => named(account.uuid))).toEqual([])
  })

  it('each invoice is charged once at most, and settled as it should be', async () => {
    const states = await world.db.prisma.$queryRaw<{ account: string; status: string; succeeded: number }[]>`
      SELECT s.account_id AS account, s.status, (
        SELECT count(*)::int FROM payments p WHERE p.invoice_id = s.invoice_id AND p.status = 'succeeded') AS succeeded
      FROM invoice_states s`
    const carded = new Map(points.map(({ account, carded }) => [account.uuid, carded]))
    const wrong = states.filter(({ account, status, succeeded }) => {
      const paid = carded.get(account)
      return paid !== undefined && (status !== (paid ? 'paid' : 'open') || succeeded !== (paid ? 1 : 0))
    })
    expect(wrong.map(({ account }) => named(account))).toEqual([])
    const charges = (await bookCharges(world)).filter(({ status }) => status === 'succeeded')
    const perCustomer = [...Map.groupBy(charges, ({ customer }) => customer).values()]
    // One of them is the model's, who paid October, too.
    expect(perCustomer.filter((list) => list.length > 1)).toHaveLength(1)
  })

  it('nothing is noted twice', async () => {
    const twice = await world.db.prisma.$queryRaw<{ account: string; action: string }[]>`
      SELECT account_id AS account, action FROM audit_entries
      WHERE action LIKE 'invoice.%' OR action LIKE 'payment.%'
      GROUP BY account_id, action, subject HAVING count(*) > 1`
    expect(twice.map(({ account, action }) => `${action}: ${named(account)}`)).toEqual([])
  })

  it('each file is the one whose bytes are stored', async () => {
    const documents = await world.db.prisma.$queryRaw<{ account: string; file: string; sha256: string }[]>`
      SELECT account_id AS account, file, sha256 FROM documents`
    expect(documents.length).toBeGreaterThan(40)
    const wrong: unknown[] = []
    for (const { account, file, sha256 } of documents) {
      const bytes = await world.ports.files.get(file)
      if (createHash('sha256').update(bytes).digest('hex') !== sha256) wrong.push(named(account))
    }
    expect(wrong).toEqual([])
  })
})
