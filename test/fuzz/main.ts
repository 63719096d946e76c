// npm run fuzz: as many random histories as wished, counted by the jobs and by the naive count. Starts a PostgreSQL of
// its own and leaves nothing behind. Exits 0 only if the two agree about every day, line and total.
import { randomInt, randomUUID } from 'node:crypto'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { release } from '../../apps/release.ts'
import { addressFor, bootstrapDatabase, createDatabase, ROLES } from '../../apps/sandbox/bootstrap.ts'
import { deleteHome } from '../../apps/sandbox/postgres-place.ts'
import { startPostgres } from '../../apps/sandbox/postgres.ts'
import { tellHistory } from '../support/naive/history.ts'
import { explain, replay, runCampaign, type Report } from './campaign.ts'
import { openLane, type Lane } from './drive.ts'

const HELP = `npm run fuzz -- [--histories N] [--seed S] [--only K] [--lanes L]

  --histories N  how many random histories to count (default 10000)
  --seed S       which ones: the same seed gives the same histories (default: any)
  --only K       history number K of the seed alone, told in full
  --lanes L      how many databases to work in at once (default 2)`

/** What is lost when the machine stops is of no interest here; speed is. */
const CARELESS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }
const SHOWN = 3

const wholeNumber = (name: string, text: string, least: number): number => {
  const number = Number(text)
  if (!Number.isInteger(number) || number < least || number >= 2 ** 32) {
    console.error(`--${name} is to be a whole number of at least ${least}, not ${text}\n\n${HELP}`)
    process.exit(2)
  }
  return number
}

function options() {
  const text = { type: 'string' } as const
  const known = { histories: text, seed: text, only: text, lanes: text, help: { type: 'boolean', short: 'h' } } as const
  try {
    const { values } = parseArgs({ options: known })
    if (values.help) {
      console.log(HELP)
      process.exit(0)
    }
    return {
      histories: wholeNumber('histories', values.histories ?? '10000', 1),
      seed: wholeNumber('seed', values.seed ?? String(randomInt(2 ** 31)), 0),
      only: values.only === undefined ? null : wholeNumber('only', values.only, 0),
      lanes: wholeNumber('lanes', values.lanes ?? '2', 1),
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exit(2)
  }
}

async function openLanes(superuserUrl: string, count: number): Promise<Lane[]> {
  const passwords = { ownerPassword: randomUUID(), apiPassword: randomUUID(), workerPassword: randomUUID() }
  await release(await bootstrapDatabase(superuserUrl, { database: 'perdiem_template', ...passwords }))
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  const lanes: Lane[] = []
  for (let n = 0; n < count; n += 1) {
    const name = `lane_${n}`
    await createDatabase(client, name, 'perdiem_template')
    const inside = new URL(superuserUrl)
    inside.pathname = `/${name}`
    const workerUrl = addressFor(superuserUrl, ROLES.worker, passwords.workerPassword, name)
    lanes.push(await openLane({ superuserUrl: inside.href, workerUrl }))
  }
  await client.end()
  return lanes
}

function tellReport(report: Report, seconds: number): void {
  console.log(`${report.histories} histories, ${report.licenses} licenses, ${report.days} license-days in ${seconds} s`)
  const traits = [...report.traits].sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [trait, count] of traits) console.log(`  ${String(count).padStart(7)}  ${trait}`)
  // Few histories may not have what a rule is about.
  if (report.unnoticed.length > 0) console.log(`not tried hard enough to notice: ${report.unnoticed.join('; ')}`)
}

/** @returns how many histories differ */
async function run(lanes: readonly Lane[], { histories, seed, only }: ReturnType<typeof options>): Promise<number> {
  if (only !== null) {
    const difference = await replay(lanes[0]!, seed, only)
    console.log(tellHistory(difference.history))
    console.log(difference.found.length === 0 ? 'No difference.' : await explain(lanes[0]!, difference))
    return Math.min(1, difference.found.length)
  }
  const started = performance.now()
  let told = 0
  const progress = (done: number, differing: number): void => {
    // Twenty lines say it all; a difference is told at once.
    const due = Math.floor((done * 20) / histories) + differing
    if (due > told) console.log(`${String(done).padStart(7)} of ${histories} histories, ${differing} differences`)
    told = due
  }
  const report = await runCampaign({ seed, histories, lanes, progress })
  tellReport(report, Math.round((performance.now() - started) / 1000))
  for (const difference of report.differences.slice(0, SHOWN)) console.log(`\n${await explain(lanes[0]!, difference)}`)
  console.log(`\nseed ${seed}: ${report.differences.length === 0 ? 'no' : report.differences.length} differences`)
  return report.differences.length
}

const chosen = options()
console.log(`seed ${chosen.seed}`)
const home = await mkdtemp(join(tmpdir(), 'perdiem-fuzz-'))
// As root, PostgreSQL runs as another user, who can keep its data in there only if let through.
await chmod(home, 0o711)
const postgres = await startPostgres({ home, settings: CARELESS })
const stop = async (code: number): Promise<never> => {
  await postgres.stop()
  deleteHome(home)
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void stop(130))
let lanes: Lane[] = []
let code = 1
try {
  lanes = await openLanes(postgres.superuserUrl(), chosen.lanes)
  code = (await run(lanes, chosen)) === 0 ? 0 : 1
} catch (error) {
  console.error(error)
}
await Promise.all(lanes.map((lane) => lane.close()))
await stop(code)
