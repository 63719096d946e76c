// What a sandbox must find again at its next start: its secrets and ports, in one file only its owner may read.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { explainFileError, StartupError } from './startup-error.ts'

const stateShape = z.object({
  secret: z.string(),
  ownerPassword: z.string(),
  apiPassword: z.string(),
  workerPassword: z.string(),
  stripeSecretKey: z.string(),
  webhookSecret: z.string(),
  operatorKey: z.string(),
  stripePort: z.number(),
  /** Set when everything a new home gets has been made. */
  seeded: z.boolean(),
})
export type SandboxState = z.infer<typeof stateShape>

const random = (): string => randomBytes(24).toString('base64url')

function freshState(): SandboxState {
  return {
    secret: random() + random(),
    ownerPassword: random(),
    apiPassword: random(),
    workerPassword: random(),
    stripeSecretKey: `sk_test_${random().replace(/[-_]/g, 'x')}`,
    webhookSecret: `whsec_${random()}`,
    operatorKey: `pd_op_${random()}`,
    stripePort: 0,
    seeded: false,
  }
}

/** @throws StartupError when the home cannot be used, with a sentence that says why */
export function loadState(home: string): SandboxState {
  const path = join(home, 'sandbox.json')
  try {
    // As root PostgreSQL runs as somebody else, who must be let through; every file and folder within has its own mode.
    mkdirSync(home, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
    if (!existsSync(path)) return saveState(home, freshState())
    const parsed = stateShape.safeParse(JSON.parse(readFileSync(path, 'utf8')))
    if (parsed.success) return parsed.data
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw explainFileError(error, home)
  }
  throw new StartupError(`${path} is damaged. Put it back from a copy, or start with another PERDIEM_HOME.`)
}

export function saveState(home: string, state: SandboxState): SandboxState {
  const path = join(home, 'sandbox.json')
  writeFileSync(`${path}.part`, JSON.stringify(state, null, 2), { mode: 0o600 })
  renameSync(`${path}.part`, path)
  return state
}
