// How a process of ours listens: an error before the first request is a throw; the end waits for no idle connection.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Express } from 'express'

export interface ListenOptions {
  readonly port: number
  readonly host: string
  /** A slow client must not hold a connection for ever: ms for its headers, and for the whole request. */
  readonly headersMs: number
  readonly requestMs: number
}

export interface Listening {
  readonly url: string
  close(): Promise<void>
}

/** @throws the system's own error, when the port is taken or not ours to take */
export async function listen(app: Express, options: ListenOptions): Promise<Listening> {
  const server = app.listen(options.port, options.host)
  server.requestTimeout = options.requestMs
  server.headersTimeout = options.headersMs
  await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))])
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${options.host}:${port}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeIdleConnections()
      }),
  }
}
