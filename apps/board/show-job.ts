// What of a queue's job the board shows: ids, and how its record stands. A job in a queue is only a hint; and texts in
// it were written by whoever failed, with whatever was at hand.
import type { Job as BullJob } from 'bullmq'
import { z } from 'zod'
import { catalog } from '../../jobs/catalog.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import { toPublicId } from '../adapters/ids.ts'
import { scrub } from '../adapters/log.ts'

/** A row of staged_jobs, as far as the board tells of it. */
export interface JobRecord {
  readonly id: string
  readonly outcome: 'done' | 'skipped' | 'dead' | null
  readonly reason: string | null
  readonly attempts: number
}

/** As much as staged_jobs keeps of a reason. */
const REASON_MAX = 500
/** The frames that say where; the log has the rest. */
const STACK_MAX = 4_000
const NOT_SHOWN = '[not shown]'

const isUuid = (value: unknown): value is string => z.uuid().safeParse(value).success

/** Its row in staged_jobs; null for what has none: a schedule's tick, a canary. */
export function stagedIdOf(job: Pick<BullJob, 'data'>): string | null {
  const staged = (job.data as { staged?: unknown } | null)?.staged
  return isUuid(staged) ? staged : null
}

export async function findRecords(
  db: ProcessDatabase,
  jobs: readonly Pick<BullJob, 'data'>[],
): Promise<ReadonlyMap<string, JobRecord>> {
  const ids = jobs.map(stagedIdOf).filter((id) => id !== null)
  if (ids.length === 0) return new Map()
  const rows = await db.withOperator(
    (tx) => tx.$queryRaw<JobRecord[]>`
      SELECT id, outcome, reason, attempts FROM staged_jobs WHERE id = ANY (${ids}::uuid[])`,
  )
  return new Map(rows.map((row) => [row.id, row]))
}

const cut = (text: string, max: number): string => scrub(text).slice(0, max)

/** Cuts secrets out of every text within. */
export const cutWithin = <T>(value: T): T =>
  value === undefined ? value : (JSON.parse(scrub(JSON.stringify(value))) as T)

/** Only what the job's own payload declares, and only as it declares it. */
function shownPayload(name: string, data: unknown): Record<string, unknown> {
  const payload = catalog.get(name)?.payload
  const shape: Record<string, z.ZodType> = payload instanceof z.ZodObject ? payload.shape : {}
  const isMeant = (field: string, value: unknown): boolean =>
    field === 'staged' ? isUuid(value) : shape[field]?.safeParse(value).success === true
  const fields = Object.entries(typeof data === 'object' && data !== null ? data : {})
  return Object.fromEntries(fields.map(([field, value]) => [field, isMeant(field, value) ? value : NOT_SHOWN]))
}

const shownRecord = ({ id, outcome, attempts, reason }: JobRecord) => ({
  job: toPublicId('job', id),
  status: outcome ?? 'open',
  failed_attempts: attempts,
  reason: reason === null ? null : cut(reason, REASON_MAX),
})

/**
 * The job as the board serializes it. One whose record is dead shows why, also where the queue took its end for a good
 * one.
 */
export function shownJson(job: BullJob, record: JobRecord | undefined): ReturnType<BullJob['toJSON']> {
  const json = job.toJSON()
  const why = json.failedReason || (record?.outcome === 'dead' ? (record.reason ?? 'dead') : '')
  return {
    ...json,
    name: cut(json.name, REASON_MAX),
    data: cutWithin({ ...shownPayload(json.name, json.data), ...(record && { record: shownRecord(record) }) }),
    opts: cutWithin(json.opts),
    failedReason: cut(why, REASON_MAX),
    stacktrace: (json.stacktrace ?? []).filter(Boolean).map((one) => cut(one, STACK_MAX)),
    progress: 0,
    returnvalue: null,
  }
}
