// Chance that repeats: the same seeds give the same draws, on every machine.

export interface Random {
  /** 0 to n - 1. */
  below(n: number): number
  /** Both included. */
  between(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

const scramble = (word: number): number => {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

export function createRandom(...seeds: readonly number[]): Random {
  let state = seeds.reduce((word, seed) => scramble((word + Math.imul(seed + 1, 0x9e37_79b9)) >>> 0), 1)
  const next = (): number => {
    state = (state + 0x9e37_79b9) >>> 0
    return scramble(state) / 2 ** 32
  }
  const below = (n: number): number => Math.floor(next() * n)
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (probability) => next() < probability,
    pick: (from) => from[below(from.length)]!,
  }
}
