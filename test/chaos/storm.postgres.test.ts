// A month under faults, with the queues in PostgreSQL. `npm run chaos -- storm --backend postgres` shows it as it goes,
// and lives as many months as one likes.
import { stormOn } from './promises.ts'

stormOn('postgres')
