// The calls of an import over HTTP. Every one of them may be sent again, so that a connection that breaks is no more
// than a pause; what remains an error is told as a sentence.
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { wallMs } from '../adapters/clock.ts'
import { count, Failure, plain } from './failure.ts'

const importView = z.object({
  id: z.string().regex(/^[\w-]+$/),
  status: z.enum(['receiving', 'applying', 'done', 'refused']),
  accounts: z
    .object({ total: z.number(), done: z.number(), unchanged: z.number(), refused: z.number() })
    .default({ total: 0, done: 0, unchanged: 0, refused: 0 }),
  failures: z.number().default(0),
})
const received = z.object({ failures: z.number() })
const failurePage = z.object({
  data: z.array(
    z.object({
      file: z.string(),
      line: z.number(),
      account: z.string().nullish(),
      field: z.string().nullish(),
      message: z.string(),
    }),
  ),
  next_cursor: z.string().nullish(),
  total: z.number(),
})
const problem = z.object({
  code: z.string().default(''),
  detail: z.string().default(''),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).default([]),
})

export type ImportView = z.infer<typeof importView>
export type FailurePage = z.infer<typeof failurePage>

/** An answer that is an error, said as a sentence. */
export class Refused extends Failure {
  override name = 'Refused'
  readonly code: string

  constructor(message: string, code: string) {
    super(message)
    this.code = code
  }
}

export interface ImportClient {
  begin(billFrom: string): Promise<ImportView>
  /** A batch of rows, as the JSON it is. Answers how many rows are known to fail. */
  sendRows(id: string, body: string, signal: AbortSignal): Promise<number>
  apply(id: string): Promise<ImportView>
  look(id: string): Promise<ImportView>
  failures(id: string, cursor: string | null): Promise<FailurePage>
}

export interface ClientOptions {
  readonly url: string
  readonly key: string
  /** Told when there is a longer pause. */
  note(sentence: string): void
  pause?(ms: number, signal?: AbortSignal): Promise<unknown>
}

/** Between one try and the next: long enough together for a server that starts anew. */
const PAUSES_MS = [250, 500, 1000, 2000, 4000, 8000, 16_000]
const LONG_PAUSE_MS = 2000
/** However long a server asks to wait, a person would rather be told than wait longer. */
const RETRY_AFTER_MAX_MS = 300_000
const ANSWER_WITHIN_MS = 120_000
const AGAIN = new Set([429, 502, 503])

type Outcome =
  { readonly json: unknown } | { readonly failure: Failure; readonly again: boolean; readonly after: number }
interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  readonly signal?: AbortSignal
}

type Calling = <T>(schema: z.ZodType<T>, call: Call) => Promise<T>

