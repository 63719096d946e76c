// npm run bench: how fast the counting, the closing, the taking in and the accepting are, each beside the barest way to
// do the same in the same run. Starts a PostgreSQL of its own and leaves nothing behind. Exits 0 only if every target
// is met.
import { parseArgs } from 'node:util'
import { measureAccept } from './accept.ts'
import { measureClose, prepareClose } from './close.ts'
import { measureImport } from './import.ts'
import { openLab, type Lab } from './lab.ts'
import { say, seconds } from './measure.ts'
import { machine, pairRow, tableOf, type Row } from './report.ts'
import { measureBoth, measureScale, withSite } from './scale.ts'
import { shapesOf, type Shapes } from './shape.ts'
import { measureUsage, prepareUsage, type Measured } from './usage.ts'

const PARTS = ['usage', 'close', 'scale', 'import', 'accept'] as const
type Part = (typeof PARTS)[number]

const HELP = `npm run bench -- [PART ...] [--small] [--times N]

  PART      ${PARTS.join(', ')} (default: all of them)
  --small   a fiftieth of everything, to see that it works; no target is judged
  --times N how often each time is measured (default 3)`

const SMALL = 50
const USAGE_MAX = 3
const CLOSE_MAX = 2

interface Options {
  readonly parts: ReadonlySet<Part>
  readonly small: boolean
  readonly times: number
}

function options(): Options {
  try {
    const { values, positionals } = parseArgs({
      options: { small: { type: 'boolean' }, times: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
    if (values.help) {
      console.log(HELP)
      process.exit(0)
    }
    const unknown = positionals.find((one) => !PARTS.includes(one as Part))
    if (unknown !== undefined) throw new Error(`There is no part ${unknown}.`)
    const times = Number(values.times ?? '3')
    if (!Number.isInteger(times) || times < 1 || times > 100) throw new Error('--times is to be from 1 to 100.')
    const parts = positionals.length === 0 ? PARTS : (positionals as Part[])
    return { parts: new Set(parts), small: values.small ?? false, times }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
}

const usageRow = (shapes: Shapes, { paired }: Measured): Row =>
  pairRow(`count-day, ${sizeOf(shapes)}`, paired, USAGE_MAX)
const closeRow = (shapes: Shapes, { paired }: Measured): Row =>
  pairRow(`close-month, ${sizeOf(shapes)}`, paired, CLOSE_MAX)
const sizeOf = ({ full }: Shapes): string =>
  `${full.licenses.toLocaleString('en')} licenses of ${full.accounts.toLocaleString('en')} accounts`

async function run(lab: Lab, shapes: Shapes, { parts, small, times }: Options): Promise<Row[]> {
  const rows: Row[] = []
  if (parts.has('scale') || (parts.has('usage') && parts.has('close'))) {
    const full = await withSite(lab, shapes.full, (site, worker) => measureBoth(site, worker, times))
    rows.push(usageRow(shapes, full.usage), closeRow(shapes, full.close))
    if (parts.has('scale')) rows.push(...(await measureScale(lab, shapes, full, times)))
  } else if (parts.has('usage')) {
    const measure = withSite(lab, shapes.full, async (site, worker) => {
      await prepareUsage(site)
      return await measureUsage(site, worker, times)
    })
    rows.push(usageRow(shapes, await measure))
  } else if (parts.has('close')) {
    const measure = withSite(lab, shapes.full, async (site, worker) => {
      await prepareClose(site, false)
      return await measureClose(site, worker, times)
    })
    rows.push(closeRow(shapes, await measure))
  }
  if (parts.has('import')) rows.push(...(await measureImport(lab, shapes, times)))
  if (parts.has('accept')) rows.push(...(await measureAccept(lab, small, times)))
  return rows
}

const chosen = options()
const begun = performance.now()
const lab = await openLab()
const interrupt = (): void => void lab.stop().finally(() => process.exit(130))
process.once('SIGINT', interrupt)
process.once('SIGTERM', interrupt)
let rows: Row[]
try {
  console.log(machine(lab.version))
  rows = await run(lab, shapesOf(chosen.small ? SMALL : 1), chosen)
} finally {
  await lab.stop()
}
console.log(`\n${tableOf(rows, !chosen.small)}\n`)
console.log(`Median (least to most) of ${chosen.times}, ours and the floor in turn.`)
say(`took ${seconds(performance.now() - begun)}`)
const missed = chosen.small ? 0 : rows.filter(({ ok }) => ok === false).length
if (missed > 0) console.log(`${missed} of ${rows.length} missed.`)
process.exitCode = missed > 0 ? 1 : 0
