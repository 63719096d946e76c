// docker-compose.yml, the Procfile and what CI starts by hand (the sandbox, which reads the Procfile) are one system.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { describe, expect, it } from 'vitest'
import { apiConfig, boardConfig, releaseConfig, workerConfig } from '../apps/config.ts'
import { parseProcfile, readProcfile } from '../apps/sandbox/procfile.ts'

interface Service {
  readonly command?: string
  readonly environment: Readonly<Record<string, string>>
  readonly depends_on?: Readonly<Record<string, { condition: string }>>
  readonly healthcheck?: { test: string }
  readonly ports?: readonly string[]
}

const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')
const { services } = parse(read('docker-compose.yml'), { merge: true }) as { services: Record<string, Service> }
const procfile = [...read('Procfile').matchAll(/^([a-z]+): (.+)$/gm)].map(([, name, command]) => [name!, command!])

/** As compose fills it in: ${NAME:?why}, ${NAME:-default}. */
const filled = (environment: Readonly<Record<string, string>>): Record<string, string> => {
  const given: Record<string, string> = {
    PERDIEM_SECRET: 'x'.repeat(32),
    API_PASSWORD: 'an-api-password',
    WORKER_PASSWORD: 'a-worker-password',
    OWNER_PASSWORD: 'an-owner-password',
    STRIPE_SECRET_KEY: 'rk_live_x',
    STRIPE_WEBHOOK_SECRET: 'whsec_x',
    SMTP_URL: 'smtps://user:password@mail.example:465',
    MAIL_FROM: 'billing@vendor.example',
    PUBLIC_URL: 'https://licenses.vendor.example',
    BOARD_URL: 'https://queues.vendor.example',
  }
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      String(value).replace(/\$\{(\w+):([?-])([^}]*)\}/g, (_, one: string, kind: string, rest: string) => {
        if (kind === '?' && given[one] === undefined) throw new Error(`no value is known for ${one}`)
        return given[one] ?? rest
      }),
    ]),
  )
}

describe('docker-compose.yml', () => {
  it('starts every line of the Procfile, with the same words, and nothing else of ours', () => {
    const ours = Object.entries(services).filter(([name]) => name !== 'postgres' && name !== 'redis')
    expect(Object.fromEntries(ours.map(([name, { command }]) => [name, command]))).toEqual(Object.fromEntries(procfile))
  })

  it('gives each process every variable it needs, and in production only good ones', () => {
    for (const [name, load] of Object.entries({
      web: apiConfig,
      worker: workerConfig,
      documents: workerConfig,
      board: boardConfig,
      release: releaseConfig,
    })) {
      const config = load(filled(services[name]!.environment)) as { REDIS_URL?: string }
      expect([name, config.REDIS_URL]).toEqual([name, 'redis://redis:6379'])
    }
  })

  it('keeps what Redis and PostgreSQL have, forgets no job for want of memory, and waits for both', () => {
    expect(services.redis!.command).toContain('--appendonly yes')
    expect(services.redis!.command).toContain('--maxmemory-policy noeviction')
    for (const store of ['postgres', 'redis']) expect(services[store]!.healthcheck).toBeDefined()
    expect(Object.keys(services.release!.depends_on!).sort()).toEqual(['postgres', 'redis'])
    for (const [name] of procfile.filter(([one]) => one !== 'release')) {
      expect(services[name!]!.depends_on!.release!.condition).toBe('service_completed_successfully')
    }
  })

  it('opens nothing to the world: what is reached from outside is reached through a proxy', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? [])
    expect(ports.every((port) => port.startsWith('127.0.0.1:'))).toBe(true)
  })
})

describe('the Procfile', () => {
  it('is what the sandbox starts: every line but the release', () => {
    expect(
      readProcfile().map(({ name, flags, program, args }) => [name, ['node', ...flags, program, ...args].join(' ')]),
    ).toEqual(procfile.filter(([name]) => name !== 'release'))
  })

  it('is refused where a line starts no program of ours', () => {
    expect(() => parseProcfile('web: rm -rf /')).toThrow('starts no program of ours')
    expect(() => parseProcfile('web: node --flag')).toThrow('starts no program of ours')
  })
})
