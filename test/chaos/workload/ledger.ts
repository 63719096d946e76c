// What the client knows of what it did: plain data, to be kept as JSON and held against the database afterwards.

/** An instant as text: RFC 3339, UTC. */
export type InstantText = string

export interface LedgerProduct {
  readonly slug: string
  readonly currency: string
  /** Major units a month; null: it has no price, and nobody can buy it. */
  readonly monthly: string | null
  readonly from: string
}

export interface LedgerAccount {
  /** As in the database. */
  readonly id: string
  readonly externalId: string
  readonly zone: string
  readonly currency: string
  readonly createdAt: InstantText
  readonly invoiceDay: number
  readonly netDays: number
  /** Minor units; null: none. */
  readonly autopayCap: number | null
  readonly cardRequired: boolean
  readonly billingEmail: string | null
  /** Numbers, in the order they were entered; the first is primary. */
  readonly cards: readonly string[]
}

/** Always the same words for the same site. */
export interface SiteWords {
  readonly url: string
  readonly external_id?: string
  readonly client?: string
}

export type What = 'issue' | 'assign' | 'unassign' | 'revoke'

export interface Wish {
  /** Which account's key asks. */
  readonly account: string
  readonly what: What
  readonly product?: string
  readonly quantity?: number
  readonly site?: SiteWords
  readonly transfer?: boolean
  /** As in the database. */
  readonly license?: string
  /** The license belongs to another account: it must be answered like one that does not exist. */
  readonly foreign?: boolean
  /** The key of an earlier, other request is used again: it must be refused. */
  readonly reuses?: string
  /** Sent twice at the same time with one key. */
  readonly twin?: boolean
  /** Waits for the end in the call that asks for it, and only then asks which action it was. */
  readonly waits?: boolean
}

export interface End {
  readonly status: 'done' | 'refused' | 'failed'
  readonly code: string | null
  /** Ids as in the database, in the order they were issued. */
  readonly licenses: readonly string[]
}

export interface LedgerRequest extends Wish {
  readonly key: string
  /** Requests of one burst were under way together: their order is anybody's. */
  readonly burst: number
  /** The business instant at which it was sent, and so in which it takes effect. */
  readonly at: InstantText
  /** The last definite answer; null: there never was one. */
  answer: { readonly status: number; readonly code: string | null } | null
  /** Every action this key was answered with. More than one is a violation. */
  actions: string[]
  end: End | null
}

export interface Move {
  readonly from: InstantText
  readonly to: InstantText
  /** Whether one call carried it, without a failure on the way: then all that was due is done. */
  readonly clean: boolean
}

export interface Ledger {
  readonly tag: string
  readonly seed: number
  readonly openedAt: InstantText
  readonly products: LedgerProduct[]
  readonly accounts: LedgerAccount[]
  readonly requests: LedgerRequest[]
  readonly moves: Move[]
  /** How the outages were felt. */
  readonly felt: { calls: number; retries: number; longestMs: number }
}

/** An id as the API writes it, as the database does. */
export function uuidOf(publicId: string): string {
  const hex = publicId.slice(publicId.lastIndexOf('_') + 1)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export const publicIdOf = (prefix: string, uuid: string): string => `${prefix}_${uuid.replaceAll('-', '')}`

/** Lives lived one after the other in one database, as one. */
export function mergeLedgers(ledgers: readonly Ledger[]): Ledger {
  const [first] = ledgers
  if (!first) throw new Error('there is no ledger')
  let bursts = 0
  const requests = ledgers.flatMap((one) => {
    const offset = bursts
    bursts += 1 + Math.max(-1, ...one.requests.map(({ burst }) => burst))
    return one.requests.map((request) => ({ ...request, burst: request.burst + offset }))
  })
  return {
    ...first,
    requests,
    products: ledgers.flatMap(({ products }) => products),
    accounts: ledgers.flatMap(({ accounts }) => accounts),
    moves: ledgers.flatMap(({ moves }) => moves),
  }
}
