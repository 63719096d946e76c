import { createHash, timingSafeEqual } from 'node:crypto'
import { Book } from './book.ts'
import type { Context } from './context.ts'
import { refusal } from './errors.ts'
import { Faults } from './faults.ts'
import { randomText } from './identifiers.ts'
import { RateLimit } from './rate-limit.ts'
import type { RateLimitMode } from './rate-limit.ts'

export interface StandInOptions {
  /** 0, the default, takes any free port. */
  port?: number
  /** The folder of the durable book. */
  book: string
  secretKey: string
  webhook?: { url: string; secret: string }
  /** Business time in unix seconds until the sandbox clock is set; real time by default. */
  now?: () => number
  log?: (line: string) => void
  rateLimit?: RateLimitMode
  /** How browsers reach this process, when not at 127.0.0.1 and its port. */
  publicUrl?: string
}

/** What all parts of the running stand-in share. */
export interface StandIn {
  options: StandInOptions
  book: Book
  faults: Faults
  rateLimit: RateLimit | undefined
  /** Idempotency keys whose first execution is under way. */
  inFlight: Set<string>
  baseUrl: string
  /** Tells the courier that there may be webhooks to deliver. */
  wake: () => void
}

/** Opens the book and sets up the rest around it. */
export function openStandIn(options: StandInOptions): StandIn {
  const book = new Book(options.book)
  if (book.setting('fingerprint_salt') === undefined) {
    book.set('fingerprint_salt', randomText(32))
  }
  return {
    options,
    book,
    faults: new Faults(),
    rateLimit: options.rateLimit === undefined ? undefined : new RateLimit(options.rateLimit),
    inFlight: new Set(),
    baseUrl: '',
    wake: () => undefined,
  }
}

/** Business time: it stands still once the sandbox clock was set, across restarts too. */
export function businessTime({ book, options }: StandIn): number {
  const set = book.setting('now')
  if (set !== undefined) return Number(set)
  return options.now?.() ?? Math.floor(Date.now() / 1000)
}

/** The context of one request. */
export function contextOf(standIn: StandIn, requestId: string | null, idempotencyKey: string | null): Context {
  return {
    book: standIn.book,
    faults: standIn.faults,
    now: businessTime(standIn),
    baseUrl: standIn.baseUrl,
    hasWebhook: standIn.options.webhook !== undefined,
    requestId,
    idempotencyKey,
  }
}

/** Lets only those in who know the secret key, as a bearer token or a user name. */
export function authorize(standIn: StandIn, header: string | undefined): void {
  const [scheme = '', credentials = ''] = (header ?? '').split(' ')
  let key = credentials
  if (/^basic$/i.test(scheme)) {
    key = Buffer.from(credentials, 'base64').toString().split(':')[0] ?? ''
  } else if (!/^bearer$/i.test(scheme)) {
    key = ''
  }
  if (key === '') {
    throw refusal(401, 'invalid_request_error', 'You did not provide an API key.')
  }
  if (!timingSafeEqual(digest(key), digest(standIn.options.secretKey))) {
    throw refusal(401, 'invalid_request_error', 'Invalid API Key provided.')
  }
}

// Digests are of one length, so that comparing them tells nothing about the key.
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
