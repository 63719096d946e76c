import { malformed } from './errors.ts'
import { operations } from './parameters.ts'

const requestKinds = ['timeout', '500', '429', 'slow'] as const
const webhookKinds = ['drop_webhook', 'duplicate_webhook', 'delay_webhook'] as const
const kinds: readonly string[] = [...requestKinds, ...webhookKinds]

export type FaultKind = (typeof requestKinds)[number] | (typeof webhookKinds)[number]
export interface Fault {
  operation: string
  kind: FaultKind
  times: number
  ms: number
}

const DEFAULT_MS = 2000

/** Misbehavior asked for and not yet shown. It lives as long as the process. */
export class Faults {
  readonly #waiting: Fault[] = []

  /** Takes an order for misbehavior; names that cannot happen are refused. */
  add(order: Record<string, unknown>): Fault {
    const kind = String(order['kind'])
    const operation = String(order['operation'] ?? '*')
    const times = Number(order['times'] ?? 1)
    const ms = Number(order['ms'] ?? DEFAULT_MS)
    if (!kinds.includes(kind)) throw malformed(`kind must be one of ${kinds.join(', ')}`, 'kind')
    if (!Number.isInteger(times) || times < 1) throw malformed('times: 1 or more', 'times')
    if (!Number.isInteger(ms) || ms < 0) throw malformed('ms: 0 or more', 'ms')
    const ofWebhooks = (webhookKinds as readonly string[]).includes(kind)
    const known = ofWebhooks ? /^[a-z_]+(\.[a-z_]+)+$/.test(operation) : operation in operations
    if (operation !== '*' && !known) {
      const names = ofWebhooks ? 'an event type' : Object.keys(operations).join(', ')
      throw malformed(`operation must be * or ${names}`, 'operation')
    }
    const fault = { operation, kind: kind as FaultKind, times, ms }
    this.#waiting.push(fault)
    return { ...fault }
  }

  /** The oldest order that fits, used up once. */
  take(operation: string, wanted: readonly FaultKind[]): Fault | undefined {
    const index = this.#waiting.findIndex(
      (fault) => wanted.includes(fault.kind) && (fault.operation === '*' || fault.operation === operation),
    )
    const fault = this.#waiting[index]
    if (fault === undefined) return undefined
    fault.times -= 1
    if (fault.times === 0) this.#waiting.splice(index, 1)
    return fault
  }

  list(): Fault[] {
    return this.#waiting.map((fault) => ({ ...fault }))
  }

  clear(): void {
    this.#waiting.length = 0
  }
}
