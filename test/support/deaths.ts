// A month of partners, one for each call that the jobs on an invoice's way make, each of whose jobs dies at that call,
// or stops there while another worker does it all.
import { workStaged } from '../../apps/adapters/outbox.ts'
import type { Ports } from '../../jobs/kit/ports.ts'
import { crashing, pointsOf, recording, stopping, type CrashPoint } from './crash.ts'
import { closeOctober, issue } from './invoices.ts'
import { workAll } from './walk.ts'
import { createProduct, type TestAccount, type World } from './world.ts'

export interface Death {
  readonly point: CrashPoint
  readonly account: TestAccount
  readonly mail: string
  readonly carded: boolean
  /** How often it died. */
  fired: number
}

/** Ports that strike at a point. */
type Strike = (world: World, death: Death, stagedId: string) => Ports

export const dying: Strike = (world, one) => crashing(world.ports, one.point, () => (one.fired += 1))

/** Not in a transaction, where another worker would wait for its locks; nor where nothing is waited for. */
const canStop = ({ how, port }: CrashPoint): boolean => how !== 'commit' && port !== 'newId'

export const stopped: Strike = (world, one, id) =>
  stopping(
    world.ports,
    one.point,
    () => workStaged(id, world.db, world.ports),
    () => (one.fired += 1),
  )

/** Lives October to see which calls are made, and November with a strike at each of them. */
export async function strikeEverywhere(world: World, jobNames: readonly string[], strike: Strike): Promise<Death[]> {
  const points: Death[] = []
  await createProduct(world, 'backup', '10.00')
  const newPartner = async (carded: boolean, mail = 'model@partner.example'): Promise<TestAccount> => {
    const account = await world.account({ card_required: false, billing_email: mail })
    if (carded) await world.card(account)
    await issue(world, account, 'backup')
    return account
  }
  // One of each kind shows in October which calls are made; in November each of the others dies at one of them.
  const shown = new Map([
    [true, new Map<string, string[]>()],
    [false, new Map<string, string[]>()],
  ])
  const models = new Map([
    [(await newPartner(true)).uuid, true],
    [(await newPartner(false)).uuid, false],
  ])
  await closeOctober(world)
  await world.at('2026-11-03T00:00:00Z')
  await world.perform('invoices.finalize-all-invoices', { at: world.now().toISOString() })
  await workAll(world, ({ name, account }) => {
    const calls: string[] = []
    if (jobNames.includes(name)) shown.get(models.get(account!)!)!.set(name, calls)
    return recording(world.ports, calls)
  })
  for (const [carded, jobs] of shown) {
    for (const [job, calls] of jobs) {
      // Without a card it is the customer and the giving up that differ.
      if (!carded && !job.startsWith('payments.')) continue
      for (const point of pointsOf(job, calls).filter((one) => strike === dying || canStop(one))) {
        const mail = `partner${points.length}@partner.example`
        points.push({ point, account: await newPartner(carded, mail), mail, carded, fired: 0 })
      }
    }
  }
  await world.at('2026-12-01T00:00:00Z')
  await world.tick()
  await world.at('2026-12-03T00:00:00Z')
  await world.perform('invoices.finalize-all-invoices', { at: world.now().toISOString() })
  const fragile = new Map<Death, Ports>()
  await workAll(world, (job) => {
    const one = points.find(({ account, point }) => account.uuid === job.account && point.job === job.name)
    if (!one) return world.ports
    const ports = fragile.get(one) ?? strike(world, one, job.id)
    fragile.set(one, ports)
    return ports
  })
  return points
}
