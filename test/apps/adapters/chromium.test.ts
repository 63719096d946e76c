import { spawn, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { filesOfTar, findChromium } from '../../../apps/adapters/chromium.ts'
import { createPdfRenderer } from '../../../apps/adapters/pdf.ts'
import { PRINT_PREAMBLE } from '../../../jobs/documents/html.ts'
import { browserProcesses } from '../../support/browser-processes.ts'
import { waitUntil } from '../../support/wait.ts'

const MINUTE = { timeout: 60_000 }
const PAGE = `${PRINT_PREAMBLE}<title>x</title></head><body>Hello</body></html>`
const PDF_MODULE = new URL('../../../apps/adapters/pdf.ts', import.meta.url).href
const PACKAGED = process.platform === 'linux' && process.arch === 'x64'

let home: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'perdiem-chromium-'))
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
})

/** The folders under the browser's, without what their names hold of chance. */
async function folders(): Promise<string[]> {
  const names = await readdir(join(home, 'chromium'))
  return names.filter((name) => name !== 'font-cache').map((name) => name.split('-')[0]!)
}

test('a named browser that is none is an error that says so', async () => {
  const executablePath = join(home, 'no-such-browser')
  await expect(findChromium({ executablePath, home })).rejects.toThrow(
    `PUPPETEER_EXECUTABLE_PATH names no program that can be run: ${executablePath}`,
  )
})

test('a named browser is taken as it is', async () => {
  const found = await findChromium({ executablePath: process.execPath, home })
  expect(found).toEqual({ executablePath: process.execPath, bundle: null })
})

test('a tar archive is read file by file', () => {
  const entry = (name: string, kind: string, content: string) => {
    const head = Buffer.alloc(512)
    head.write(name)
    head.write(content.length.toString(8).padStart(11, '0'), 124)
    head.write(kind, 156)
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512)
    body.write(content)
    return Buffer.concat([head, body])
  }
  const tar = Buffer.concat([
    entry('a/', '5', ''),
    entry('a/one', '0', 'x'.repeat(600)),
    entry('link', '2', ''),
    entry('two', '\0', 'y'),
    Buffer.alloc(1024),
    Buffer.from('rest'),
  ])
  const files = [...filesOfTar(tar)].map(([name, bytes]) => [name, bytes.toString()])
  expect(files).toEqual([
    ['a/one', 'x'.repeat(600)],
    ['two', 'y'],
  ])
})

describe.skipIf(!PACKAGED)('the packaged browser', () => {
  test('two unpack it at once beside what a killed one left', MINUTE, async () => {
    const machine = hostname().replace(/[^A-Za-z0-9.]/g, '_')
    const gone = spawnSync(process.execPath, ['--version']).pid
    const half = join(home, 'chromium', `unpacking-${machine}-${gone}-aaaaaa`)
    const elsewhere = join(home, 'chromium', `unpacking-another_machine-${gone}-aaaaaa`)
    for (const folder of [half, elsewhere]) {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'chromium'), 'half of it', { mode: 0o755 })
    }
    const [one, two] = await Promise.all([findChromium({ home }), findChromium({ home })])
    expect(one).toEqual(two)
    expect(one.executablePath.startsWith(join(home, 'chromium'))).toBe(true)
    expect(one.bundle).not.toBeNull()
    expect(await folders()).toEqual([expect.stringMatching(/^\d+\./), 'unpacking'])
    await rm(elsewhere, { recursive: true })
    const { status, stdout } = spawnSync(one.executablePath, ['--version'], {
      env: { LD_LIBRARY_PATH: one.bundle!.libraries },
      encoding: 'utf8',
    })
    expect([status, stdout]).toEqual([0, expect.stringMatching(/\d+\.\d+/)])
  })

  test('ends when the process that started it is killed', MINUTE, async () => {
    const code = `import { createPdfRenderer } from ${JSON.stringify(PDF_MODULE)}
      const renderer = createPdfRenderer({ home: ${JSON.stringify(home)} })
      await renderer.render(${JSON.stringify(PAGE)}, { title: 'x', footer: 'x' })
      console.log('printed')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    expect(await browserProcesses(home)).toHaveLength(1)
    child.kill('SIGKILL')
    await waitUntil(
      'the browser and its renderer are gone',
      async () => [...(await browserProcesses(home)), ...(await browserProcesses(home, 'renderer'))].length === 0,
    )
    expect(await folders()).toContain('profile')
    const renderer = createPdfRenderer({ home })
    await renderer.render(PAGE, { title: 'x', footer: 'x' })
    expect((await folders()).filter((name) => name === 'profile')).toHaveLength(1)
    await renderer.close()
    expect(await folders()).toEqual([expect.stringMatching(/^\d+\./)])
  })
})
