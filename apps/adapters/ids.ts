// Ids: UUIDv7 in the database, prefixed at the API's edge only.
import { randomBytes, randomUUID } from 'node:crypto'
import { wallMs } from './clock.ts'

/** Where the variant and the random bits begin in a UUID's text. */
const RANDOM_AT = 19

let lastMs = 0
let counter = 0

/** A fresh UUIDv7 (RFC 9562): rises with time, and within a millisecond of one process by its 12-bit counter. */
export function newId(): string {
  const now = wallMs()
  if (now > lastMs) {
    lastMs = now
    counter = randomBytes(2).readUInt16BE() & 0x7ff
  } else {
    counter += 1
    if (counter > 0xfff) {
      counter = 0
      lastMs += 1
    }
  }
  const time = lastMs.toString(16).padStart(12, '0')
  const version = (0x7000 | counter).toString(16)
  // Its last 62 bits are as random in every version, and it takes them from a stock instead of the system each time.
  return `${time.slice(0, 8)}-${time.slice(8)}-${version}-${randomUUID().slice(RANDOM_AT)}`
}

/** The prefix of each kind of object. */
export const PREFIX = {
  account: 'acct',
  action: 'act',
  apiKey: 'key',
  invoice: 'inv',
  license: 'lic',
  paymentMethod: 'pm',
  payment: 'pay',
  price: 'price',
  product: 'prod',
  site: 'site',
  job: 'job',
  import: 'imp',
} as const
export type IdKind = keyof typeof PREFIX

export const toPublicId = (kind: IdKind, uuid: string): string => `${PREFIX[kind]}_${uuid.replaceAll('-', '')}`

/** The uuid within a public id, or null when it is not one of that kind. */
export function fromPublicId(kind: IdKind, text: string): string | null {
  const match = new RegExp(`^${PREFIX[kind]}_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$`).exec(
    text,
  )
  return match ? match.slice(1).join('-') : null
}
