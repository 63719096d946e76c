// Generates the Prisma client into prisma/client, without the network. Run by npm's postinstall.
// An argument names another schema file.
//
// Plain JavaScript: it may run before Node 24 is in place, on a Node that cannot read .ts files.
// The Prisma CLI wants to download its native schema engine even for `generate`, which never starts
// it. It is content with PRISMA_SCHEMA_ENGINE_BINARY naming a file that exists: it gets this one.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)

/** Ends with exit code 1 after one sentence, and whatever the tool itself said. */
function fail(sentence, details = '') {
  console.error(`perdiem: ${sentence}`)
  if (details.trim() !== '') console.error(details.trim())
  process.exit(1)
}

function prismaCli() {
  try {
    return createRequire(import.meta.url).resolve('prisma/build/index.js')
  } catch {
    return fail('the package "prisma" is not installed: no database client can be generated.')
  }
}

const schema = resolve(process.argv[2] ?? join(here, 'schema.prisma'))
if (!existsSync(schema)) {
  console.log('perdiem: no prisma/schema.prisma, so no database client was generated.')
  process.exit(0)
}

const config = join(here, 'prisma.config.ts')
const result = spawnSync(
  process.execPath,
  [prismaCli(), 'generate', '--no-hints', '--schema', schema, '--config', config],
  {
    cwd: root,
    encoding: 'utf8',
    timeout: 180_000,
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: fileURLToPath(import.meta.url),
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      PRISMA_GENERATE_SKIP_AUTOINSTALL: '1',
      NO_COLOR: '1',
    },
  },
)

if (result.error !== undefined) {
  fail(`"prisma generate" could not be run: ${result.error.message}`)
}
if (result.status !== 0) {
  const how = result.signal === null ? `exit code ${result.status}` : result.signal
  fail(`"prisma generate" failed (${how}).`, `${result.stdout}\n${result.stderr}`)
}
console.log('perdiem: database client generated.')
