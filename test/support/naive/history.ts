// A history: one account's prices, licenses and holds, as plain data. The naive count reads nothing else.

/** Milliseconds since 1970. */
export type Instant = number
/** `YYYY-MM-DD`. Sorts as text. */
export type Day = string
/** `YYYY-MM`. */
export type Month = string

export interface Price {
  readonly product: string
  readonly currency: string
  /** The account's own; else the list's. */
  readonly own: boolean
  /** Major units a month, at most six decimals. */
  readonly monthly: string
  readonly from: Day
  /** First day it no longer holds. */
  readonly endsOn: Day | null
  readonly billWhilePaused: boolean
}

export interface License {
  readonly product: string
  readonly issued: Instant
  readonly revoked: Instant | null
}

export interface Hold {
  readonly since: Instant
  readonly until: Instant | null
  /** Places in the list of licenses. */
  readonly members: readonly number[]
}

export interface History {
  readonly zone: string
  /** Whole months, in order, without a gap. */
  readonly months: readonly Month[]
  /** When it is looked at: after the last month's end. */
  readonly now: Instant
  readonly billFrom: Day
  readonly currency: string
  readonly products: readonly string[]
  readonly prices: readonly Price[]
  readonly licenses: readonly License[]
  readonly holds: readonly Hold[]
}

/** For people: instants as text, on few lines. */
export function tellHistory(history: History): string {
  const text = (at: Instant | null): string | null => (at === null ? null : new Date(at).toISOString())
  const rows = (name: string, all: readonly object[]): string =>
    `  "${name}": [${all.map((one) => `\n    ${JSON.stringify(one)}`).join(',')}]`
  const { prices, licenses, holds, now, ...rest } = history
  return [
    `{\n  ${JSON.stringify({ ...rest, now: text(now) }).slice(1, -1)}`,
    rows('prices', prices),
    rows(
      'licenses',
      licenses.map((one) => ({ ...one, issued: text(one.issued), revoked: text(one.revoked) })),
    ),
    `${rows(
      'holds',
      holds.map((one) => ({ ...one, since: text(one.since), until: text(one.until) })),
    )}\n}`,
  ].join(',\n')
}
