// A client that lives through a month: it opens accounts, asks for many things at once, moves the clock, and waits for
// the end of all it asked for, through whatever outages. What it did stands in its ledger.
import { setTimeout as sleep } from 'node:timers/promises'
import { createHttp, Unanswered, type HttpOptions } from './http.ts'
import { publicIdOf, uuidOf, type End, type Ledger, type LedgerRequest, type SiteWords, type Wish } from './ledger.ts'
import { openAccount, openProducts, type OpenAccount, type Tools } from './open.ts'
import { sandboxOf, type Sandbox } from './sandbox.ts'
import { SMALL, storm, type Known, type Planner, type Shape } from './shapes.ts'

export interface WorkloadOptions extends HttpOptions {
  readonly operatorKey: string
  readonly seed: number
  /** `YYYY-MM` in which the bursts lie; the clock must not be past its first. */
  readonly month: string
  /** `small`, `storm`, or one of your own. */
  readonly shape?: Shape
  /** Makes names unique where several workloads live in one database. */
  readonly tag?: string
  /** Instead of the sandbox's own calls: for tests that hold the clock themselves. */
  readonly sandbox?: Sandbox
  /** How long the end of an action is waited for. */
  readonly settleMs?: number
}

export interface Step {
  readonly name: string
  run(): Promise<void>
}

export interface Workload {
  readonly ledger: Ledger
  open(): Promise<void>
  /** The next burst. */
  act(): Promise<void>
  moveClock(to: string): Promise<void>
  /** Waits until everything accepted has ended. */
  settle(): Promise<void>
  /** Moves on by a day and some until a move meets no failure: after it all that is due is done. */
  rest(): Promise<void>
  /** The whole life, in order. */
  steps(): readonly Step[]
}

export const PRESETS = { small: SMALL, storm: storm() } as const

/** More than the longest day, so that each zone has a midnight in it. */
const REST_MS = 26 * 3_600_000
const RESTS_MAX = 6
const SETTLE_MS = 240_000
const POLL_MS = 100
const AT_ONCE = 12

interface Life {
  readonly options: WorkloadOptions
  readonly tools: Tools
  readonly ledger: Ledger
  readonly planner: Planner
  readonly accounts: OpenAccount[]
  burst: number
}

export function createWorkload(options: WorkloadOptions): Workload {
  const shape = options.shape ?? PRESETS.storm
  const http = createHttp(options)
  const { operatorKey, seed, month } = options
  const tools: Tools = { http, operatorKey, sandbox: options.sandbox ?? sandboxOf(http, operatorKey) }
  const tag = options.tag ?? `w${seed}`
  const ledger: Ledger = {
    tag,
    seed,
    openedAt: '',
    products: [],
    accounts: [],
    requests: [],
    moves: [],
    felt: http.felt,
  }
  const slugs = shape.products.map(({ name }) => `${tag}-${name}`)
  const life: Life = { options, tools, ledger, planner: shape.planner(seed, slugs), accounts: [], burst: 0 }
  const workload: Workload = {
    ledger,
    async open() {
      Object.assign(ledger, { openedAt: await tools.sandbox.now() })
      await openProducts(tools, ledger, shape)
      for (const [n, one] of shape.accounts.entries()) {
        const opened = await openAccount(tools, ledger, one, n)
        life.accounts.push(opened)
        ledger.accounts.push(opened.ledger)
      }
    },
    act: () => act(life),
    moveClock: (to) => moveClock(life, to),
    settle: () => settle(life),
    rest: () => rest(life),
    steps: () => stepsOf(workload, shape, month),
  }
  return workload
}

function stepsOf(workload: Workload, shape: Shape, month: string): Step[] {
  const [year, nth] = month.split('-').map(Number) as [number, number]
  const lastDay = new Date(Date.UTC(year, nth, 0)).getUTCDate()
  const next = new Date(Date.UTC(year, nth, 1)).toISOString().slice(0, 7)
  const instantOf = (text: string): string =>
    `${month}-${String(Math.min(Number(text.slice(0, 2)), lastDay)).padStart(2, '0')}${text.slice(2)}`
  const move = (to: string): Step => ({ name: `move the clock to ${to}`, run: () => workload.moveClock(to) })
  return [
    { name: 'open', run: () => workload.open() },
    ...shape.bursts.flatMap((text, n) => [
      move(instantOf(text)),
      { name: `burst ${n}`, run: () => workload.act() },
      { name: `settle burst ${n}`, run: () => workload.settle() },
    ]),
    // Every zone's month has ended; then every zone's invoice day has begun.
    move(`${next}-01T12:00:00Z`),
    move(`${next}-03T12:00:00Z`),
    { name: 'rest', run: () => workload.rest() },
  ]
}

async function moveClock({ tools, ledger }: Life, to: string): Promise<void> {
  const from = await tools.sandbox.now()
  if (Date.parse(to) <= Date.parse(from)) return
  const { clean } = await tools.sandbox.moveClock(to)
  ledger.moves.push({ from, to: new Date(to).toISOString(), clean })
}

