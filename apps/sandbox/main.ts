// npm start: the whole of Perdiem on this machine, until Ctrl-C.
import { resolve } from 'node:path'
import { sandboxConfig } from '../config.ts'
import { explain } from '../lifecycle.ts'
import { seedDemo } from './demo-story.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'

const DEFAULT_PORT = 3_000
/** All parts have their own, shorter bounds; this one is for what nobody foresaw. */
const STOP_WITHIN_MS = 20_000

let sandbox: Sandbox | null = null
let ending = false

async function end(code: number, words: string): Promise<void> {
  if (ending) return
  ending = true
  console.log(words)
  setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref()
  await sandbox?.stop()
  process.exit(code)
}

// A second Ctrl-C changes nothing: the end is bounded, and cutting it short would leave processes behind.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0, '\nStopping …'))

try {
  const config = sandboxConfig()
  const home = resolve(config.PERDIEM_HOME ?? '.perdiem')
  console.log(`Perdiem sandbox in ${home}`)
  sandbox = await startSandbox({
    home,
    port: config.PORT ?? DEFAULT_PORT,
    operatorKey: config.SANDBOX_OPERATOR_KEY,
    now: config.SANDBOX_NOW,
    logLevel: config.LOG_LEVEL,
    executablePath: config.PUPPETEER_EXECUTABLE_PATH,
    redisUrl: config.REDIS_URL,
    say: (line) => console.log(`  ${line}`),
    onExit: (name, how) =>
      void end(1, `${name} ends again and again (${how}); its log is in ${home}/logs. Stopping everything.`),
  })
  if (sandbox.isNew && config.SANDBOX_SEED === 'demo') {
    console.log('  demo accounts …')
    await seedDemo({ url: sandbox.url, operatorKey: sandbox.operatorKey })
  }
  sandbox.markSeeded()
  console.log(`  operator key ${sandbox.operatorKey}`)
  console.log(`  documentation ${sandbox.url}/docs`)
  if (sandbox.boardUrl) console.log(`  queues ${sandbox.boardUrl}`)
  console.log(`ready ${sandbox.url}`)
} catch (error) {
  console.error(explain(error))
  await end(1, 'Not started.')
}
