// Every process says in the name of its connections how many it may open, so that the next one to start can add them
// up. PostgreSQL refuses the connection that is one too many, in the middle of the night, to whoever happens to ask.
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { ConfigError } from '../config.ts'

/** Connections of a process that was killed a moment ago are still there: they are given this long to go. */
const PATIENCE_MS = 10_000
const LOOK_MS = 500

/** As `perdiem worker 1a2b3c of 29`: what it is, which one, and how many connections it may open. */
export const connectionName = (kind: string, id: string, max: number): string =>
  `perdiem ${kind.slice(0, 20)} ${id.slice(-6)} of ${max}`

export interface ConnectionCount {
  /** Ordinary roles may have so many. */
  readonly limit: number
  /** What processes of ours may open, and others have open. */
  readonly claimed: number
}

/** @param rows connections by name */
export function claimed(rows: readonly { name: string; open: number }[]): number {
  return rows.reduce((sum, { name, open }) => {
    const max = Number(/^perdiem .* of (\d{1,4})$/.exec(name)?.[1] ?? 0)
    return sum + Math.max(max, open)
  }, 0)
}

async function count(url: string): Promise<ConnectionCount> {
  const client = new pg.Client({ connectionString: url, application_name: 'perdiem connections' })
  await client.connect()
  try {
    const { rows: settings } = await client.query<{ limit: number }>(`
      SELECT sum(CASE WHEN name = 'max_connections' THEN setting::int ELSE -setting::int END)::int AS "limit"
      FROM pg_settings
      WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')`)
    const { rows } = await client.query<{ name: string; open: number }>(`
      SELECT application_name AS name, count(*)::int AS open FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1`)
    return { limit: settings[0]!.limit, claimed: claimed(rows) }
  } finally {
    await client.end()
  }
}

/**
 * Adds this process's connections to what all others may open, before the first is opened.
 * @param mine how many it may open at most
 * @throws ConfigError when they do not fit
 */
export async function fitConnections(url: string, mine: number): Promise<void> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const { limit, claimed: others } = await count(url)
    if (others + mine <= limit) return
    if (performance.now() > until) {
      throw new ConfigError(
        `PostgreSQL allows ${limit} connections; this process may open ${mine}, and ${others} are taken or promised ` +
          'to processes that run. Raise max_connections, or run fewer processes.',
      )
    }
    await delay(LOOK_MS)
  }
}