/** Makes calls at this address, again where that may help. */
function caller({ url, key, note, pause = waitFor }: ClientOptions): Calling {
  const base = url.replace(/\/+$/, '')
  /** Before the first answer a server that is not there is more likely a wrong address than a bad moment. */
  let answered = false

  async function once({ method, path, body, signal }: Call): Promise<Outcome> {
    const timeout = AbortSignal.timeout(ANSWER_WITHIN_MS)
    try {
      const response = await fetch(base + path, {
        method,
        headers: { Authorization: `Bearer ${key}`, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
        redirect: 'manual',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        ...(body !== undefined && { body }),
      })
      const text = await response.text()
      answered = true
      if (response.ok) return { json: asJson(text) }
      const after = response.status === 429 ? retryAfterMs(response) : 0
      return { failure: refusal(response, text, base, method + ' ' + path), again: AGAIN.has(response.status), after }
    } catch (error) {
      signal?.throwIfAborted()
      return { failure: unreachable(error, base, answered), again: answered, after: 0 }
    }
  }

  return async (schema, one) => {
    for (let attempt = 0; ; attempt += 1) {
      const outcome = await once(one)
      if ('json' in outcome) return understood(schema, outcome.json, base, one.path)
      const { failure, again, after } = outcome
      if (!again || attempt === PAUSES_MS.length || after > RETRY_AFTER_MAX_MS) throw failure
      const ms = Math.max(PAUSES_MS[attempt]!, after)
      if (ms >= LONG_PAUSE_MS) note(`${failure.message} Trying again in ${count(Math.ceil(ms / 1000), 'second')} …`)
      await pause(ms, one.signal)
    }
  }
}

/** A client of the imports at this address. Its calls throw Failure. */
export function importClient(options: ClientOptions): ImportClient {
  const call = caller(options)
  const at = (id: string): string => `/v1/admin/imports/${id}`
  const page = (id: string, cursor: string | null): string =>
    `${at(id)}/failures?limit=100${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`
  return {
    begin: (billFrom) =>
      call(importView, {
        method: 'POST',
        path: '/v1/admin/imports',
        body: JSON.stringify({ bill_from: billFrom }),
      }),
    sendRows: async (id, body, signal) =>
      (await call(received, { method: 'POST', path: `${at(id)}/rows`, body, signal })).failures,
    apply: (id) => call(importView, { method: 'POST', path: `${at(id)}/apply` }),
    look: (id) => call(importView, { method: 'GET', path: at(id) }),
    failures: (id, cursor) => call(failurePage, { method: 'GET', path: page(id, cursor) }),
  }
}

const told = z.object({ jobs: z.number() })

/** Has the queues told again of everything that is not done. @returns how many jobs. @throws Failure */
export const rebuildQueues = async (options: ClientOptions): Promise<number> =>
  (await caller(options)(told, { method: 'POST', path: '/v1/admin/queues/rebuild' })).jobs

const waitFor = (ms: number, signal?: AbortSignal): Promise<unknown> => delay(ms, undefined, signal && { signal })

function asJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function understood<T>(schema: z.ZodType<T>, json: unknown, base: string, path: string): T {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  throw new Failure(`What ${base} answers to ${path} is not what Perdiem answers. Is PERDIEM_URL right?`)
}

/** In seconds or as a date; nothing where it is neither. */
function retryAfterMs(response: Response): number {
  const value = response.headers.get('retry-after') ?? ''
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const at = Date.parse(value)
  return Number.isNaN(at) ? 0 : Math.max(0, at - wallMs())
}

function unreachable(error: unknown, base: string, answered: boolean): Failure {
  const { name, cause } = error as { name?: string; cause?: { code?: string; message?: string } }
  const why = name === 'TimeoutError' ? 'no answer in time' : (cause?.code ?? cause?.message ?? 'connection failed')
  return answered
    ? new Failure(`The connection to ${base} broke off (${plain(why)}).`)
    : new Failure(`Perdiem cannot be reached at ${base} (${plain(why)}). Does it run there, and is PERDIEM_URL right?`)
}

function refusal(response: Response, text: string, base: string, what: string): Refused {
  const { status } = response
  const parsed = problem.safeParse(asJson(text))
  const { code, detail, errors } = parsed.success ? parsed.data : { code: '', detail: '', errors: [] }
  const listed = errors.slice(0, 10).map(({ path, message }) => `\n  ${plain(path)} ${plain(message)}`)
  const said = detail === '' ? `${what} answered ${status}.` : `${plain(detail)} (${status})${listed.join('')}`
  const refused = (sentence: string): Refused => new Refused(sentence, code)
  if (status === 401) return refused(`${base} does not know this PERDIEM_API_KEY (401). It must be an operator's key.`)
  if (status === 403) return refused(`This PERDIEM_API_KEY is not an operator's key (403), or one that may only look.`)
  if (status === 404) {
    return refused(`${base} has nothing at ${what} (404). Is PERDIEM_URL right, and is Perdiem there new enough?`)
  }
  if (status >= 300 && status < 400) {
    return refused(`${base} leads on to ${plain(response.headers.get('location') ?? '')}. Set PERDIEM_URL to that.`)
  }
  if (code === 'import_busy') {
    return refused('Another import is being applied, and only one can be at a time. Run this again when it has ended.')
  }
  return refused(`The server refused: ${said}`)
}
