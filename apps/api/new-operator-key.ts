// Makes an operator's API key and prints it, this once. For the person who sets a vendor up; needs the web process's
// variables.
import { wallClock } from '../adapters/clock.ts'
import { connectDatabase } from '../adapters/database.ts'
import { apiConfig } from '../config.ts'
import { explain } from '../lifecycle.ts'
import { createKey } from './keys.ts'

try {
  const db = connectDatabase({ url: apiConfig().API_DATABASE_URL, max: 1 })
  const at = await wallClock.now()
  const { secret } = await db.withOperator((tx) =>
    createKey(tx, { accountId: null, name: 'operator', scopes: ['operator'], at }),
  )
  console.log(secret)
  await db.close()
} catch (error) {
  console.error(explain(error))
  process.exit(1)
}
