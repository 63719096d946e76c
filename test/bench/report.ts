// What the bench found, as one table.
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { median, perSecond, ratiosOf, seconds, type Paired } from './measure.ts'

export interface Row {
  readonly what: string
  readonly ours: string
  /** What it stands beside. */
  readonly floor: string
  readonly ratio: string
  readonly target: string
  /** Null: nothing is promised of it. */
  readonly ok: boolean | null
}

const span = (values: readonly number[], show: (value: number) => string): string =>
  values.length === 1
    ? show(values[0]!)
    : `${show(median(values))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`
const times = (ratio: number): string => `${ratio.toFixed(2)}×`
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`

/** Two ways of doing one thing, run beside one another. The ratio is the median of the pairs' ratios. */
export function pairRow(what: string, paired: Paired, atMost: number): Row {
  const ratios = ratiosOf(paired)
  return {
    what,
    ours: span(paired.ours, seconds),
    floor: span(paired.floor, seconds),
    ratio: span(ratios, times),
    target: `≤ ${atMost}×`,
    ok: median(ratios) <= atMost,
  }
}

/** One way at two sizes. */
export function growthRow(what: string, large: Paired, small: Paired, atMost: number): Row {
  const ratio = median(large.ours) / median(small.ours)
  return {
    what,
    ours: span(large.ours, seconds),
    floor: span(small.ours, seconds),
    ratio: times(ratio),
    target: `≤ ${atMost}×`,
    ok: ratio <= atMost,
  }
}

export function memoryRow(what: string, bytes: number, besideBytes: number, atMostMegabytes: number): Row {
  return {
    what,
    ours: megabytes(bytes),
    floor: megabytes(besideBytes),
    ratio: times(bytes / besideBytes),
    target: `< ${atMostMegabytes} MB`,
    ok: bytes < atMostMegabytes * 2 ** 20,
  }
}

export const sameRow = (what: string, ours: number, beside: number): Row => ({
  what,
  ours: String(ours),
  floor: String(beside),
  ratio: times(ours / beside),
  target: 'the same',
  ok: ours === beside,
})

/** Two rates, measured beside one another. */
export function atLeastRow(what: string, paired: Paired, atLeast: number): Row {
  const ratios = ratiosOf(paired)
  return {
    what,
    ours: span(paired.ours, perSecond),
    floor: span(paired.floor, perSecond),
    ratio: span(ratios, times),
    target: `≥ ${atLeast}×`,
    ok: median(ratios) >= atLeast,
  }
}

/** Nothing is promised: it is there to be known. Of several runs, their percentiles. */
export function endRow(
  what: string,
  { p50, p99, sustained }: { p50: readonly number[]; p99: readonly number[]; sustained: number },
): Row {
  const ours = `p50 ${span(p50, seconds)}, p99 ${span(p99, seconds)}`
  return { what, ours, floor: `${perSecond(sustained)} sustained`, ratio: '', target: '', ok: null }
}

export const unmeasuredRow = (what: string, why: string, target: string): Row => ({
  what,
  ours: 'not measured',
  floor: why,
  ratio: '',
  target,
  ok: null,
})

/** Events a second, from the command's start to its end. */
const RATE_MIN = 10_000

export function rateRow(what: string, events: number, paired: Paired): Row {
  const rate = (ms: number): string => `${Math.round((events * 1_000) / ms).toLocaleString('en')}/s`
  return {
    what,
    ours: `${span(paired.ours, seconds)}, ${rate(median(paired.ours))}`,
    floor: `${span(paired.floor, seconds)}, ${rate(median(paired.floor))}`,
    ratio: span(ratiosOf(paired), times),
    target: `≥ ${RATE_MIN.toLocaleString('en')}/s`,
    ok: (events * 1_000) / median(paired.ours) >= RATE_MIN,
  }
}

const COLUMNS = ['what', 'ours', 'floor', 'ratio', 'target', 'ok'] as const

type Cells = Record<(typeof COLUMNS)[number], string>

export function tableOf(rows: readonly Row[], judged: boolean): string {
  const verdict = ({ ok }: Row): string => (ok === null || !judged ? '' : ok ? 'yes' : 'MISSED')
  const cells = rows.map((row) => ({ ...row, ok: verdict(row) }))
  const head: Cells = { what: 'what', ours: 'ours', floor: 'floor', ratio: 'ratio', target: 'target', ok: 'ok?' }
  const widths = COLUMNS.map((column) => Math.max(...[head, ...cells].map((row) => row[column].length)))
  const line = (row: Cells): string =>
    COLUMNS.map((column, index) => row[column].padEnd(widths[index]!))
      .join('  ')
      .trimEnd()
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)].join('\n')
}

export function machine(postgres: string): string {
  const load = loadavg()
    .map((one) => one.toFixed(1))
    .join(' ')
  return (
    `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${megabytes(totalmem())}, load ${load}; ` +
    `Node ${process.versions.node}, PostgreSQL ${postgres} with its default settings, everything on this machine`
  )
}
