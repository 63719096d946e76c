import type { IncomingMessage, ServerResponse } from 'node:http'
import { refusal } from './errors.ts'

const MAX_BODY = 2 * 1024 * 1024

/** Reads a body whole, up to a bound. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw refusal(413, 'invalid_request_error', 'Request body too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** An answer ready to be sent. */
export interface Answer {
  status: number
  body: string
  headers: Record<string, string>
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    body: `${JSON.stringify(body, null, 2)}\n`,
    headers: { 'Content-Type': 'application/json', ...headers },
  }
}

export function send(response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return
  response.writeHead(answer.status, { 'Cache-Control': 'no-store', ...answer.headers })
  response.end(answer.body)
}