async function rest(life: Life): Promise<void> {
  await settle(life)
  for (let n = 0; n < RESTS_MAX; n += 1) {
    const now = Date.parse(await life.tools.sandbox.now())
    await moveClock(life, new Date(now + REST_MS).toISOString())
    if (life.ledger.moves.at(-1)!.clean) return
  }
  throw new Error(`no move of the clock without a failure in ${RESTS_MAX}`)
}

/** First what is bought, then what is done with what was bought: a burst changes no license that it is still buying. */
async function act(life: Life): Promise<void> {
  const { planner, burst } = life
  const at = await life.tools.sandbox.now()
  await sendAll(
    life,
    at,
    knownAccounts(life).flatMap((known) => planner.issues(known, burst)),
  )
  await settle(life)
  await sendAll(
    life,
    at,
    knownAccounts(life).flatMap((known) => planner.changes(known, burst)),
  )
  life.burst += 1
}

function knownAccounts({ accounts, ledger }: Life): Known[] {
  const licensesOf = (account: string): string[] =>
    ledger.requests.filter((one) => one.account === account).flatMap((one) => one.end?.licenses ?? [])
  const all = accounts.map(({ ledger: { id } }) => ({ id, licenses: licensesOf(id) }))
  return accounts.map(({ shape, ledger: { id } }, index) => ({
    index,
    shape,
    account: id,
    licenses: all[index]!.licenses,
    sites: sitesOf(`${ledger.tag}-${index}`),
    foreign: all.find((other) => other.id !== id && other.licenses.length > 0)?.licenses[0] ?? null,
    usedKey: ledger.requests.findLast((one) => one.account === id && one.what === 'issue' && one.answer)?.key ?? null,
  }))
}

const sitesOf = (name: string): SiteWords[] => [
  { url: `https://one-${name}.example` },
  { url: `https://two-${name}.example`, client: 'Second client' },
  { url: `https://three-${name}.example`, external_id: `blog-${name}`, client: 'Third client' },
]

async function sendAll(life: Life, at: string, wishes: readonly Wish[]): Promise<void> {
  const { ledger, burst } = life
  // Written down before anything is sent: what is lost on the way is known to have been tried.
  const requests = wishes.map((wish, n): LedgerRequest => {
    const key = wish.reuses ?? `${ledger.tag}.${ledger.requests.length + n}`
    return { ...wish, key, burst, at: new Date(at).toISOString(), answer: null, actions: [], end: null }
  })
  ledger.requests.push(...requests)
  const waiting = requests.flatMap((request) => (request.twin ? [request, request] : [request]))
  const failures: unknown[] = []
  const lane = async (): Promise<void> => {
    for (let request = waiting.shift(); request; request = waiting.shift()) {
      await send(life, request).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  if (failures.length > 0) throw failures[0]
}

function callOf(wish: Wish): { path: string; body?: unknown } {
  if (wish.what === 'issue') {
    const { product, quantity, site } = wish
    return { path: '/v1/licenses', body: { product, quantity, ...(site && { site }) } }
  }
  const path = `/v1/licenses/${publicIdOf('lic', wish.license!)}/${wish.what}`
  return wish.what === 'assign' ? { path, body: { site: wish.site, transfer: wish.transfer ?? false } } : { path }
}

async function send({ tools: { http }, accounts }: Life, request: LedgerRequest): Promise<void> {
  const as = accounts.find(({ ledger }) => ledger.id === request.account)!.apiKey
  const ask = { method: 'POST', as, idempotencyKey: request.key, ...callOf(request) } as const
  // Waited for, an answer is the end and not the action: asked again with its key, it tells the action.
  if (request.waits) await http.call({ ...ask, prefer: 'wait=2' })
  const { status, code, body } = await http.call(ask)
  request.answer = { status, code }
  if (status !== 202) return
  const action = uuidOf(body.id)
  if (!request.actions.includes(action)) request.actions.push(action)
}

async function settle({ tools: { http }, accounts, ledger, options }: Life): Promise<void> {
  const until = performance.now() + (options.settleMs ?? SETTLE_MS)
  for (;;) {
    const open = ledger.requests.filter(({ actions, end }) => actions.length > 0 && end === null)
    if (open.length === 0) return
    for (const request of open) {
      const as = accounts.find(({ ledger }) => ledger.id === request.account)!.apiKey
      const path = `/v1/actions/${publicIdOf('act', request.actions[0]!)}`
      const { status, body } = await http.call({ method: 'GET', path, as })
      if (status !== 200) throw new Error(`an accepted action is gone: ${path} ${status} ${JSON.stringify(body)}`)
      request.end = endOf(body)
    }
    if (performance.now() > until) {
      const [first] = open
      throw new Unanswered(`${open.length} accepted actions have not ended, among them ${first!.actions[0]}`)
    }
    await sleep(POLL_MS)
  }
}

interface ActionView {
  readonly status: string
  readonly error: { readonly code: string } | null
  readonly result: { readonly licenses?: readonly { readonly id: string }[] } | null
}

function endOf({ status, error, result }: ActionView): End | null {
  if (status !== 'done' && status !== 'refused' && status !== 'failed') return null
  return { status, code: error?.code ?? null, licenses: (result?.licenses ?? []).map(({ id }) => uuidOf(id)) }
}
