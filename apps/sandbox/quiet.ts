// Waits until nothing is left to do: no job due, no webhook on its way.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessDatabase } from '../adapters/database.ts'
import { wallMs } from '../adapters/clock.ts'

/** A look costs a fraction of a millisecond of PostgreSQL's time. */
const LOOK_EVERY_MS = 8
/** When no job has ended for so long, work is stuck: somebody must look, and the answer says at what. */
const PATIENCE_MS = 120_000

export class NotQuiet extends Error {
  override name = 'NotQuiet'
}

interface Look {
  readonly open: number
  readonly ended: number
}

/**
 * @param pendingWebhooks how many the stand-in has still to deliver
 * @throws NotQuiet naming what is still undone
 */
export async function waitForQuiet(
  db: ProcessDatabase,
  now: Date,
  pendingWebhooks: () => Promise<number>,
): Promise<void> {
  let until = wallMs() + PATIENCE_MS
  let lastEnded = -1
  for (;;) {
    const before = await look(db, now)
    if (before.ended !== lastEnded) until = wallMs() + PATIENCE_MS
    lastEnded = before.ended
    if (before.open === 0 && (await pendingWebhooks()) === 0) {
      // Nothing may have come and gone between the two looks: it could have sent another webhook.
      const after = await look(db, now)
      if (after.open === 0 && after.ended === before.ended) return
    } else if (wallMs() > until) {
      throw new NotQuiet(
        `no job has ended for ${PATIENCE_MS / 1_000} s, and there is still to do: ${await undone(db, now)}`,
      )
    }
    await sleep(LOOK_EVERY_MS)
  }
}

async function look(db: ProcessDatabase, now: Date): Promise<Look> {
  const rows = await db.prisma.$queryRaw<Look[]>`
    SELECT (SELECT count(*)::int FROM staged_jobs
            WHERE finished_at IS NULL AND (due_at IS NULL OR due_at <= ${now}::timestamptz)) AS open,
           (SELECT coalesce(extract(epoch FROM max(finished_at)), 0)::float8 FROM staged_jobs) AS ended`
  return rows[0]!
}

async function undone(db: ProcessDatabase, now: Date): Promise<string> {
  const rows = await db.prisma.$queryRaw<{ name: string; reason: string | null; attempts: number }[]>`
    SELECT name, reason, attempts FROM staged_jobs
    WHERE finished_at IS NULL AND (due_at IS NULL OR due_at <= ${now}::timestamptz) ORDER BY created_at LIMIT 5`
  return (
    rows
      .map((row) => `${row.name} (attempt ${row.attempts + 1}${row.reason ? `, last: ${row.reason}` : ''})`)
      .join('; ') || 'webhooks'
  )
}
