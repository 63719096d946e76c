// When one license was active: from its issue or the end of a hold, until its revocation or the start of a hold.
import type { Hold, Instant, License } from './history.ts'
import type { Law } from './law.ts'

export interface Interval {
  readonly opens: Instant
  /** Infinity: never. */
  readonly closes: Instant
}

/** Holds as intervals, those that overlap or touch made one. */
function pauses(holds: readonly Hold[], law: Law): Interval[] {
  const all = holds
    .map(({ since, until }) => ({ opens: since, closes: until ?? Infinity }))
    .filter(({ opens, closes }) => closes > opens)
  const meet = (a: Interval, b: Interval): boolean =>
    law.touchingHoldsJoin ? a.opens <= b.closes && b.opens <= a.closes : a.opens < b.closes && b.opens < a.closes
  for (;;) {
    const pair = all.flatMap((a, n) => all.slice(n + 1).map((b) => [a, b] as const)).find(([a, b]) => meet(a, b))
    if (!pair) return all
    const [a, b] = pair
    const joined = { opens: Math.min(a.opens, b.opens), closes: Math.max(a.closes, b.closes) }
    all.splice(all.indexOf(a), 1)
    all.splice(all.indexOf(b), 1, joined)
  }
}

/** Every activation of a license. One may close in the instant it opens. */
export function activations(license: License, holds: readonly Hold[], law: Law): Interval[] {
  const paused = pauses(holds, law)
  const { issued } = license
  const revoked = license.revoked ?? Infinity
  const coversIssue = ({ opens, closes }: Interval): boolean => {
    if (closes <= issued || opens > issued) return false
    return opens === issued ? !law.holdFromIssueLeavesItsDay : law.holdFromBeforeIssueLeavesNothing
  }
  const openings = [
    ...(paused.some(coversIssue) ? [] : [issued]),
    ...paused.map(({ closes }) => closes).filter((end) => end >= issued && end <= revoked && end !== Infinity),
    ...(law.revokingWhilePausedAddsNothing || revoked === Infinity ? [] : [revoked]),
  ].filter((opens) => law.holdUntilRevocationOpens || opens < revoked || opens === issued)
  return openings.map((opens) => ({
    opens,
    closes: Math.min(revoked, ...paused.map((pause) => pause.opens).filter((since) => since >= opens)),
  }))
}

/** Whether a day is one of an activation's days: all local dates from its opening to its closing, both included. */
export function touches({ opens, closes }: Interval, start: Instant, end: Instant, law: Law): boolean {
  if (opens >= end || closes < start) return false
  if (closes === start && opens < start) return law.closingAtMidnightCounts && law.closingDayCounts
  if (closes < end && opens < start) return law.closingDayCounts
  return true
}
