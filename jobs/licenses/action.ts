import type { z } from 'zod'
import type { Ports, Tx } from '../kit/ports.ts'
import type { GatedAction } from '../rules/gate.ts'
import type { Day } from '../rules/period.ts'

export interface ActionAccount {
  readonly id: string
  readonly currency: string
  readonly timezone: string
}

export interface ActionContext {
  readonly tx: Tx
  readonly ports: Ports
  readonly account: ActionAccount
  readonly actionId: string
  /** Who asked: `key:<id>`. */
  readonly actor: string
  /** The instant the API accepted it, in which it takes effect however late it is worked (domain.md, Time). */
  readonly at: Date
  /** The account's local day at that instant. */
  readonly today: Day
}

export interface RefusalDetail {
  readonly code: string
  readonly message: string
  /** The field of the request that is wrong, when one is. */
  readonly path?: string
}

export type Applied = { readonly done: Record<string, unknown> } | { readonly refused: RefusalDetail }

/**
 * Something a person can ask for: what it takes, whom the gate asks about, and how it is applied in one transaction.
 */
export interface ActionKind<Input = unknown> {
  readonly kind: string
  readonly input: z.ZodType<Input>
  readonly gate: GatedAction
  readonly apply: (context: ActionContext, input: Input) => Promise<Applied>
}

export function defineAction<Input>(kind: ActionKind<Input>): ActionKind<Input> {
  return kind
}

export const refuse = (code: string, message: string, path?: string): Applied => ({
  refused: path === undefined ? { code, message } : { code, message, path },
})
