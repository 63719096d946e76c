// npm start and npm run demo as a person runs them: real processes, real signals.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deleteHome } from '../../../apps/sandbox/postgres-place.ts'
import { waitUntil } from '../../support/wait.ts'

const ROOT = join(import.meta.dirname, '../../..')
const OPERATOR = 'an-operator-key-of-the-tests'

interface Run {
  readonly child: ChildProcess
  output(): string
  /** The address it says it is ready at; fails with its output when it ends before. */
  ready(): Promise<string>
  ended(): Promise<{ code: number | null; output: string }>
}

function run(program: string, env: Record<string, string>): Run {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, ['--import', './apps/node-version.mjs', program], {
    cwd: ROOT,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exit = once(child, 'close')
  return {
    child,
    output: () => output,
    async ready() {
      await waitUntil('it is ready', () => /^ready /m.test(output) || child.exitCode !== null, 120_000)
      const address = /^ready (\S+)$/m.exec(output)?.[1]
      if (!address) throw new Error(`it ended: ${output}`)
      return address
    },
    async ended() {
      const [code] = (await exit) as [number | null]
      return { code, output }
    },
  }
}

/**
 * Every process whose command line or environment names the home: PostgreSQL, the stand-in, the three processes,
 * browsers.
 */
async function processesOf(home: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
    const read = (file: string): Promise<string> => readFile(join('/proc', pid, file), 'latin1').catch(() => '')
    const [command, environment] = [await read('cmdline'), await read('environ')]
    if (command.includes(home) || environment.includes(home)) found.push(`${pid} ${command.replaceAll('\0', ' ')}`)
  }
  return found
}

const get = async (url: string, path: string): Promise<Response> =>
  await fetch(url + path, { headers: { Authorization: `Bearer ${OPERATOR}` } })
const post = async (url: string, path: string, body: unknown): Promise<Response> =>
  await fetch(url + path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${OPERATOR}`, 'Content-Type': 'application/json' },
  })

describe('npm start', () => {
  let home: string
  let env: Record<string, string>
  // A fresh temporary folder has mode 0700: as root, PostgreSQL's own user cannot enter it.
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'perdiem-start-'))
    env = { PERDIEM_HOME: home, PORT: '0', SANDBOX_OPERATOR_KEY: OPERATOR, SANDBOX_NOW: '2026-10-01T12:00:00Z' }
  })
  afterAll(() => deleteHome(home))

  it('starts, stops without leaving a process, and goes on where it was', async () => {
    const first = run('apps/sandbox/main.ts', env)
    const url = await first.ready()
    expect((await get(url, '/readyz')).status).toBe(200)
    const account = await post(url, '/v1/admin/accounts', { name: 'Stays', currency: 'usd', external_id: 'stays' })
    expect(account.status).toBe(201)
    expect(await (await post(url, '/sandbox/clock', { to: '2026-10-03T00:30:00Z' })).json()).toMatchObject({
      now: '2026-10-03T00:30:00.000Z',
    })
    expect((await post(url, '/sandbox/clock', { to: '2026-10-02T00:00:00Z' })).status).toBe(409)

    const second = run('apps/sandbox/main.ts', env)
    const refused = await second.ended()
    expect([refused.code, refused.output]).toEqual([1, expect.stringMatching(/another Perdiem|already/i)])
    expect(refused.output).not.toMatch(/\n {4}at /)

    first.child.kill('SIGINT')
    expect((await first.ended()).code).toBe(0)
    await waitUntil('no process is left', async () => (await processesOf(home)).length === 0)

    const again = run('apps/sandbox/main.ts', env)
    const url2 = await again.ready()
    expect(await (await get(url2, '/v1/admin/accounts?q=stays')).json()).toMatchObject({ total: 1 })
    expect(await (await get(url2, '/sandbox/clock')).json()).toMatchObject({ now: '2026-10-03T00:30:00.000Z' })
    again.child.kill('SIGKILL')
    await again.ended()
    await waitUntil('no process outlives its supervisor', async () => (await processesOf(home)).length === 0)
  })

  it('says in a sentence that the port is taken, and leaves nothing running', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const refused = await run('apps/sandbox/main.ts', { ...env, PORT: String(port) }).ended()
    other.close()
    expect(refused.code).toBe(1)
    expect(refused.output).toContain(`Port ${port} is taken by another program.`)
    expect(refused.output).not.toMatch(/\n {4}at /)
    expect(await processesOf(home)).toEqual([])
  })

  it('refuses production, and names every bad variable', async () => {
    const production = await run('apps/sandbox/main.ts', { ...env, NODE_ENV: 'production' }).ended()
    expect([production.code, production.output]).toEqual([1, expect.stringContaining('does not run in production')])
    const wrong = await run('apps/sandbox/main.ts', { ...env, PORT: 'many', SANDBOX_NOW: 'tomorrow' }).ended()
    expect(wrong.code).toBe(1)
    expect(wrong.output).toMatch(/ {2}PORT: .*\n(.*\n)* {2}SANDBOX_NOW: /)
  })
})

describe('npm run demo', () => {
  it('exits 0 with every invoice as worked out by hand, and leaves readable PDFs and no process', async () => {
    const { code, output } = await run('apps/sandbox/demo.ts', {}).ended()
    expect(output).toContain('every invoice agrees with the sum done by hand')
    expect(code).toBe(0)
    expect(output).not.toContain('DIFFERS')
    const files = (await readdir(join(ROOT, 'demo'))).sort()
    expect(files).toEqual(['MS-000001.pdf', 'MS-000002.pdf', 'MS-000003.pdf'])
    for (const file of files) expect((await readFile(join(ROOT, 'demo', file))).subarray(0, 5).toString()).toBe('%PDF-')
    expect(await processesOf('perdiem-demo-')).toEqual([])
  })
})
