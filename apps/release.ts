import { runMigrations } from 'bullmq'
import pg from 'pg'
import { deploy, ownerUrlFromEnvironment } from '../prisma/migrate.ts'
import { preflightRedis } from './adapters/redis.ts'
import { releaseConfig } from './config.ts'

/** The schema of the job queue, beside Perdiem's own tables in the same database. */
export const QUEUE_SCHEMA = 'bullmq'

const LOCK_KEY = 7_420_531_808
/** Owns the queue's schema. Both processes take it on for their queue connections, and only for these. */
export const QUEUE_ROLE = 'perdiem_queue'

/** What a release did. */
export interface ReleaseResult {
  applied: string[]
  queueVersion: number
}

/**
 * BullMQ creates a sequence per queue when it is first used, whichever process comes first: one role must own them all.
 * On its connections nothing of Perdiem's own tables can be read.
 */
const QUEUE_SETUP = `
  DO $$
  BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '${QUEUE_ROLE}') THEN
      CREATE ROLE ${QUEUE_ROLE} NOLOGIN;
    END IF;
    EXECUTE format('GRANT ${QUEUE_ROLE} TO %I', current_user);
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO ${QUEUE_ROLE}', current_database());
  END $$;
  GRANT ${QUEUE_ROLE} TO perdiem_api, perdiem_worker;
  CREATE SCHEMA IF NOT EXISTS ${QUEUE_SCHEMA} AUTHORIZATION ${QUEUE_ROLE};
  SET ROLE ${QUEUE_ROLE}`

/** Only the migrations create things; bulk adds go through temporary tables. */
const QUEUE_SETTLED = `
  RESET ROLE;
  DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM ${QUEUE_ROLE}', current_database()); END $$`

async function releaseQueue(ownerUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'perdiem-release' })
  await client.connect()
  try {
    // Two at once would trip over each other's grants.
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY])
    await client.query(QUEUE_SETUP)
    const version = await runMigrations(client, QUEUE_SCHEMA)
    await client.query(QUEUE_SETTLED)
    return version
  } finally {
    await client.end()
  }
}

/**
 * Brings a database up to this version: Perdiem's migrations, then the queue's tables, then the
 * rights of the two process roles on these. Can be run again, and by two at once.
 */
export async function release(urls: { ownerUrl: string }): Promise<ReleaseResult> {
  const { applied } = await deploy(urls.ownerUrl)
  return { applied, queueVersion: await releaseQueue(urls.ownerUrl) }
}

/** Lets the roles of the processes sign in, where a deployment brings their passwords along. */
export async function setPasswords(ownerUrl: string, passwords: Readonly<Record<string, string>>): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'perdiem-release' })
  await client.connect()
  try {
    for (const [role, password] of Object.entries(passwords)) {
      const verb = `ALTER ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD ${client.escapeLiteral(password)}`
      await client.query(verb)
    }
  } finally {
    await client.end()
  }
}

async function main(): Promise<void> {
  const ownerUrl = ownerUrlFromEnvironment()
  const { REDIS_URL, API_PASSWORD, WORKER_PASSWORD } = releaseConfig()
  const warning = REDIS_URL === undefined ? null : await preflightRedis(REDIS_URL)
  if (warning !== null) console.log(`Redis: ${warning}.`)
  const { applied, queueVersion } = await release({ ownerUrl })
  await setPasswords(ownerUrl, {
    ...(API_PASSWORD !== undefined && { perdiem_api: API_PASSWORD }),
    ...(WORKER_PASSWORD !== undefined && { perdiem_worker: WORKER_PASSWORD }),
  })
  const what = applied.length === 0 ? 'no migrations to apply' : `applied ${applied.join(', ')}`
  console.log(`Release: ${what}; queue tables at version ${queueVersion}.`)
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
