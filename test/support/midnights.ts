// Time that goes by as the sandbox's clock moves it: a tick at each local midnight, and nothing left undone.
import { dateAt, dayPlus, startOf } from './naive/calendar.ts'
import type { World } from './world.ts'

function nextMidnight(now: number, zone: string): number {
  // Where a date returns its start may lie behind us already.
  for (let day = dateAt(now, zone); ; day = dayPlus(day, 1)) {
    const start = startOf(day, zone)
    if (start > now) return start
  }
}

/** Lives up to an instant. Work that is due at an instant of its own on the way is found by the next tick. */
export async function liveUntil(world: World, zones: readonly string[], to: string): Promise<void> {
  const end = Date.parse(to)
  for (;;) {
    const next = Math.min(...zones.map((zone) => nextMidnight(world.now().getTime(), zone)))
    if (next > end) break
    await world.at(new Date(next).toISOString())
    await world.tick()
  }
  await world.at(to)
  await world.drain()
}
