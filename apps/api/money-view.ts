/** Money at the edge: an integer of minor units, which a JSON number holds exactly up to nine quadrillion. */
export function moneyView(amount: bigint, currency: string): { amount: number; currency: string } {
  if (amount > BigInt(Number.MAX_SAFE_INTEGER) || amount < BigInt(Number.MIN_SAFE_INTEGER)) {
    throw new RangeError(`an amount too large to show: ${amount}`)
  }
  return { amount: Number(amount), currency }
}

export const instantView = (instant: Date | null): string | null => instant?.toISOString() ?? null
