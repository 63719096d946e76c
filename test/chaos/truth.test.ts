// The oracle of the chaos runs, tried: a clean month shows nothing, and each thing that could be wrong is caught when
// it is. An oracle that cannot say no proves nothing.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createWorld, type World } from '../support/world.ts'
import { bite, TEETH, type BiteCase } from './truth/teeth.ts'
import { describeViolations, filesIn, snapshot, verify } from './truth/verify.ts'
import type { Sandbox } from './workload/sandbox.ts'
import { storm } from './workload/shapes.ts'
import { createWorkload, type Workload } from './workload/workload.ts'

/** One at a time: a world works its jobs where it stands. */
function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }
}

/** The world moves its clock by hand; at each stop what is due is done. */
function sandboxIn(world: World, turn: ReturnType<typeof inTurn>): Sandbox {
  return {
    now: async () => world.now().toISOString(),
    async moveClock(to) {
      await turn(async () => {
        await world.drain()
        await world.at(to)
        await world.tick()
      })
      return { clean: true }
    },
    async enterCard({ account, apiKey, number }) {
      await turn(() => world.card({ id: account, uuid: '', key: apiKey }, number))
    },
  }
}

describe('the truth about a month', () => {
  let folder: string
  let world: World
  let workload: Workload
  let truth: BiteCase
  let db: pg.Client

  beforeAll(async () => {
    // The world keeps its book and files in a folder of its own, in here.
    folder = await mkdtemp(join(tmpdir(), 'perdiem-truth-'))
    vi.stubEnv('TMPDIR', folder)
    world = await createWorld('2026-10-01T00:00:00Z')
    vi.unstubAllEnvs()
    const [home] = (await readdir(folder)).map((name) => join(folder, name))
    const options = { url: world.url, operatorKey: world.operatorKey, seed: 1, month: '2026-10' }
    const turn = inTurn()
    workload = createWorkload({ ...options, shape: storm(7, 5), sandbox: sandboxIn(world, turn) })
    // Nobody works in the background here: the world does when it is told to.
    const working = setInterval(() => void turn(() => world.drain()), 50)
    for (const step of workload.steps()) await step.run()
    clearInterval(working)
    const mails = world.mails.map((mail) => ({
      ...mail,
      attachments: mail.attachments.map(({ filename, content }) => ({ filename, bytes: content.length })),
    }))
    // The book alone, without the log that is still written to: so that copying it copies all of it.
    const book = join(folder, 'book.sqlite')
    new DatabaseSync(join(home!, 'stripe', 'stripe.sqlite')).prepare('vacuum into ?').run(book)
    db = new pg.Client({ connectionString: world.database.superuserUrl })
    await db.connect()
    truth = {
      mails,
      databaseUrl: world.database.superuserUrl,
      standInBook: book,
      files: filesIn(join(home!, 'files')),
      ledger: workload.ledger,
      earlier: await snapshot(world.database.superuserUrl),
    }
  })
  afterAll(async () => {
    await db.end()
    await world.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('is that nothing is wrong', async () => {
    expect(describeViolations(await verify(truth))).toBe('no violation')
  })

  it.each(TEETH.map((tooth) => [tooth.caughtBy, tooth.name, tooth] as const))(
    '%s: not that %s',
    async (_, __, tooth) => {
      const found = await bite(db, truth, tooth, folder)
      expect(found.map(({ invariant }) => invariant)).toContain(tooth.caughtBy)
    },
  )

  it('and is itself again after all that', async () => {
    expect(describeViolations(await verify(truth))).toBe('no violation')
  })
})
