// Splits a whole amount so that the parts add up to it again: largest remainder (domain.md, Evidence).

export interface Weighted {
  readonly id: string
  /** Not negative. */
  readonly weight: bigint
}

/** Allots an amount by weight. What rounding leaves over goes to the largest remainders, ties by id. */
export function allot(amount: bigint, parts: readonly Weighted[]): Map<string, bigint> {
  const sum = parts.reduce((total, part) => total + part.weight, 0n)
  const shares = new Map<string, bigint>()
  if (sum === 0n) return shares
  const sign = amount < 0n ? -1n : 1n
  const whole = amount * sign
  const ranked = parts
    .map((part) => ({ id: part.id, share: (whole * part.weight) / sum, rest: (whole * part.weight) % sum }))
    .sort((a, b) => (a.rest !== b.rest ? (a.rest > b.rest ? -1 : 1) : a.id < b.id ? -1 : 1))
  let left = whole - ranked.reduce((total, part) => total + part.share, 0n)
  for (const part of ranked) {
    const extra = left > 0n ? 1n : 0n
    shares.set(part.id, (part.share + extra) * sign)
    left -= extra
  }
  return shares
}
