// Times two ways of doing one thing in turn, so that a machine whose speed drifts slows both.
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds, or how many in a second, in the order in which they were measured. */
export type Times = readonly number[]

export interface Paired {
  readonly ours: Times
  readonly floor: Times
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Each run against the one beside it. */
export const ratiosOf = ({ ours, floor }: Paired): number[] => ours.map((ms, index) => ms / floor[index]!)

export const say = (line: string): void => void process.stderr.write(`  ${line}\n`)

export const seconds = (ms: number): string =>
  ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`

export const perSecond = (rate: number): string => `${Math.round(rate).toLocaleString('en')}/s`

/** Milliseconds a piece of work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

export interface Pair {
  readonly what: string
  readonly times: number
  /** Puts everything back, before each run; not timed. */
  reset(side: 'ours' | 'floor'): Promise<unknown>
  /** Both answer the milliseconds they took, or both how many they did in a second. */
  ours(): Promise<number>
  floor(): Promise<number>
  readonly show?: (value: number) => string
}

export async function alternate({ what, times, reset, ours, floor, show = seconds }: Pair): Promise<Paired> {
  const found = { ours: [] as number[], floor: [] as number[] }
  for (let run = 1; run <= times; run += 1) {
    await reset('floor')
    found.floor.push(await floor())
    await reset('ours')
    found.ours.push(await ours())
    say(`${what}, run ${run} of ${times}: ${show(found.ours.at(-1)!)}, floor ${show(found.floor.at(-1)!)}`)
    await delay(100)
  }
  return found
}
