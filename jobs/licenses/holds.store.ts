// Writes holds and hold_members: why licenses are paused. A license is paused while at least one hold covers it, from
// the instant the hold began up to, and without, the instant it ended.
import type { Tx } from '../kit/ports.ts'

export interface NewHold {
  readonly id: string
  readonly accountId: string
  readonly source: 'operator' | 'dunning'
  readonly reason: string
  readonly since: Date
  readonly licenses: readonly string[]
}

/** Pauses licenses of one account: inserts the hold and its members, and takes nothing away. */
export async function placeHold(tx: Tx, hold: NewHold): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO holds (id, account_id, source, reason, since)
    VALUES (${hold.id}::uuid, ${hold.accountId}::uuid, ${hold.source}, ${hold.reason}, ${hold.since}::timestamptz)`
  await tx.$executeRaw`
    INSERT INTO hold_members (hold_id, account_id, license_id)
    SELECT ${hold.id}::uuid, account_id, id FROM licenses
    WHERE account_id = ${hold.accountId}::uuid AND id = ANY(${hold.licenses}::uuid[])
    ON CONFLICT DO NOTHING`
}

/** Lifts a hold: what was active before is active again. */
export async function liftHold(tx: Tx, accountId: string, id: string, until: Date): Promise<void> {
  await tx.$executeRaw`
    UPDATE holds SET until = greatest(since, ${until}::timestamptz)
    WHERE account_id = ${accountId}::uuid AND id = ${id}::uuid AND until IS NULL`
}
