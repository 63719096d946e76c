import type { Job } from './job.ts'
import { dead, isOutcome, type Outcome } from './outcome.ts'
import type { Ports } from './ports.ts'

export class JobTimeout extends Error {
  override name = 'JobTimeout'
}

/**
 * Performs a job once: checks its payload, bounds its time, and insists on a legal outcome.
 * @throws whatever the job throws (unexpected, to be retried); JobTimeout after `timeoutMs`.
 */
export async function perform(job: Job, payload: unknown, ports: Ports): Promise<Outcome> {
  const parsed = job.payload.safeParse(payload)
  if (!parsed.success) return dead(`payload refused: ${parsed.error.issues[0]?.message ?? 'unknown'}`)
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new JobTimeout(`${job.name} took longer than ${job.timeoutMs} ms`)
      abort.abort(error)
      reject(error)
    }, job.timeoutMs)
  })
  try {
    const outcome = await Promise.race([job.run(parsed.data, ports, abort.signal), timeout])
    if (!isOutcome(outcome)) throw new TypeError(`${job.name} returned no outcome`)
    return outcome
  } finally {
    clearTimeout(timer)
  }
}
