// A month under faults, with the queues in Redis. `npm run chaos -- storm --backend redis` shows it as it goes,
// and lives as many months as one likes.
import { stormOn } from './promises.ts'

stormOn('redis')
