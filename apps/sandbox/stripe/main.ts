// The stand-in as a process of its own: prints `ready <url>`, ends with whoever started it.
import { fstatSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startStripeStandIn } from './server.ts'
import type { StandInOptions } from './server.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    book: { type: 'string' },
    'secret-key': { type: 'string' },
    'webhook-url': { type: 'string' },
    'webhook-secret': { type: 'string' },
    'rate-limit': { type: 'string' },
    'public-url': { type: 'string' },
    'parent-pid': { type: 'string' },
  },
})

const standIn = await startStripeStandIn(optionsOf())
let closing = false
followParent()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
console.log(`ready ${standIn.url}`)
process.send?.({ ready: standIn.url })

function optionsOf(): StandInOptions {
  const { book, 'secret-key': secretKey } = values
  if (book === undefined || secretKey === undefined) {
    throw new Error('--book and --secret-key are required')
  }
  const { 'webhook-url': url, 'webhook-secret': secret, 'rate-limit': rateLimit } = values
  if ((url === undefined) !== (secret === undefined)) {
    throw new Error('--webhook-url and --webhook-secret go together')
  }
  if (rateLimit !== undefined && rateLimit !== 'live' && rateLimit !== 'test') {
    throw new Error('--rate-limit is live or test')
  }
  return {
    book,
    secretKey,
    port: Number(values.port ?? 0),
    log: (line) => console.error(line),
    ...(url === undefined || secret === undefined ? {} : { webhook: { url, secret } }),
    ...(rateLimit === undefined ? {} : { rateLimit }),
    ...(values['public-url'] === undefined ? {} : { publicUrl: values['public-url'] }),
  }
}

// A parent shows that it is gone by its IPC channel, by the pipe to stdin, or by its process id.
function followParent(): void {
  process.on('disconnect', end)
  const stdin = fstatSync(0, { throwIfNoEntry: false })
  if (stdin?.isFIFO() === true || stdin?.isSocket() === true) {
    process.stdin.on('end', end).on('close', end).on('error', end).resume()
  }
  const pid = Number(values['parent-pid'] ?? 0)
  if (pid > 0) setInterval(() => isAlive(pid) || end(), 1000).unref()
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function end(): void {
  if (closing) return
  closing = true
  standIn.close().finally(() => process.exit(0))
}
