// How soon work goes on after a store has come back: probes, which are jobs like any other, staged before the fault,
// while it lasts, and when it is over; and how long it takes until all of them are done.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Site } from './site.ts'

const PROBES = 5
/** Long after every bound that is promised. */
const PATIENCE_MS = 90_000

export interface Probes {
  /** Stages some; none where PostgreSQL is away. */
  stage(): Promise<void>
  /** Waits until all are done. @throws when they are not after 90 s */
  done(): Promise<void>
}

/** A tick of the counting, which may come at any instant and as often as it likes. */
export function createProbes(site: Site): Probes {
  const ids: string[] = []
  const ask = async <T extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<T[]> => {
    const client = new pg.Client({ connectionString: site.sandbox.superuserUrl })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<T>(sql, values)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }
  return {
    async stage() {
      const fresh = Array.from({ length: PROBES }, () => randomUUID())
      const rows = await ask<{ id: string }>(
        `INSERT INTO staged_jobs (id, name, payload, key, next_at)
         SELECT probe, 'usage.count-all-days', jsonb_build_object('at', at), at, clock_timestamp()
         FROM sandbox.clock, unnest($1::uuid[]) WITH ORDINALITY AS given (probe, n), to_char(
           instant AT TIME ZONE 'UTC' - make_interval(secs => (random() * 3600)::numeric(7, 3)),
           'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
         ON CONFLICT DO NOTHING RETURNING id`,
        [fresh],
      )
      ids.push(...rows.map(({ id }) => id))
    },
    async done() {
      const until = performance.now() + PATIENCE_MS
      for (;;) {
        const rows = await ask<{ left: number }>(
          'SELECT count(*)::int AS left FROM staged_jobs WHERE id = ANY ($1::uuid[]) AND finished_at IS NULL',
          [ids],
        ).catch(() => [{ left: 1 }])
        if (rows[0]!.left === 0) return
        if (performance.now() > until) throw new Error(`work has not gone on after ${PATIENCE_MS / 1_000} s`)
        await sleep(20)
      }
    },
  }
}
