// Accepting an action: recorded and staged in one statement of the database, then told to the queue. From then on it is
// done or refused exactly once, whatever dies.
import applyAction from '../../jobs/licenses/apply-action.job.ts'
import { crashPoint } from '../adapters/crash-point.ts'
import { newId, toPublicId } from '../adapters/ids.ts'
import type { Call, Reply } from './context.ts'
import { idempotencyKey, keyInProgress, keyReused, requestHash } from './idempotency.ts'
import { actionResult, actionView, findAction, type ActionRow } from './license-reader.ts'
import { Problem, refusalProblem } from './problem.ts'
import { recordGathered } from './record-actions.ts'

/** The longest a request may ask to wait; longer ones only tie up connections. */
const WAIT_MAX_S = 60

/** RFC 7240: Prefer: wait=10. */
export function preferredWaitMs(call: Call): number {
  const match = /(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])/i.exec(call.request.get('prefer') ?? '')
  return match ? Math.min(Number(match[1]), WAIT_MAX_S) * 1_000 : 0
}

interface Accepted {
  readonly id: string
  /** The instant it was accepted at, now; null when the action was there already. */
  readonly at: Date | null
}

/**
 * Records an action of the caller's account and answers as asked: at once with 202, or with its end.
 * @param input already checked
 * @param status of a successful end: 201 where something was made
 */
export async function acceptAction(call: Call, kind: string, input: object, status: 200 | 201): Promise<Reply> {
  const waitMs = preferredWaitMs(call)
  const id = newId()
  if (waitMs > 0) return await acceptAndWait(call, id, kind, input, status, waitMs)
  const accepted = await record(call, id, kind, input)
  // Nobody waits and the action is new: all there is to tell of it is known, and is not read back.
  const action = accepted.at ? queued(call, id, kind, accepted.at) : await lookUp(call, accepted.id)
  return await answer(call, action, status, waitMs, accepted.at === null)
}

async function acceptAndWait(
  call: Call,
  id: string,
  kind: string,
  input: object,
  status: 200 | 201,
  waitMs: number,
): Promise<Reply> {
  const { waiter } = call.services
  let expectation = waiter.expect(id)
  try {
    const accepted = await record(call, id, kind, input)
    if (accepted.id !== id) {
      expectation.forget()
      expectation = waiter.expect(accepted.id)
    }
    const action = await awaitEnd(call, accepted.id, waitMs, expectation.ended)
    return await answer(call, action, status, waitMs, accepted.at === null)
  } finally {
    expectation.forget()
  }
}

/** The action as accept_action() has just made it. */
const queued = ({ accountId }: Call, id: string, kind: string, acceptedAt: Date): ActionRow => ({
  id,
  accountId,
  kind,
  status: 'queued',
  acceptedAt,
  endedAt: null,
  result: null,
  error: null,
})

/** A day may be counted between reading the clock and recording: then the clock is read again. Twice is never seen. */
const TRIES = 5

/** Records it and tells the queue, or finds the action that the same key has led to. */
async function record(call: Call, id: string, kind: string, input: object): Promise<Accepted> {
  const { services, caller, accountId } = call
  const key = idempotencyKey(call)
  const hash = requestHash(kind, input)
  const jobId = newId()
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const at = await services.clock.now()
    crashPoint('accept: before')
    const { verdict, known } = await recordGathered(services.db, {
      account: accountId,
      id,
      kind,
      input,
      actor: `key:${caller.keyId}`,
      at,
      job: jobId,
      key,
      hash: Buffer.from(hash).toString('hex'),
    })
    crashPoint('accept: recorded')
    if (verdict === 'accepted') {
      services.relay.offer([{ id: jobId, name: applyAction.name, payload: { action: id } }])
      return { id, at }
    }
    if (verdict === 'replayed' && known !== null) return { id: known, at: null }
    if (verdict === 'key_reused') throw keyReused()
    if (verdict === 'in_progress') throw keyInProgress()
  }
  throw new Problem(503, 'unavailable', 'The day is being closed. Try again in a moment.')
}

async function lookUp({ services, accountId }: Call, id: string): Promise<ActionRow> {
  const action = await services.db.withAccount(accountId, (tx) => findAction(tx, accountId, id))
  if (!action) throw new Error(`accepted action ${id} is not there`)
  return action
}

async function awaitEnd(
  call: Call,
  id: string,
  waitMs: number,
  ended: (timeoutMs: number) => Promise<void>,
): Promise<ActionRow> {
  const until = performance.now() + waitMs
  for (;;) {
    const action = await lookUp(call, id)
    const left = until - performance.now()
    if (action.endedAt !== null || left <= 0) return action
    await ended(left)
  }
}

async function answer(
  call: Call,
  action: ActionRow,
  status: number,
  waitMs: number,
  replayed: boolean,
): Promise<Reply> {
  const { services, accountId } = call
  const headers = {
    Location: `/v1/actions/${toPublicId('action', action.id)}`,
    ...(waitMs > 0 && { 'Preference-Applied': `wait=${waitMs / 1_000}` }),
    ...(replayed && { 'Idempotent-Replayed': 'true' }),
  }
  const waited = waitMs > 0 && action.endedAt !== null
  if (waited && action.error) throw refusalProblem(action.error)
  const result = action.result
    ? await services.db.withAccount(accountId, (tx) => actionResult(tx, action, services.secrets))
    : null
  if (!waited) return { status: 202, body: actionView(action, result), headers }
  const body = result && 'license' in result ? result.license : result
  return { status, body, headers }
}
