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

async function count(client: pg.Client): Promise<ConnectionCount> {
  const { rows: settings } = await client.query<{ limit: number }>(`
    SELECT sum(CASE WHEN name = 'max_connections' THEN setting::int ELSE -setting::int END)::int AS "limit"
    FROM pg_settings
    WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')`)
  // Of other roles' connections only the name is told; PostgreSQL's own processes are in no database.
  const { rows } = await client.query<{ name: string; open: number }>(`
    SELECT application_name AS name, count(*)::int AS open FROM pg_stat_activity
    WHERE datid IS NOT NULL AND pid <> pg_backend_pid() GROUP BY 1`)
  return { limit: settings[0]!.limit, claimed: claimed(rows) }
}

/** Two that start together must not both count without the other. */
const LOCK_KEY = 7_420_531_812

export interface Claimed {
  /** Ends the connection that bears the claim, when the process ends. */
  release(): Promise<void>
}

/**
 * Adds this process's connections to what all others may open, before the first is opened; from then on a connection
 * of this name bears the claim.
 * @param name as connectionName() makes it; with the claim's own connection in its number
 * @param mine how many it may open at most
 * @throws ConfigError when they do not fit
 */
export async function fitConnections(url: string, name: string, mine: number): Promise<Claimed> {
  const client = new pg.Client({ connectionString: url, application_name: name, keepAlive: true })
  // When it breaks, the pools' connections bear the same name.
  client.on('error', () => {})
  await client.connect()
  try {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY])
      const { limit, claimed: others } = await count(client)
      if (others + mine <= limit) break
      await client.query('SELECT pg_advisory_unlock($1)', [LOCK_KEY])
      if (performance.now() > until) throw new ConfigError(tooMany(limit, mine, others))
      await delay(LOOK_MS)
    }
    await client.query('SELECT pg_advisory_unlock($1)', [LOCK_KEY])
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
  return { release: () => client.end().catch(() => {}) }
}

const tooMany = (limit: number, mine: number, others: number): string =>
  `PostgreSQL allows ${limit} connections; this process may open ${mine}, and ${others} are taken or promised ` +
  'to processes that run. Raise max_connections, or run fewer processes.'
