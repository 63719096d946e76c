// Makes a history that differs smaller, one thing at a time, as long as it still differs.
import type { History } from '../support/naive/history.ts'

const without = <T>(all: readonly T[], n: number): T[] => all.filter((_, at) => at !== n)

/** Every history that is smaller by one thing. The zone, the months and the instant stay: candidates share a scene. */
function smaller(history: History): History[] {
  const { prices, licenses, holds, products } = history
  return [
    ...licenses.map((_, n) => ({
      ...history,
      licenses: without(licenses, n),
      holds: holds.map((hold) => ({
        ...hold,
        members: hold.members.filter((member) => member !== n).map((member) => (member > n ? member - 1 : member)),
      })),
    })),
    ...holds.map((_, n) => ({ ...history, holds: without(holds, n) })),
    ...prices.map((_, n) => ({ ...history, prices: without(prices, n) })),
    ...products
      .filter((name) => ![...licenses, ...prices].some(({ product }) => product === name))
      .map((name) => ({ ...history, products: products.filter((other) => other !== name) })),
    ...licenses.flatMap((license, n) =>
      license.revoked === null ? [] : [{ ...history, licenses: licenses.with(n, { ...license, revoked: null }) }],
    ),
    ...holds.flatMap((hold, n) =>
      hold.members.length < 2
        ? []
        : hold.members.map((_, at) => ({
            ...history,
            holds: holds.with(n, { ...hold, members: without(hold.members, at) }),
          })),
    ),
    ...prices.flatMap((price, n) =>
      price.endsOn === null ? [] : [{ ...history, prices: prices.with(n, { ...price, endsOn: null }) }],
    ),
    ...prices.flatMap((price, n) =>
      price.billWhilePaused ? [{ ...history, prices: prices.with(n, { ...price, billWhilePaused: false }) }] : [],
    ),
    ...(history.billFrom.endsWith('-01') ? [] : [{ ...history, billFrom: `${history.months[0]}-01` }]),
  ]
}

export async function shrink(
  history: History,
  stillDiffer: (candidates: readonly History[]) => Promise<boolean[]>,
): Promise<History> {
  let smallest = history
  for (;;) {
    const candidates = smaller(smallest)
    if (candidates.length === 0) return smallest
    const verdicts = await stillDiffer(candidates)
    const found = candidates.find((_, n) => verdicts[n])
    if (!found) return smallest
    smallest = found
  }
}
