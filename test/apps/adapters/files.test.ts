import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFiles } from '../../../apps/adapters/files.ts'

let parent: string
let folder: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'perdiem files '))
  folder = join(parent, 'documents')
})

afterEach(() => rm(parent, { recursive: true, force: true }))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content)

/** Everything below the test's folder, by path. */
const all = async (): Promise<string[]> =>
  (await readdir(parent, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(parent.length + 1))
    .sort()

describe('a file', () => {
  it('is read as it was written, and is replaced by the same name', async () => {
    const files = createFiles(folder)
    await files.put('invoices/a.pdf', bytes('first'))
    await files.put('invoices/a.pdf', bytes('2'))
    expect(text(await files.get('invoices/a.pdf'))).toBe('2')
    expect(await all()).toEqual(['documents/invoices/a.pdf'])
  })

  it('holds any bytes, and none', async () => {
    const files = createFiles(folder)
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    await files.put('every', every)
    await files.put('none', new Uint8Array())
    expect(Uint8Array.from(await files.get('every'))).toEqual(every)
    expect(await files.get('none')).toHaveLength(0)
  })

  it('is nobody else’s to read', async () => {
    await createFiles(folder).put('invoices/a.pdf', bytes('x'))
    expect((await lstat(join(folder, 'invoices/a.pdf'))).mode & 0o077).toBe(0)
    expect((await lstat(join(folder, 'invoices'))).mode & 0o077).toBe(0)
  })

  it('that was never written is missing', async () => {
    await expect(createFiles(folder).get('invoices/none.pdf')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('is seen whole at every moment while it is replaced again and again', async () => {
    const files = createFiles(folder)
    const size = 1 << 20
    const filled = (value: number): Uint8Array => new Uint8Array(size).fill(value)
    await files.put('a.pdf', filled(0))
    let writing = true
    const write = async (): Promise<void> => {
      for (let value = 1; value <= 12; value += 1) await files.put('a.pdf', filled(value))
      writing = false
    }
    const read = async (): Promise<number> => {
      let reads = 0
      while (writing) {
        const seen = await files.get('a.pdf')
        expect(seen).toHaveLength(size)
        expect(seen.every((byte) => byte === seen[0])).toBe(true)
        reads += 1
      }
      return reads
    }
    const [, reads] = await Promise.all([write(), read()])
    expect(reads).toBeGreaterThan(0)
  })

  it('is one of those written at once, and nothing of the others is left', async () => {
    const files = createFiles(folder)
    const given = Array.from({ length: 8 }, (_, index) => String(index).repeat(10_000))
    await Promise.all(given.map((content) => files.put('a.pdf', bytes(content))))
    expect(given).toContain(text(await files.get('a.pdf')))
    expect(await all()).toEqual(['documents/a.pdf'])
  })
})

describe('a write that fails', () => {
  it('leaves nothing of itself', async () => {
    await mkdir(join(folder, 'a.pdf', 'in the way'), { recursive: true })
    await expect(createFiles(folder).put('a.pdf', bytes('x'))).rejects.toThrow()
    expect(await all()).toEqual([])
  })

  it('leaves the file that was there', async () => {
    const files = createFiles(folder)
    await files.put('a.pdf', bytes('old'))
    const broken = {
      length: 3,
      get buffer(): never {
        throw new Error('the bytes are gone')
      },
    }
    await expect(files.put('a.pdf', broken as unknown as Uint8Array)).rejects.toThrow()
    expect(text(await files.get('a.pdf'))).toBe('old')
    expect(await all()).toEqual(['documents/a.pdf'])
  })
})

describe('what a crash left half-written', () => {
  it('is neither read for the file nor in its way', async () => {
    const files = createFiles(folder)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, '.0199f1b2-7c3d-7abc-8def-0123456789ab.part'), 'half a fi')
    await expect(files.get('a.pdf')).rejects.toMatchObject({ code: 'ENOENT' })
    await files.put('a.pdf', bytes('whole'))
    expect(text(await files.get('a.pdf'))).toBe('whole')
  })
})

describe('a name', () => {
  const BAD = [
    '../secret',
    'a/../../secret',
    '..',
    '.',
    '',
    '/',
    '/etc/passwd',
    '../documents-other/x',
    'a/../..',
    'x\0y',
  ]

  it.each(BAD)('that leaves the folder is refused: %j', async (name) => {
    await mkdir(join(parent, 'documents-other'), { recursive: true })
    await writeFile(join(parent, 'secret'), 'not yours')
    const files = createFiles(folder)
    await expect(files.put(name, bytes('x'))).rejects.toThrow()
    await expect(files.get(name)).rejects.toThrow()
    expect(await all()).toEqual(['secret'])
    expect(await readFile(join(parent, 'secret'), 'utf8')).toBe('not yours')
  })

  it('that winds about within the folder stays in it', async () => {
    const files = createFiles(folder)
    await files.put('a/../b/./c.pdf', bytes('x'))
    expect(await all()).toEqual(['documents/b/c.pdf'])
  })
})
