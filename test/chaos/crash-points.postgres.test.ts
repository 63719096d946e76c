// Every crash point, with the queues in PostgreSQL. `npm run chaos -- points --backend postgres` shows it as it goes.
import { crashPointsOn } from './promises.ts'

crashPointsOn('postgres')
