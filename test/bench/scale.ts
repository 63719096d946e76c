// What a job costs as licenses grow: time, memory and statements.
import { measureClose, prepareClose, CLOSE } from './close.ts'
import type { Lab, Site } from './lab.ts'
import { growthRow, memoryRow, sameRow, type Row } from './report.ts'
import type { Shape, Shapes } from './shape.ts'
import { COUNT, measureUsage, prepareUsage, type Measured } from './usage.ts'
import { startWorker, type BenchWorker } from './worker.ts'
import type { Worked } from './program.ts'

const MEMORY_MAX_MB = 300
const GROWTH_MAX = 11

/** A database of a shape and a worker of its own. */
export async function withSite<T>(
  lab: Lab,
  shape: Shape,
  work: (site: Site, worker: BenchWorker) => Promise<T>,
): Promise<T> {
  const site = await lab.make(shape)
  const worker = startWorker(site.workerUrl)
  try {
    return await work(site, worker)
  } finally {
    await worker.stop()
    await site.drop()
  }
}

export interface Both {
  readonly usage: Measured
  readonly close: Measured
}

export async function measureBoth(site: Site, worker: BenchWorker, times: number): Promise<Both> {
  await prepareUsage(site)
  const usage = await measureUsage(site, worker, times)
  await prepareClose(site, true)
  return { usage, close: await measureClose(site, worker, times) }
}

/** Of the job of the most accounts; each job tells first how many it had. */
function statementsOf({ jobs }: Worked): number {
  const accounts = (reason: string): number => Number.parseInt(reason, 10)
  return jobs.toSorted((a, b) => accounts(b.reason) - accounts(a.reason))[0]!.statements
}

export async function measureScale(lab: Lab, shapes: Shapes, full: Both, times: number): Promise<Row[]> {
  const tenth = await withSite(lab, shapes.tenth, (site, worker) => measureBoth(site, worker, times))
  const sparse = await withSite(lab, shapes.sparse, (site, worker) => measureBoth(site, worker, 1))
  const few = await withSite(lab, shapes.few, (site, worker) => measureBoth(site, worker, 1))
  const lone = await withSite(lab, shapes.lone, async (site, worker) => {
    await prepareUsage(site)
    return await measureUsage(site, worker, 1)
  })
  const peak = (one: Both): number => one.close.last.peakBytes
  return [
    growthRow('count-day, 10 times the licenses and accounts', full.usage.paired, tenth.usage.paired, GROWTH_MAX),
    growthRow('close-month, 10 times the licenses and accounts', full.close.paired, tenth.close.paired, GROWTH_MAX),
    memoryRow('memory of both, 1000 times the licenses', peak(full), peak(few), MEMORY_MAX_MB),
    memoryRow('memory of count-day, all licenses in one account', lone.last.peakBytes, peak(few), MEMORY_MAX_MB),
    sameRow(`${COUNT.job}: statements, 10 times the licenses`, ...statements(tenth.usage, sparse.usage)),
    sameRow(`${CLOSE.job}: statements, 10 times the licenses`, ...statements(tenth.close, sparse.close)),
  ]
}

const statements = (large: Measured, small: Measured): [number, number] => [
  statementsOf(large.last),
  statementsOf(small.last),
]
