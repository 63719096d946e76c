// The only reader of the environment: parsed once, at start, with every bad variable named.
import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)
const postgresUrl = z.url({ protocol: /^postgres(ql)?$/ })
const redisUrl = z.url({ protocol: /^rediss?$/ })
/** An empty variable is one that was not set: compose files and shells make no difference. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional())

const common = z.object({
  NODE_ENV: optional(z.enum(['production', 'development', 'test'])),
  LOG_LEVEL: optional(z.enum(['debug', 'info', 'warn', 'error', 'silent'])),
  PERDIEM_HOME: optional(z.string().min(1)),
  PERDIEM_SECRET: z.string().min(32, 'needs at least 32 characters of entropy'),
  /** Where BullMQ keeps its queues; unset, in PostgreSQL. */
  REDIS_URL: optional(redisUrl),
  STRIPE_SECRET_KEY: z.string().regex(/^(sk|rk)_(test|live)_/, 'must be a secret or restricted key of Stripe'),
  STRIPE_URL: optional(z.url()),
  /** Set by the sandbox alone: its supervisor's folder. Its presence turns the sandbox's own calls on. */
  PERDIEM_SANDBOX: optional(z.string().min(1)),
  /** Only in the sandbox, for `npm run chaos`: the folder in which crash points that have struck are kept. */
  CHAOS_CRASHES: optional(z.string().min(1)),
  /** Only in the sandbox, for `npm run chaos`: how long a dead worker's job stays its own, in ms. */
  CHAOS_LOCK_MS: optional(z.coerce.number().int().min(100)),
})

const apiVariables = common.extend({
  PORT: optional(port),
  HOST: optional(z.string().min(1)),
  API_DATABASE_URL: postgresUrl,
  /** Only in the sandbox: the clock's mover stages ticks as the worker does. */
  WORKER_DATABASE_URL: optional(postgresUrl),
  STRIPE_WEBHOOK_SECRET: z.string().startsWith('whsec_'),
  STRIPE_WEBHOOK_SECRET_OLD: optional(z.string().startsWith('whsec_')),
  RATE_LIMIT_PER_MINUTE: optional(z.coerce.number().int().min(1)),
  PUBLIC_URL: optional(z.url()),
})

const smtpUrl = z.url({ protocol: /^smtps?$/ })
const mailFrom = z.string().min(3)

const workerVariables = common.extend({
  WORKER_DATABASE_URL: postgresUrl,
  SMTP_URL: optional(smtpUrl),
  MAIL_FROM: optional(mailFrom),
  PUPPETEER_EXECUTABLE_PATH: optional(z.string().min(1)),
})

const sandboxVariables = z.object({
  PORT: optional(port),
  PERDIEM_HOME: optional(z.string().min(1)),
  SANDBOX_OPERATOR_KEY: optional(z.string().min(16, 'needs at least 16 characters').max(200)),
  SANDBOX_SEED: optional(z.enum(['none', 'demo'])),
  SANDBOX_NOW: optional(z.iso.datetime({ offset: true })),
  LOG_LEVEL: optional(z.enum(['debug', 'info', 'warn', 'error', 'silent'])),
  NODE_ENV: optional(z.string()),
  PUPPETEER_EXECUTABLE_PATH: optional(z.string().min(1)),
  REDIS_URL: optional(redisUrl),
})

const keyVariables = z.object({ API_DATABASE_URL: postgresUrl })

const boardVariables = z.object({
  NODE_ENV: common.shape.NODE_ENV,
  LOG_LEVEL: common.shape.LOG_LEVEL,
  REDIS_URL: common.shape.REDIS_URL,
  API_DATABASE_URL: postgresUrl,
  PERDIEM_SANDBOX: common.shape.PERDIEM_SANDBOX,
  BOARD_PORT: optional(port),
  HOST: optional(z.string().min(1)),
  /** Behind TLS the cookie is for TLS alone. */
  BOARD_URL: optional(z.url({ protocol: /^https?$/ })),
})

const releaseVariables = z.object({
  REDIS_URL: common.shape.REDIS_URL,
  /** Left out, the roles keep the passwords they have. */
  API_PASSWORD: optional(z.string().min(8, 'needs at least 8 characters')),
  WORKER_PASSWORD: optional(z.string().min(8, 'needs at least 8 characters')),
})

