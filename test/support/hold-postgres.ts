// Starts PostgreSQL for the home it is given, says which process that is, and never stops it.
import { startPostgres } from '../../apps/sandbox/postgres.ts'

const home = process.argv[2]
if (home === undefined) throw new Error('Which home?')
try {
  const { pid } = await startPostgres({ home, settings: { fsync: 'off' } })
  console.log(JSON.stringify({ pid }))
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }))
}
