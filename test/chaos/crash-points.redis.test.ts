// Every crash point, with the queues in Redis. `npm run chaos -- points --backend redis` shows it as it goes.
import { crashPointsOn } from './promises.ts'

crashPointsOn('redis')
