// Many histories, counted by the jobs and by the naive count, and where the two differ.
import type { History } from '../support/naive/history.ts'
import { tellHistory } from '../support/naive/history.ts'
import { BROKEN_LAWS } from '../support/naive/law.ts'
import { differences, statementOf, type Statement } from '../support/naive/statement.ts'
import type { Lane } from './drive.ts'
import { historyOf } from './generate.ts'
import { HISTORIES_PER_SCENE, sceneOf } from './scene.ts'
import { shrink } from './shrink.ts'
import { traitsOf, traitsOfScene } from './traits.ts'

export interface Difference {
  readonly seed: number
  readonly n: number
  readonly history: History
  readonly found: readonly string[]
}

export interface Report {
  readonly histories: number
  readonly licenses: number
  readonly days: number
  readonly differences: readonly Difference[]
  /** How many histories had what about them. */
  readonly traits: ReadonlyMap<string, number>
  /** Broken laws under which the naive count still agreed everywhere. */
  readonly unnoticed: readonly string[]
}

export interface Campaign {
  readonly seed: number
  readonly histories: number
  readonly lanes: readonly Lane[]
  /** Told after every scene. */
  readonly progress?: (histories: number, differences: number) => void
}

/** Enough to see a pattern by; more of the same is not worth the wait. */
const ENOUGH = 25

interface Tally {
  histories: number
  licenses: number
  days: number
  readonly differences: Difference[]
  readonly traits: Map<string, number>
  readonly unnoticed: Set<string>
}

export async function runCampaign({ seed, histories, lanes, progress }: Campaign): Promise<Report> {
  const unnoticed = new Set(BROKEN_LAWS.keys())
  const tally: Tally = { histories: 0, licenses: 0, days: 0, differences: [], traits: new Map(), unnoticed }
  let nextScene = 0
  const workLane = async (lane: Lane): Promise<void> => {
    while (nextScene * HISTORIES_PER_SCENE < histories && tally.differences.length < ENOUGH) {
      const scene = nextScene
      nextScene += 1
      const first = scene * HISTORIES_PER_SCENE
      try {
        await playScene(lane, seed, scene, Math.min(HISTORIES_PER_SCENE, histories - first), tally)
      } catch (error) {
        nextScene = Infinity
        throw new Error(`histories ${first} and following, of seed ${seed}`, { cause: error })
      }
      progress?.(tally.histories, tally.differences.length)
    }
  }
  // All lanes come to rest before a failure is told: nobody works on in a database that is dropped.
  const ends = await Promise.allSettled(lanes.map(workLane))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return { ...tally, unnoticed: [...unnoticed] }
}

async function playScene(lane: Lane, seed: number, n: number, count: number, tally: Tally): Promise<void> {
  const scene = sceneOf(seed, n)
  const first = n * HISTORIES_PER_SCENE
  const histories = Array.from({ length: count }, (_, nth) => historyOf(seed, first + nth, scene))
  const found = await lane.play(histories)
  const sceneTraits = traitsOfScene(scene)
  for (const [nth, history] of histories.entries()) {
    const expected = statementOf(history)
    const differing = differences(expected, found[nth]!)
    if (differing.length > 0) tally.differences.push({ seed, n: first + nth, history, found: differing })
    for (const trait of [...sceneTraits, ...traitsOf(history, scene, expected)]) {
      tally.traits.set(trait, (tally.traits.get(trait) ?? 0) + 1)
    }
    tally.histories += 1
    tally.licenses += history.licenses.length
    tally.days += history.licenses.length * scene.days.length
  }
  noticeBrokenLaws(histories, found, tally.unnoticed)
}

/** Who counts by a broken law must come to another result somewhere, or nobody would see it broken. */
function noticeBrokenLaws(histories: readonly History[], found: readonly Statement[], unnoticed: Set<string>): void {
  for (const name of unnoticed) {
    const law = BROKEN_LAWS.get(name)!
    const isNoticed = histories.some((history, n) => differences(statementOf(history, law), found[n]!).length > 0)
    if (isNoticed) unnoticed.delete(name)
  }
}

/** One history by its number, alone. */
export async function replay(lane: Lane, seed: number, n: number): Promise<Difference> {
  const history = historyOf(seed, n)
  const [found] = await lane.play([history])
  return { seed, n, history, found: differences(statementOf(history), found!) }
}

/** A difference for people: what to run, what differs, and the smallest history that still shows it. */
export async function explain(lane: Lane, { seed, n, history, found }: Difference): Promise<string> {
  const small = await shrink(history, async (candidates) => {
    const statements = await lane.play(candidates)
    return candidates.map((one, at) => differences(statementOf(one), statements[at]!).length > 0)
  })
  const [smallFound] = await lane.play([small])
  const remaining = differences(statementOf(small), smallFound!)
  return [
    `history ${n} of seed ${seed} in ${history.zone}: npm run fuzz -- --seed ${seed} --only ${n}`,
    ...found.slice(0, 5).map((line) => `  ${line}`),
    ...(found.length > 5 ? [`  … and ${found.length - 5} more`] : []),
    'made as small as it gets:',
    ...(remaining.length > 0 ? remaining.slice(0, 5) : ['(alone it agrees: the whole scene is needed)']).map(
      (line) => `  ${line}`,
    ),
    tellHistory(small),
  ].join('\n')
}
