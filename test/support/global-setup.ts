import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { release } from '../../apps/release.ts'
import { bootstrapDatabase } from '../../apps/sandbox/bootstrap.ts'
import { deleteHome } from '../../apps/sandbox/postgres-place.ts'
import { startPostgres } from '../../apps/sandbox/postgres.ts'
import type { TestPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: TestPostgres
  }
}

/** What is lost when the machine stops is of no interest here; speed is. */
const CARELESS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_connections: '200',
}

/** One PostgreSQL for the whole run, with a released database that each test file clones. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'perdiem-test-'))
  // As root, PostgreSQL runs as another user, who can keep its data in there only if let through.
  await chmod(home, 0o711)
  const postgres = await startPostgres({ home, settings: CARELESS })
  const teardown = async () => {
    await postgres.stop()
    deleteHome(home)
  }
  try {
    const database = 'perdiem_template'
    const passwords = { ownerPassword: 'owner', apiPassword: 'api', workerPassword: 'worker' }
    const superuserUrl = postgres.superuserUrl()
    const urls = await bootstrapDatabase(superuserUrl, { database, ...passwords })
    await release(urls)
    project.provide('postgres', { superuserUrl, template: database, ...passwords })
  } catch (error) {
    await teardown()
    throw error
  }
  return teardown
}