const opsVariables = z.object({
  PERDIEM_URL: optional(
    z.url({ protocol: /^https?$/ }).refine((url) => !url.includes('@'), 'must bear no user name and no password'),
  ),
  PERDIEM_API_KEY: z.string().regex(/^[\x21-\x7e]+$/, 'must be a key as Perdiem printed it'),
})

export type ApiConfig = z.infer<typeof apiVariables>
export type WorkerConfig = z.infer<typeof workerVariables>
export type SandboxConfig = z.infer<typeof sandboxVariables>
export type ReleaseConfig = z.infer<typeof releaseVariables>
export type BoardConfig = z.infer<typeof boardVariables>

export class ConfigError extends Error {
  override name = 'ConfigError'
}

function parse<T extends z.ZodObject>(schema: T, environment: NodeJS.ProcessEnv): z.infer<T> {
  const result = schema.safeParse(environment)
  if (result.success) return result.data
  const lines = result.error.issues.map((issue) => {
    const name = String(issue.path[0])
    return environment[name] ? `  ${name}: ${issue.message}` : `  ${name}: is not set`
  })
  throw new ConfigError(`The configuration is not usable (README, Configuration):\n${[...new Set(lines)].join('\n')}`)
}

function refuseSandboxInProduction(config: Partial<z.infer<typeof common>>): void {
  if (config.NODE_ENV === 'production' && config.PERDIEM_SANDBOX !== undefined) {
    throw new ConfigError('The sandbox does not run in production: unset PERDIEM_SANDBOX or NODE_ENV.')
  }
  if (config.PERDIEM_SANDBOX === undefined && (config.CHAOS_CRASHES ?? config.CHAOS_LOCK_MS) !== undefined) {
    throw new ConfigError('CHAOS_CRASHES and CHAOS_LOCK_MS are for npm run chaos alone: unset them.')
  }
}

/** @throws ConfigError naming every bad variable */
export function apiConfig(environment = process.env): ApiConfig {
  const config = parse(apiVariables, environment)
  refuseSandboxInProduction(config)
  return config
}

/** @throws ConfigError naming every bad variable */
export function workerConfig(environment = process.env): WorkerConfig {
  // Without the sandbox, mail needs a server and a sender; both are asked for with all the rest.
  const config: WorkerConfig = environment.PERDIEM_SANDBOX
    ? parse(workerVariables, environment)
    : parse(workerVariables.extend({ SMTP_URL: smtpUrl, MAIL_FROM: mailFrom }), environment)
  refuseSandboxInProduction(config)
  return config
}

/** @throws ConfigError naming every bad variable */
export function sandboxConfig(environment = process.env): SandboxConfig {
  const config = parse(sandboxVariables, environment)
  if (config.NODE_ENV === 'production') {
    throw new ConfigError(
      'npm start is the sandbox, which does not run in production: see the Procfile for the processes that do.',
    )
  }
  return config
}

/** @throws ConfigError naming every bad variable */
export function boardConfig(environment = process.env): BoardConfig {
  const config = parse(boardVariables, environment)
  refuseSandboxInProduction(config)
  return config
}

/** @throws ConfigError naming every bad variable */
export const keyConfig = (environment = process.env): z.infer<typeof keyVariables> => parse(keyVariables, environment)

/** Beside DATABASE_URL, which prisma/migrate.ts reads. @throws ConfigError naming every bad variable */
export const releaseConfig = (environment = process.env): ReleaseConfig => parse(releaseVariables, environment)

/** @throws ConfigError naming every bad variable */
export function opsConfig(environment = process.env): { PERDIEM_URL: string; PERDIEM_API_KEY: string } {
  const config = parse(opsVariables, environment)
  return { ...config, PERDIEM_URL: config.PERDIEM_URL ?? 'http://127.0.0.1:3000' }
}

/** The environment children inherit: nothing of ours by accident. */
export const childEnvironment = (variables: Record<string, string | undefined>): NodeJS.ProcessEnv => {
  const { PATH, HOME, LANG, TZ, TMPDIR, NODE_EXTRA_CA_CERTS } = process.env
  return { PATH, HOME, LANG, TZ, TMPDIR, NODE_EXTRA_CA_CERTS, ...variables }
}
