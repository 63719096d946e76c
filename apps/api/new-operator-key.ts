// Makes an operator's API key and prints it, this once; with --observer one that may look at everything and change
// nothing. For the person who sets a vendor up; needs API_DATABASE_URL alone.
import { wallClock } from '../adapters/clock.ts'
import { connectDatabase } from '../adapters/database.ts'
import { ConfigError, keyConfig } from '../config.ts'
import { explain } from '../lifecycle.ts'
import { createKey } from './keys.ts'

try {
  const [option, ...more] = process.argv.slice(2)
  if (more.length > 0 || ![undefined, '--observer'].includes(option)) {
    throw new ConfigError('Usage: npm run operator-key [-- --observer]')
  }
  const role = option === undefined ? 'operator' : 'observer'
  const db = connectDatabase({ url: keyConfig().API_DATABASE_URL, max: 1 })
  const at = await wallClock.now()
  const { secret } = await db.withOperator((tx) => createKey(tx, { accountId: null, name: role, scopes: [role], at }))
  console.log(secret)
  await db.close()
} catch (error) {
  console.error(explain(error))
  process.exit(1)
}
