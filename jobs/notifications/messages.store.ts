// Writes messages: which mail went out for which reason.
import type { Tx } from '../kit/ports.ts'

export interface IntendedMessage {
  readonly id: string
  readonly accountId: string
  readonly reason: string
  readonly messageId: string
  readonly recipients: readonly string[]
  readonly subject: string
}

/** Records the intent to mail, before the mail server is spoken to. @returns whether it has gone out already */
export async function intendMessage(tx: Tx, message: IntendedMessage): Promise<{ sent: boolean }> {
  const rows = await tx.$queryRaw<{ sent: boolean }[]>`
    INSERT INTO messages (id, account_id, reason, message_id, recipients, subject)
    VALUES (${message.id}::uuid, ${message.accountId}::uuid, ${message.reason}, ${message.messageId},
            ${message.recipients}::text[], ${message.subject})
    ON CONFLICT (reason) DO UPDATE SET recipients = excluded.recipients
    RETURNING sent_at IS NOT NULL AS sent`
  return rows[0]!
}

/** @returns whether it was not marked yet */
export async function markSent(tx: Tx, accountId: string, reason: string, at: Date): Promise<boolean> {
  const marked = await tx.$executeRaw`
    UPDATE messages SET sent_at = ${at}::timestamptz
    WHERE account_id = ${accountId}::uuid AND reason = ${reason} AND sent_at IS NULL`
  return marked === 1
}
