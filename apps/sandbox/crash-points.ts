// Crash points: named places, before and after every commit, provider call, enqueue, file and mail, at which a process
// of the sandbox ends itself by SIGKILL the first time it comes there. Points that have struck are files in a folder,
// which outlives the process, so that each strikes once. For `npm run chaos`; production never loads this file.
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Ports, Tx } from '../../jobs/kit/ports.ts'
import { armCrashPoints, crashPoint } from '../adapters/crash-point.ts'

/** A point's name as a file's name, and back. */
export const fileOf = (point: string): string => encodeURIComponent(point)
export const pointOf = (file: string): string => decodeURIComponent(file)

/** Arms every point there is. */
export function armAll(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  armCrashPoints((point) => {
    try {
      closeSync(openSync(join(folder, fileOf(point)), 'wx', 0o600))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
      throw error
    }
    process.kill(process.pid, 'SIGKILL')
  })
}

type Call = (...values: unknown[]) => unknown

/**
 * A job's ports with crash points around every call that leaves a trace: before it, after it, and for a transaction
 * between its last statement and its commit. The same call made twice in a run has two names.
 */
export function crashingPorts(job: string, ports: Ports): Ports {
  const counts = new Map<string, number>()
  const around = (call: Call, name: string, isTransaction: boolean): Call => {
    return async (...values) => {
      const nth = (counts.get(name) ?? 0) + 1
      counts.set(name, nth)
      const point = `${job} ${name} ${nth}`
      crashPoint(`${point}: before`)
      const work = values.at(-1) as (tx: Tx) => Promise<unknown>
      const inside = async (tx: Tx): Promise<unknown> => {
        const result = await work(tx)
        crashPoint(`${point}: uncommitted`)
        return result
      }
      const result = await call(...(isTransaction ? [...values.slice(0, -1), inside] : values))
      crashPoint(`${point}: after`)
      return result
    }
  }
  const wrap = <T extends object>(port: string, target: T): T =>
    new Proxy(target, {
      get(of, field) {
        const found: unknown = Reflect.get(of, field)
        if (typeof found !== 'function') return found
        return around(found.bind(of) as Call, `${port}.${String(field)}`, port === 'db')
      },
    })
  const { db, stripe, pdf, files, mailer } = ports
  return {
    ...ports,
    db: wrap('db', db),
    stripe: wrap('stripe', stripe),
    pdf: wrap('pdf', pdf),
    files: wrap('files', files),
    mailer: wrap('mailer', mailer),
  }
}
