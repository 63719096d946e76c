import { describe, expect, it } from 'vitest'
import { createLog, scrub } from '../../../apps/adapters/log.ts'
import { createSecrets, newApiSecret } from '../../../apps/adapters/secrets.ts'

type Line = Record<string, unknown> & { err?: Record<string, unknown> }

/** What a log writes while `use` uses it: each line whole, and read. */
function logged(use: (log: ReturnType<typeof createLog>) => void): { text: string; lines: Line[] } {
  const written: string[] = []
  use(createLog({ name: 'worker', level: 'info', stream: { write: (line) => void written.push(line) } }))
  return { text: written.join(''), lines: written.map((line) => JSON.parse(line) as Line) }
}

const OPERATOR_KEY = newApiSecret('op')
const ACCOUNT_KEY = newApiSecret('acct')
const LICENSE_KEY = createSecrets('a secret of at least thirty-two bytes').mint('backup').key

/** A text as it may turn up anywhere, and what of it must not be in a log. */
const TABOO: readonly [string, string, string][] = [
  ['an operator’s key', `Authorization: Bearer ${OPERATOR_KEY}`, OPERATOR_KEY.slice(6)],
  ['an account’s key', `key=${ACCOUNT_KEY}&x=1`, ACCOUNT_KEY.slice(8)],
  ['Stripe’s secret key', 'Invalid API Key provided: sk_live_51HxAbCdEf', '51HxAbCdEf'],
  ['Stripe’s test key', '"sk_test_51HxAbCdEf"', '51HxAbCdEf'],
  ['a restricted key', '(rk_live_51HxAbCdEf)', '51HxAbCdEf'],
  ['a webhook secret', 'STRIPE_WEBHOOK_SECRET=whsec_AbCdEf0123', 'AbCdEf0123'],
  ['a license key', `no license ${LICENSE_KEY} here`, LICENSE_KEY.slice(7)],
  ['a mail address', 'no such mailbox: ann.lee+bills@agency.example', 'ann.lee'],
  ['a mail address in brackets', '550 <ann.lee@agency.example> rejected', 'ann.lee'],
  ['a mail address in quotes', 'not a mailbox: "ann.lee@agency.example"', 'ann.lee'],
  ['one of several mail addresses', 'to bob@agency.example,ann.lee@agency.example', 'ann.lee'],
  ['a mail address at the start of a line', 'bounced:\nann.lee@agency.example', 'ann.lee'],
  ['the database’s password', 'cannot reach postgres://perdiem:hunter2@db/perdiem', 'hunter2'],
  ['the database’s password, encoded', 'postgresql://perdiem:hunter%402@db:5432/perdiem?sslmode=require', 'hunter'],
  ['a database password with an @', 'postgres://perdiem:pa@hunter2@db/perdiem', 'hunter2'],
  ['the password of Redis', 'redis://:hunter2@redis:6379', 'hunter2'],
  ['the password of Redis behind TLS', 'rediss://default:hunter2@redis:6379', 'hunter2'],
  ['the mail server’s password', 'connect ECONNREFUSED smtp://perdiem:hunter2@mail.example.com:587', 'hunter2'],
  ['the mail server’s password, at a bare host', 'connect ECONNREFUSED smtp://perdiem:hunter2@mailhost:25', 'hunter2'],
]

describe.each(TABOO)('%s', (_, text, secret) => {
  it('is never in a log: not in a message, a field, an error or its stack', () => {
    const error = Object.assign(new Error(text), { detail: text, config: { url: text } })
    const wrapped = new Error('outer', { cause: error })
    const { text: written, lines } = logged((log) => {
      log.info(text)
      log.info({ note: text, deep: { er: { still: [text] } } }, 'told')
      log.warn({ err: error, [text]: 1 }, text)
      log.error(error)
      log.error({ err: wrapped })
      log.error({ err: text })
      log.child({ request: text }).info('from a child')
    })
    expect(written).not.toContain(secret)
    expect(lines).toHaveLength(7)
  })

  it('is cut out of a text', () => {
    expect(text).toContain(secret)
    expect(scrub(text)).not.toContain(secret)
    expect(scrub(`${text}\n${text}`)).not.toContain(secret)
  })
})

describe('a log', () => {
  const NAMES = [
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

  it.each(NAMES)('tells that a field %s was there, and not what it held', (name) => {
    const { lines, text } = logged((log) => {
      log.info({ [name]: 'taboo' })
      log.info({ headers: { [name]: 'taboo' } })
      log.info({ [name]: ['taboo', { taboo: 1 }] })
    })
    expect(text).not.toContain('taboo')
    expect(lines[0]).toMatchObject({ [name]: '[cut]' })
    expect(lines[1]).toMatchObject({ headers: { [name]: '[cut]' } })
  })

  it('writes one JSON object a line, whatever is cut out of it', () => {
    const nasty = [
      '"a@b.example"',
      '\\a@b.example\\',
      'a@b.example\n',
      '\u2028a@b.example',
      '{"a":"sk_test_1"}',
      "'pd_op_x'",
    ]
    const { lines, text } = logged((log) => nasty.forEach((words) => log.info({ words }, words)))
    expect(lines).toHaveLength(nasty.length)
    expect(text.split('\n')).toHaveLength(nasty.length + 1)
  })

  it('keeps of an error its type, message, stack and code', () => {
    const error = Object.assign(new TypeError('no such thing'), { code: 'ENOTHING' })
    const { lines } = logged((log) => log.error({ err: error }, 'failed'))
    expect(lines[0]!.err).toEqual({
      type: 'TypeError',
      message: 'no such thing',
      code: 'ENOTHING',
      stack: expect.stringContaining('log.test.ts'),
    })
    expect(lines[0]).toMatchObject({ msg: 'failed', process: 'worker' })
  })

  it('keeps of what was thrown and is no error the words', () => {
    expect(logged((log) => log.error({ err: 'only words' })).lines[0]!.err).toEqual({ message: 'only words' })
  })

  it('writes nothing below its level', () => {
    expect(logged((log) => log.debug('quiet')).lines).toEqual([])
  })
})

describe('what is no secret', () => {
  it.each([
    'invoice PD-000042 of acct_0199f1b27c3d7abc8def0123456789ab is open',
    'postgres://db.example:5432/perdiem',
    'https://backup.example/?page=2',
    'at run (/srv/perdiem/node_modules/@prisma/client/runtime/client.js:12:7)',
    'three @ signs: @ @ @',
    'job usage.count-day took 12 ms',
  ])('stays as it was: %s', (text) => {
    expect(scrub(text)).toBe(text)
  })
})
