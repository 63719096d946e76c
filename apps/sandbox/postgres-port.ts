import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { StartupError, systemErrorCode } from './startup-error.ts'

/** The error for a fixed port that something else has. */
export function portTaken(port: number): StartupError {
  return new StartupError(
    `Port ${port} on 127.0.0.1, meant for PostgreSQL, is used by another program. ` +
      'Stop that program, or choose another port.',
  )
}

/**
 * The fixed port if one is wanted, else the one remembered in a file if it is free, else a free
 * one.
 */
export async function choosePort(wanted: number, remembered?: string): Promise<number> {
  if (wanted !== 0) {
    if ((await freePort(wanted)) === undefined) throw portTaken(wanted)
    return wanted
  }
  if (remembered !== undefined && existsSync(remembered)) {
    const port = Number(readFileSync(remembered, 'utf8'))
    const usable = Number.isInteger(port) && port > 0 && port < 65_536
    if (usable && (await freePort(port)) !== undefined) return port
  }
  const port = await freePort(0)
  if (port === undefined) throw new StartupError('No free port was found on 127.0.0.1.')
  return port
}

/** The port itself (a free one for 0), or undefined when something else listens there. */
function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      if (systemErrorCode(error) === 'EADDRINUSE') resolve(undefined)
      else if (systemErrorCode(error) === 'EACCES') {
        reject(new StartupError(`This user may not listen on port ${port}. Choose another port.`))
      } else reject(error)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const { port: found } = server.address() as AddressInfo
      server.close(() => resolve(found))
    })
  })
}
