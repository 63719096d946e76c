import type { Job } from './job.ts'
import type { Tx } from './ports.ts'

export interface StagedRow {
  readonly id: string
  readonly name: string
  readonly payload: unknown
}

const stagedBy = new WeakMap<object, StagedRow[]>()

/** The rows a transaction has staged and that may run at once: what the relay is handed after the commit. */
export const stagedIn = (tx: object): readonly StagedRow[] => stagedBy.get(tx) ?? []

/** How many rows one statement stages: keeps the parameters of a statement well under a megabyte. */
const STAGE_CHUNK = 1_000

export interface StageOptions {
  readonly accountId?: string
  /** Business instant before which it must not run. */
  readonly dueAt?: Date
}

/**
 * Stages a job in the transaction that gives reason for it: both commit or neither does. A job with the same key that
 * is still unfinished makes this a no-op.
 */
export async function stage<P>(tx: Tx, job: Job<P>, payload: NoInfer<P>, options: StageOptions = {}): Promise<void> {
  await stageAll(tx, job, [payload], options)
}

/** Stages one job per payload, set-based. */
export async function stageAll<P>(
  tx: Tx,
  job: Job<P>,
  payloads: readonly NoInfer<P>[],
  options: StageOptions = {},
): Promise<void> {
  for (let start = 0; start < payloads.length; start += STAGE_CHUNK) {
    const chunk = payloads.slice(start, start + STAGE_CHUNK)
    const keys = chunk.map((payload) => job.key(payload))
    const bodies = chunk.map((payload) => JSON.stringify(payload))
    const rows = await tx.$queryRaw<StagedRow[]>`
      INSERT INTO staged_jobs (id, name, payload, key, account_id, due_at, next_at)
      SELECT gen_random_uuid(), ${job.name}, body::jsonb, key, ${options.accountId ?? null}::uuid,
             ${options.dueAt ?? null}::timestamptz, clock_timestamp() + interval '2 seconds'
      FROM unnest(${keys}::text[], ${bodies}::text[]) AS given (key, body)
      ON CONFLICT DO NOTHING
      RETURNING id, name, payload`
    if (options.dueAt === undefined) {
      const known = stagedBy.get(tx)
      if (known) known.push(...rows)
      else stagedBy.set(tx, rows)
    }
  }
}
