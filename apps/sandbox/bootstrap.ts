import pg from 'pg'

/** The roles of a Perdiem database: its owner, and the two that the processes sign in as. */
export const ROLES = {
  owner: 'perdiem_owner',
  api: 'perdiem_api',
  worker: 'perdiem_worker',
} as const

const LOCK_KEY = 7_420_531_807

/** What to make, and the passwords of the roles. */
export interface BootstrapOptions {
  database: string
  ownerPassword: string
  apiPassword: string
  workerPassword: string
}

/** Addresses of one database, one for each role. */
export interface DatabaseUrls {
  ownerUrl: string
  apiUrl: string
  workerUrl: string
}

/** The same server's address with another role, password and database. */
export function addressFor(url: string, role: string, password: string, database: string): string {
  const address = new URL(url)
  address.username = encodeURIComponent(role)
  address.password = encodeURIComponent(password)
  address.pathname = `/${encodeURIComponent(database)}`
  return address.href
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'perdiem-bootstrap' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function ensureRole(
  client: pg.Client,
  role: string,
  password: string,
  creates: 'CREATEROLE' | 'NOCREATEROLE',
): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role])
  const verb = rowCount === 0 ? 'CREATE' : 'ALTER'
  // Without BYPASSRLS and without owning a table, a role sees what row-level security lets it see.
  const rights = `LOGIN NOSUPERUSER NOCREATEDB ${creates} NOREPLICATION NOBYPASSRLS`
  await client.query(`${verb} ROLE ${role} ${rights} PASSWORD ${pg.escapeLiteral(password)}`)
}

/**
 * Makes a database, by default an empty one, and opens it to the three roles and nobody else. What
 * it sets is not copied with a template, so a clone is made by it too.
 */
export async function createDatabase(client: pg.Client, database: string, template = 'template0'): Promise<void> {
  const name = pg.escapeIdentifier(database)
  const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [database])
  if (found.rowCount === 0) {
    // The encoding can be chosen for an empty database; a clone has its template's.
    const encoding = template === 'template0' ? `ENCODING 'UTF8'` : ''
    const from = pg.escapeIdentifier(template)
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${from} OWNER ${ROLES.owner} ${encoding}`)
  }
  await client.query(
    `ALTER DATABASE ${name} OWNER TO ${ROLES.owner};
     ALTER DATABASE ${name} SET timezone TO 'UTC'`,
  )
  await client.query(
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC;
     GRANT CONNECT ON DATABASE ${name} TO ${ROLES.api}, ${ROLES.worker}`,
  )
}

/**
 * Prepares a PostgreSQL for Perdiem as its superuser: three roles, the database, its schema. Can be
 * run again; the passwords are then the new ones. Tables come with the release step.
 */
export async function bootstrapDatabase(superuserUrl: string, options: BootstrapOptions): Promise<DatabaseUrls> {
  const { database, ownerPassword, apiPassword, workerPassword } = options
  await withClient(superuserUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY])
    await ensureRole(client, ROLES.owner, ownerPassword, 'CREATEROLE')
    await ensureRole(client, ROLES.api, apiPassword, 'NOCREATEROLE')
    await ensureRole(client, ROLES.worker, workerPassword, 'NOCREATEROLE')
    await createDatabase(client, database)
    const inside = new URL(superuserUrl)
    inside.pathname = `/${encodeURIComponent(database)}`
    await withClient(inside.href, (own) =>
      own.query(
        `ALTER SCHEMA public OWNER TO ${ROLES.owner};
         REVOKE ALL ON SCHEMA public FROM PUBLIC;
         GRANT USAGE ON SCHEMA public TO ${ROLES.api}, ${ROLES.worker}`,
      ),
    )
  })
  return {
    ownerUrl: addressFor(superuserUrl, ROLES.owner, ownerPassword, database),
    apiUrl: addressFor(superuserUrl, ROLES.api, apiPassword, database),
    workerUrl: addressFor(superuserUrl, ROLES.worker, workerPassword, database),
  }
}
