import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerApi } from './api.ts'
import { Courier } from './courier.ts'
import { ApiError } from './errors.ts'
import { answerPage } from './hosted.ts'
import { json, send } from './http.ts'
import { answerSandbox } from './sandbox.ts'
import { openStandIn } from './standin.ts'
import type { StandIn, StandInOptions } from './standin.ts'

export type { StandInOptions } from './standin.ts'

/** Starts the Stripe stand-in: the API, the pages a person opens, and the webhooks. */
export async function startStripeStandIn(
  options: StandInOptions,
): Promise<{ url: string; port: number; close(): Promise<void> }> {
  const standIn = openStandIn(options)
  const courier = new Courier(standIn)
  standIn.wake = () => courier.wake()
  const server = createServer((request, response) => {
    answer(standIn, courier, request, response).catch((error: unknown) => {
      options.log?.(`stand-in failed: ${error instanceof Error ? error.stack : error}`)
      response.destroy()
    })
  })
  const port = await listen(server, options.port ?? 0)
  const url = `http://127.0.0.1:${port}`
  standIn.baseUrl = (options.publicUrl ?? url).replace(/\/$/, '')
  courier.wake()
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await courier.close()
    standIn.book.close()
  }
  return { url, port, close }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

async function answer(
  standIn: StandIn,
  courier: Courier,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!URL.canParse(request.url ?? '/', standIn.baseUrl)) {
    send(response, json(400, { error: { type: 'invalid_request_error', message: 'Bad URL.' } }))
    return
  }
  const url = new URL(request.url ?? '/', standIn.baseUrl)
  if (url.pathname.startsWith('/v1/')) return answerApi(standIn, request, response)
  try {
    const inSandbox = url.pathname.startsWith('/_sandbox/')
    send(
      response,
      inSandbox ? await answerSandbox(standIn, courier, request, url) : await answerPage(standIn, request, url),
    )
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    send(response, json(error.status, { error: error.body }, error.headers))
  }
}
