// The Procfile is the picture of the running system; the sandbox starts what it shows.
import { readFileSync } from 'node:fs'

export interface ProcfileLine {
  readonly name: string
  /** Flags of node itself. */
  readonly flags: readonly string[]
  /** Path of the program below the project's folder. */
  readonly program: string
  readonly args: readonly string[]
}

/** @throws when a line is not `name: node [flags] program.ts [args]` */
export function parseProcfile(text: string): ProcfileLine[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name, command] = /^([a-z]+): node (.+)$/.exec(line) ?? []
      const words = (command ?? '').split(' ')
      const at = words.findIndex((word) => word.endsWith('.ts'))
      if (name === undefined || at < 0)
        throw new Error(`The Procfile has a line that starts no program of ours: ${line}`)
      return { name, flags: words.slice(0, at), program: words[at]!, args: words.slice(at + 1) }
    })
}

/** What runs all the time: everything but the release. */
export const readProcfile = (): ProcfileLine[] =>
  parseProcfile(readFileSync(new URL('../../Procfile', import.meta.url), 'utf8')).filter(
    ({ name }) => name !== 'release',
  )
