// Ids: UUIDv7 in the database, prefixed at the API's edge only.
import { randomBytes } from 'node:crypto'
import { wallMs } from './clock.ts'

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
  const bytes = randomBytes(16)
  bytes.writeUIntBE(lastMs, 0, 6)
  bytes.writeUInt16BE(0x7000 | counter, 6)
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
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
