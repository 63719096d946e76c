// A month of partners, one for each call that the jobs on an invoice's way make, each of whose jobs dies at that call.
import { crashing, pointsOf, recording, type CrashPoint } from './crash.ts'
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

/** Lives October to see which calls are made, and November with a death at each of them. */
export async function dieEverywhere(world: World, jobNames: readonly string[]): Promise<Death[]> {
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
      for (const point of pointsOf(job, calls)) {
        const mail = `partner${points.length}@partner.example`
        points.push({ point, account: await newPartner(carded, mail), mail, carded, fired: 0 })
      }
    }
  }
  await world.at('2026-12-01T00:00:00Z')
  await world.tick()
  await world.at('2026-12-03T00:00:00Z')
  await world.perform('invoices.finalize-all-invoices', { at: world.now().toISOString() })
  const fragile = new Map(
    points.map((one) => [
      `${one.account.uuid}.${one.point.job}`,
      crashing(world.ports, one.point, () => (one.fired += 1)),
    ]),
  )
  await workAll(world, (job) => fragile.get(`${job.account}.${job.name}`) ?? world.ports)
  return points
}
