import { describe, expect, it } from 'vitest'
import { apiConfig, childEnvironment, ConfigError, sandboxConfig, workerConfig } from '../../apps/config.ts'

const COMMON = { PERDIEM_SECRET: 'a secret of at least thirty-two bytes', STRIPE_SECRET_KEY: 'sk_test_51HxAbCdEf' }
const API = { ...COMMON, API_DATABASE_URL: 'postgres://api:pw@db/perdiem', STRIPE_WEBHOOK_SECRET: 'whsec_AbCdEf' }
const WORKER = {
  ...COMMON,
  WORKER_DATABASE_URL: 'postgresql://worker:pw@db/perdiem',
  SMTP_URL: 'smtps://u:pw@mail.example:465',
  MAIL_FROM: 'Northwind <billing@northwind.example>',
}

/** What a configuration is refused with. */
function refusal(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  return expect.fail('the configuration was taken')
}

/** The variables a refusal names, each with its line. */
const named = (message: string): Record<string, string> =>
  Object.fromEntries([...message.matchAll(/^ {2}([A-Z_]+): (.+)$/gm)].map(([, name, why]) => [name, why]))

describe('a configuration', () => {
  it('is taken when it says what is needed', () => {
    expect(apiConfig(API)).toMatchObject({ API_DATABASE_URL: 'postgres://api:pw@db/perdiem' })
    expect(workerConfig(WORKER)).toMatchObject({ SMTP_URL: 'smtps://u:pw@mail.example:465' })
    expect(sandboxConfig({})).toEqual({})
  })

  it('takes numbers as numbers and leaves out what it does not know', () => {
    const config = apiConfig({ ...API, PORT: '3000', RATE_LIMIT_PER_MINUTE: '600', EDITOR: 'vi' })
    expect(config).toMatchObject({ PORT: 3000, RATE_LIMIT_PER_MINUTE: 600 })
    expect(config).not.toHaveProperty('EDITOR')
    expect(apiConfig({ ...API, PORT: '0' }).PORT).toBe(0)
  })

  it('takes an empty variable for one that is not set', () => {
    const names = ['PORT', 'HOST', 'LOG_LEVEL', 'STRIPE_URL', 'PUBLIC_URL', 'NODE_ENV', 'PERDIEM_SANDBOX'] as const
    const config = apiConfig({ ...API, ...Object.fromEntries(names.map((name) => [name, ''])) })
    for (const name of names) expect(config[name], name).toBeUndefined()
    expect(named(refusal(() => apiConfig({ ...API, PERDIEM_SECRET: '' })))).toEqual({ PERDIEM_SECRET: 'is not set' })
  })
})

