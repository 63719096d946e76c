// What every route is handed: who calls, and the adapters of this process.
import type { Request } from 'express'
import type { Logger } from 'pino'
import type { Clock, Files, PaymentProvider } from '../../jobs/kit/ports.ts'
import type { Role } from '../../jobs/rules/gate.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import type { Relay } from '../adapters/outbox.ts'
import type { Secrets } from '../adapters/secrets.ts'
import type { ActionWaiter } from './waiting.ts'

export interface Services {
  readonly db: ProcessDatabase
  readonly clock: Clock
  readonly secrets: Secrets
  readonly relay: Relay
  /** Why the queue cannot be told of anything just now; null when it can. What is accepted waits in PostgreSQL. */
  readonly queueTrouble: () => string | null
  readonly waiter: ActionWaiter
  readonly stripe: PaymentProvider
  /** Checks a webhook's signature and age; null when it is not Stripe's. */
  readonly verifyWebhook: (body: Buffer, signature: string) => { id: string; type: string; objectId: string } | null
  readonly files: Files
  readonly log: Logger
  /** Where people reach this service: return addresses of Stripe's pages. */
  readonly publicUrl: string
}

export interface Caller {
  readonly keyId: string
  readonly roles: readonly Role[]
  readonly operator: boolean
  /** The account the call is about: the key's own, or the one an operator named. */
  readonly accountId: string | null
}

export interface Call<Body = unknown, Query = unknown, Params = unknown> {
  readonly services: Services
  readonly caller: Caller
  /** The caller's account; on account routes it is always there. */
  readonly accountId: string
  readonly body: Body
  readonly query: Query
  readonly params: Params
  readonly request: Request
}

export interface Reply {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly file?: {
    /** All of it; or text piece by piece, for what would not fit in memory. */
    readonly bytes: Uint8Array | AsyncIterable<string>
    readonly type: string
    readonly name: string
  }
}
