// Usage of one day counted the plain way, license by license. Shares nothing with the product.

export type Fact =
  | { readonly kind: 'issue'; readonly at: Date; readonly product: number; readonly site: number | null }
  | { readonly kind: 'stand'; readonly at: Date; readonly site: number | null }
  | { readonly kind: 'revoke'; readonly at: Date }

interface Life {
  readonly product: number
  readonly issued: number
  /** Infinity: never. */
  readonly revoked: number
  /** Where it stands from when on, in the order it was told. */
  readonly stands: readonly { at: number; site: number | null }[]
}

function lifeOf(facts: readonly Fact[]): Life {
  const life = { product: -1, issued: 0, revoked: Infinity, stands: [] as { at: number; site: number | null }[] }
  for (const fact of facts) {
    const at = fact.at.getTime()
    if (fact.kind === 'issue') Object.assign(life, { product: fact.product, issued: at })
    if (fact.kind === 'revoke') life.revoked = at
    else life.stands.push({ at, site: fact.site })
  }
  return life
}

/** Days, peak, and assigned and unassigned at the day's end, per product that has any. */
export function naiveCount(lives: readonly (readonly Fact[])[], startsAt: Date, endsAt: Date) {
  const [start, end] = [startsAt.getTime(), endsAt.getTime()]
  const all = lives.map(lifeOf)
  return [...new Set(all.map((life) => life.product))].sort().flatMap((product) => {
    const mine = all.filter((life) => life.product === product)
    // Both ends included: opened before the day ended, and closed not before it began.
    const days = mine.filter((life) => life.issued < end && life.revoked >= start).length
    if (days === 0) return []
    const levelAt = (instant: number): number =>
      mine.filter((life) => life.issued <= instant && instant < life.revoked).length
    const moments = [start, ...mine.map((life) => life.issued)].filter((at) => at >= start && at < end)
    const atEnd = mine.filter((life) => life.issued < end && life.revoked >= end)
    const assigned = atEnd.filter((life) => life.stands.filter((stand) => stand.at < end).at(-1)!.site !== null).length
    return [{ product, days, peak: Math.max(...moments.map(levelAt)), assigned, unassigned: atEnd.length - assigned }]
  })
}