describe('a configuration that will not do', () => {
  it('is refused with every variable that is missing', () => {
    expect(named(refusal(() => apiConfig({})))).toEqual({
      PERDIEM_SECRET: 'is not set',
      STRIPE_SECRET_KEY: 'is not set',
      API_DATABASE_URL: 'is not set',
      STRIPE_WEBHOOK_SECRET: 'is not set',
    })
  })

  it('is refused with every variable that is missing for a worker, those of its mail among them', () => {
    const message = refusal(() => workerConfig({}))
    for (const name of ['PERDIEM_SECRET', 'STRIPE_SECRET_KEY', 'WORKER_DATABASE_URL', 'SMTP_URL', 'MAIL_FROM']) {
      expect(message).toContain(name)
    }
  })

  it('names of a worker’s mail only what is missing', () => {
    const { MAIL_FROM: _, ...rest } = WORKER
    const message = refusal(() => workerConfig(rest))
    expect(message).toContain('MAIL_FROM')
    expect(message).not.toContain('SMTP_URL')
  })

  it.each<[string, string]>([
    ['NODE_ENV', 'prod'],
    ['LOG_LEVEL', 'loud'],
    ['PERDIEM_SECRET', 'too short'],
    ['STRIPE_SECRET_KEY', 'pk_test_1'],
    ['STRIPE_URL', 'not a url'],
    ['PORT', '70000'],
    ['PORT', '-1'],
    ['PORT', '3000.5'],
    ['PORT', 'http'],
    ['API_DATABASE_URL', 'mysql://db/perdiem'],
    ['API_DATABASE_URL', 'db'],
    ['WORKER_DATABASE_URL', 'redis://db'],
    ['STRIPE_WEBHOOK_SECRET', 'secret'],
    ['STRIPE_WEBHOOK_SECRET_OLD', 'secret'],
    ['RATE_LIMIT_PER_MINUTE', '0'],
    ['PUBLIC_URL', 'portal'],
  ])('is refused for the API with %s=%s, which it names', (name, value) => {
    expect(Object.keys(named(refusal(() => apiConfig({ ...API, [name]: value }))))).toEqual([name])
  })

  it.each<[string, string]>([
    ['WORKER_DATABASE_URL', 'mysql://db/perdiem'],
    ['SMTP_URL', 'http://mail.example'],
    ['MAIL_FROM', 'x'],
  ])('is refused for a worker with %s=%s, which it names', (name, value) => {
    expect(Object.keys(named(refusal(() => workerConfig({ ...WORKER, [name]: value }))))).toEqual([name])
  })

  it.each<[string, string]>([
    ['PORT', 'http'],
    ['SANDBOX_OPERATOR_KEY', 'short'],
    ['SANDBOX_SEED', 'all'],
    ['SANDBOX_NOW', 'yesterday'],
    ['SANDBOX_NOW', '2026-11-30'],
    ['SANDBOX_NOW', '2026-11-30T00:00:00'],
    ['LOG_LEVEL', 'loud'],
  ])('is refused for the sandbox with %s=%s, which it names', (name, value) => {
    expect(Object.keys(named(refusal(() => sandboxConfig({ [name]: value }))))).toEqual([name])
  })

  it('is refused with all that is bad at once, and each named once', () => {
    const bad = { ...API, PORT: 'http', LOG_LEVEL: 'loud', PERDIEM_SECRET: 'hunter2', STRIPE_WEBHOOK_SECRET: 'hunter2' }
    const message = refusal(() => apiConfig(bad))
    expect(Object.keys(named(message)).sort()).toEqual(['LOG_LEVEL', 'PERDIEM_SECRET', 'PORT', 'STRIPE_WEBHOOK_SECRET'])
    expect(message.match(/PORT/g)).toHaveLength(1)
  })

  it('never tells what a variable held', () => {
    const held = 'hunter2-hunter2'
    const bad = Object.fromEntries(Object.keys({ ...API, ...WORKER }).map((name) => [name, held]))
    expect(refusal(() => apiConfig({ ...bad, STRIPE_URL: held }))).not.toContain(held)
    expect(refusal(() => workerConfig(bad))).not.toContain(held)
    expect(refusal(() => sandboxConfig({ SANDBOX_SEED: held, SANDBOX_NOW: held }))).not.toContain(held)
  })
})

describe('the sandbox', () => {
  const PRODUCTION = { NODE_ENV: 'production' }

  it('is refused in production, whoever is asked', () => {
    expect(refusal(() => sandboxConfig(PRODUCTION))).toContain('production')
    expect(refusal(() => apiConfig({ ...API, ...PRODUCTION, PERDIEM_SANDBOX: 'x' }))).toContain('PERDIEM_SANDBOX')
    expect(refusal(() => workerConfig({ ...WORKER, ...PRODUCTION, PERDIEM_SANDBOX: 'x' }))).toContain('PERDIEM_SANDBOX')
  })

  it('is off in production and on outside it when asked for', () => {
    expect(apiConfig({ ...API, ...PRODUCTION }).PERDIEM_SANDBOX).toBeUndefined()
    expect(apiConfig({ ...API, PERDIEM_SANDBOX: 'folder' }).PERDIEM_SANDBOX).toBe('folder')
  })

  it('needs no mail server, which a worker elsewhere does', () => {
    const { SMTP_URL: _, MAIL_FROM: __, ...rest } = WORKER
    expect(workerConfig({ ...rest, PERDIEM_SANDBOX: 'folder' }).SMTP_URL).toBeUndefined()
    refusal(() => workerConfig(rest))
  })

  it('takes an instant with its offset for its clock', () => {
    expect(sandboxConfig({ SANDBOX_NOW: '2026-11-30T23:59:59-05:00' }).SANDBOX_NOW).toBe('2026-11-30T23:59:59-05:00')
  })
})

describe('the environment of a child', () => {
  it('has what it is given and nothing of ours', () => {
    const variables = { PERDIEM_SECRET: 'given', EMPTY: undefined }
    const environment = childEnvironment(variables)
    expect(environment).toMatchObject({ PERDIEM_SECRET: 'given', PATH: process.env['PATH'] })
    const allowed = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'NODE_EXTRA_CA_CERTS', ...Object.keys(variables)]
    expect(Object.keys(environment).filter((name) => !allowed.includes(name))).toEqual([])
  })
})
