// One JSON line per fact on standard output. What must never be in a log is cut out here, whoever logs it.
import { pino, type Logger } from 'pino'

/** Names of fields that hold secrets or mail addresses, at the top and one level down. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'secret',
  'password',
  'key',
  'token',
  'email',
  'billing_email',
  'to',
  'recipients',
  'number',
]

/** Secrets have shapes: our API keys, Stripe's keys, and webhook secrets are cut out of any text. */
const SECRET_SHAPES = /\b(pd_(?:op|acct)_|sk_(?:test|live)_|rk_(?:test|live)_|whsec_)[A-Za-z0-9_-]+/g
/**
 * The escape before it is kept: log lines are JSON when they get here. It begins only where a word does and has
 * bounds, so that a long hostile text takes no quadratic time.
 */
const LOCAL = "\\p{L}\\p{N}.!#$%&'*+=?^_`{|}~-"
const LABEL = '[\\p{L}\\p{N}-]{1,63}'
const MAIL_ADDRESS = new RegExp(
  `(?:(\\\\[nrtbf])|(?<![\\\\${LOCAL}]))[${LOCAL}]{1,64}@${LABEL}(?:\\.${LABEL}){1,8}`,
  'gu',
)
/** 26 symbols and their two check symbols, behind the product's slug. */
const LICENSE_KEY = /_[0-9A-HJKMNP-TV-Z]{28}\b/gi
const CONNECTION_PASSWORD = /\b(postgres(?:ql)?|rediss?|smtps?):\/\/([^:@/\s"]*):[^/\s"]*@/g

/** Cuts secrets and mail addresses out of a text, for logs and kept error reasons. */
export const scrub = (text: string): string =>
  text
    .replace(CONNECTION_PASSWORD, '$1://$2:[cut]@')
    .replace(SECRET_SHAPES, '$1[cut]')
    .replace(LICENSE_KEY, '_[cut]')
    .replace(MAIL_ADDRESS, '$1[mail address]')

export function createLog(options: { name: string; level: string; stream?: { write(line: string): void } }): Logger {
  const settings = {
    name: options.name,
    level: options.level,
    base: { process: options.name },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[cut]' },
    serializers: { err: serializeError },
    hooks: { streamWrite: (line: string) => scrub(line) },
  }
  return options.stream ? pino(settings, options.stream) : pino(settings)
}

function serializeError(error: unknown) {
  if (!(error instanceof Error)) return { message: String(error) }
  return { type: error.name, message: error.message, stack: error.stack, code: (error as { code?: unknown }).code }
}

const QUIET_MS = 30_000
/** Messages with numbers in them are without end. */
const SAID_MAX = 100

/** A store that is away says the same with every attempt, of every queue: it is passed on once in half a minute. */
export function quieten<E>(tell: (error: E) => void): (error: E) => void {
  const said = new Map<string, number>()
  return (error) => {
    const message = error instanceof Error ? error.message : String(error)
    const now = performance.now()
    if (now - (said.get(message) ?? -Infinity) < QUIET_MS) return
    if (said.size >= SAID_MAX) said.clear()
    said.set(message, now)
    tell(error)
  }
}
