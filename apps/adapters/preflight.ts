// What every process asks before it starts: whether its Redis may be trusted with queues, and whether its connections
// fit into PostgreSQL.
import { connectionName, fitConnections } from './connections.ts'
import { newId } from './ids.ts'
import { queueConnections } from './queue.ts'
import type { QueueAddress } from './queue-backend.ts'
import { preflightRedis } from './redis.ts'

export interface Claim {
  /** What kind of process. */
  readonly kind: string
  readonly databaseUrl: string
  readonly redisUrl: string | undefined
  /** Connections to PostgreSQL it may open, beside those of the queue. */
  readonly connections: number
  /** How many queues it works. */
  readonly worked?: number
  readonly warn: (words: string) => void
}

/** @throws ConfigError when the process must not start */
export async function preflight(
  claim: Claim,
): Promise<{ address: QueueAddress; applicationName: string; release(): Promise<void> }> {
  const { databaseUrl, redisUrl } = claim
  if (redisUrl !== undefined) {
    const warning = await preflightRedis(redisUrl)
    if (warning !== null) claim.warn(`Redis: ${warning}`)
  }
  // One more bears the claim itself.
  const mine = 1 + claim.connections + queueConnections({ databaseUrl, redisUrl }, claim.worked)
  const applicationName = connectionName(claim.kind, newId(), mine)
  const { release } = await fitConnections(databaseUrl, applicationName, mine)
  return { address: { databaseUrl, redisUrl, applicationName }, applicationName, release }
}
