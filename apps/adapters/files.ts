// Documents on disk. A file is written whole or not at all: under another name first, flushed, then renamed.
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Files } from '../../jobs/kit/ports.ts'
import { newId } from './ids.ts'

/** @param folder where the files live; created when missing */
export function createFiles(folder: string): Files {
  const root = resolve(folder)
  const path = (name: string): string => {
    const full = resolve(root, name)
    if (!full.startsWith(root + sep)) throw new Error(`a file name leaves its folder: ${name}`)
    return full
  }
  return {
    async put(name, bytes) {
      const target = path(name)
      const folder = dirname(target)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const draft = join(folder, `.${newId()}.part`)
      try {
        const file = await open(draft, 'w', 0o600)
        try {
          await file.writeFile(bytes)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(draft, target)
      } catch (error) {
        await rm(draft, { force: true })
        throw error
      }
    },
    get: async (name) => await readFile(path(name)),
  }
}
