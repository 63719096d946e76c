import { setTimeout as delay } from 'node:timers/promises'

/** Waits until a condition holds; fails, naming it, when it does not within the bound. */
export async function waitUntil(what: string, holds: () => boolean | Promise<boolean>, bound = 20_000): Promise<void> {
  const end = performance.now() + bound
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Still not so after ${bound} ms: ${what}`)
    await delay(25)
  }
}
