// Ports that break once: before a call, in its commit, or after it, when its effect is there and its answer is lost;
// and ports that stop there and go on.
import type { Ports, Tx } from '../../jobs/kit/ports.ts'

export interface CrashPoint {
  readonly job: string
  /** Which call of the job's, from 0. */
  readonly call: number
  /** As `stripe.charge`. */
  readonly port: string
  readonly how: 'before' | 'commit' | 'after'
}

export class Crashed extends Error {
  override name = 'Crashed'
}

type Call = (...values: unknown[]) => unknown

/** Every call a job makes of its ports goes through `through`. */
function intercept(ports: Ports, through: (port: string, call: Call, values: unknown[]) => unknown): Ports {
  const wrap = <T extends object>(name: string, port: T): T =>
    new Proxy(port, {
      get(target, field) {
        const found: unknown = Reflect.get(target, field)
        if (typeof found !== 'function') return found
        return (...values: unknown[]) => through(`${name}.${String(field)}`, found.bind(target) as Call, values)
      },
    })
  return {
    ...ports,
    db: wrap('db', ports.db),
    clock: wrap('clock', ports.clock),
    stripe: wrap('stripe', ports.stripe),
    pdf: wrap('pdf', ports.pdf),
    files: wrap('files', ports.files),
    mailer: wrap('mailer', ports.mailer),
    newId: () => through('newId', ports.newId, []) as string,
  }
}

/** Notes the calls that are made. */
export const recording = (ports: Ports, calls: string[]): Ports =>
  intercept(ports, (port, call, values) => (calls.push(port), call(...values)))

/** Every way in which the calls of a job can break. What only reads the clock or makes an id has no effect to lose. */
export const pointsOf = (job: string, calls: readonly string[]): CrashPoint[] =>
  calls.flatMap((port, call) => {
    const ways = port.startsWith('db.')
      ? (['before', 'commit', 'after'] as const)
      : port === 'newId' || port.startsWith('clock.')
        ? (['before'] as const)
        : (['before', 'after'] as const)
    return ways.map((how) => ({ job, call, port, how }))
  })

/** Ports that break at one point, once; `fired` is told. */
export function crashing(ports: Ports, point: CrashPoint, fired: () => void): Ports {
  let count = -1
  const crash = (): never => {
    fired()
    throw new Crashed(`${point.job} ${point.call} ${point.port} ${point.how}`)
  }
  return intercept(ports, (port, call, values) => {
    count += 1
    if (count !== point.call) return call(...values)
    if (port !== point.port) throw new Error(`call ${count} is ${port}, not ${point.port}`)
    if (point.how === 'before') return crash()
    if (point.how === 'after') return Promise.resolve(call(...values)).then(crash)
    const work = values.at(-1) as (tx: Tx) => Promise<unknown>
    return call(...values.slice(0, -1), (tx: Tx) => work(tx).then(crash))
  })
}

/**
 * Ports of a worker that is stopped at one point, once, for as long as another worker takes to do the whole job, and
 * then comes back and goes on.
 */
export function stopping(ports: Ports, point: CrashPoint, another: () => Promise<unknown>, fired: () => void): Ports {
  let count = -1
  const stop = async (call: Call, values: unknown[]): Promise<unknown> => {
    fired()
    if (point.how === 'before') await another()
    const result = await call(...values)
    if (point.how === 'after') await another()
    return result
  }
  return intercept(ports, (port, call, values) => {
    count += 1
    if (count !== point.call) return call(...values)
    if (port !== point.port) throw new Error(`call ${count} is ${port}, not ${point.port}`)
    return stop(call, values)
  })
}
