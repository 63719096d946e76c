import { readdir, readFile } from 'node:fs/promises'

/** Processes of the browser under `home`: those of a type, else the browsers themselves. */
export async function browserProcesses(home: string, type?: string): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const kind = /--type=([a-z-]+)/.exec(line)?.[1]
    if (line.startsWith(`${home}/chromium/`) && kind === type) found.push(Number(name))
  }
  return found
}
