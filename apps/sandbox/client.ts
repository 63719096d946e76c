// A plain client of our own HTTP API: what the demo speaks, as any partner's program would.

export interface Client {
  /** @throws ApiError when the answer is not a success */
  get(path: string): Promise<any>
  post(path: string, body?: unknown): Promise<any>
  put(path: string, body: unknown): Promise<any>
  bytes(path: string): Promise<Uint8Array>
  as(key: string): Client
}

export class ApiError extends Error {
  override name = 'ApiError'
}

/** Moving the clock by a month works off everything due on the way; the longest call there is. */
const TIMEOUT_MS = 600_000

export function apiClient(url: string, key: string): Client {
  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const response = await fetch(url + path, {
      method,
      headers: {
        Authorization: `Bearer ${key}`,
        Prefer: 'wait=30',
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (response.ok && response.status !== 202) return response
    throw new ApiError(`${method} ${path} answered ${response.status}: ${await response.text()}`)
  }
  return {
    get: async (path) => (await send('GET', path)).json(),
    post: async (path, body) => (await send('POST', path, body)).json(),
    put: async (path, body) => (await send('PUT', path, body)).json(),
    bytes: async (path) => new Uint8Array(await (await send('GET', path)).arrayBuffer()),
    as: (other) => apiClient(url, other),
  }
}
