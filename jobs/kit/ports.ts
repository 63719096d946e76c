// What a job may ask of the world. Each port is implemented once in apps/adapters and once as a fake in test/support.
import type { Prisma } from '../../prisma/client/client.ts'

export type Tx = Prisma.TransactionClient

export interface Database {
  /** One transaction on one account's data. Row-level security sees the account, too. */
  withAccount<T>(accountId: string, work: (tx: Tx) => Promise<T>): Promise<T>
  /** One transaction over many accounts: ticks, and jobs that work a chunk of accounts set by set. */
  acrossAccounts<T>(work: (tx: Tx) => Promise<T>): Promise<T>
}

export interface Clock {
  /** Business time. Real time in production; in the sandbox it stands where it was moved to. */
  now(): Promise<Date>
}

export interface MintedKey {
  readonly key: string
  readonly cipher: Uint8Array<ArrayBuffer>
  readonly hash: Uint8Array<ArrayBuffer>
  readonly hint: string
}

export interface LicenseKeys {
  /** A new key for a product: at least 128 random bits, with check symbols. */
  mint(productSlug: string): MintedKey
}

export interface Card {
  readonly stripeId: string
  readonly brand: string
  readonly last4: string
  readonly expMonth: number
  readonly expYear: number
}

export interface MirrorLine {
  readonly description: string
  /** Minor units. */
  readonly amount: bigint
  readonly periodStart: Date
  readonly periodEnd: Date
}

export interface InvoiceCopy {
  readonly status: 'draft' | 'open' | 'paid' | 'void' | 'uncollectible'
  /** Minor units. */
  readonly total: bigint
  readonly lines: number
  readonly hostedUrl: string | null
  /** The charge that paid it, when one did. */
  readonly paidBy: string | null
}

/**
 * How a charge ended; `providerId` is the charge's own id. Not knowing is not among them: an answer that never came
 * is a throw.
 */
export type ChargeResult =
  | { readonly kind: 'succeeded'; readonly providerId: string }
  | {
      readonly kind: 'failed'
      readonly providerId: string | null
      readonly code: string
      readonly advice: string | null
    }
  | { readonly kind: 'requires_action'; readonly providerId: string | null; readonly code: string }
  | { readonly kind: 'processing'; readonly providerId: string }

/** Stripe, in our words. Every call that changes something carries a key made from our row's id. */
export interface PaymentProvider {
  createCustomer(of: { accountId: string; name: string; email: string | null }): Promise<string>
  /** Stripe's page on which a person enters a card. */
  openCardSetup(of: { customerId: string; accountId: string; primary: boolean; returnUrl: string }): Promise<string>
  /** What came of such a page; null while it is not completed. */
  readCardSetup(sessionId: string): Promise<{ accountId: string; primary: boolean; card: Card } | null>
  createInvoiceCopy(of: {
    invoiceId: string
    customerId: string
    currency: string
    number: string
    dueOn: Date | null
    collection: 'charge' | 'send'
  }): Promise<string>
  addLines(stripeInvoiceId: string, invoiceId: string, lines: readonly MirrorLine[]): Promise<void>
  finalizeCopy(stripeInvoiceId: string, invoiceId: string): Promise<void>
  readInvoiceCopy(stripeInvoiceId: string): Promise<InvoiceCopy>
  charge(of: { paymentId: string; stripeInvoiceId: string; stripeMethodId: string }): Promise<ChargeResult>
}

export interface PdfRenderer {
  render(html: string, options: { title: string; footer: string }): Promise<Uint8Array>
}

export interface Files {
  /** Writes a file whole or not at all. The same name again replaces it. */
  put(name: string, bytes: Uint8Array): Promise<void>
  get(name: string): Promise<Uint8Array>
}

export interface Mail {
  /** Stable: the same reason gives the same id, so that a mail handed over twice is known as one. */
  readonly messageId: string
  readonly to: readonly string[]
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly attachments: readonly { filename: string; content: Uint8Array; contentType: string }[]
}

export interface Mailer {
  send(mail: Mail): Promise<void>
}

export interface Log {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
}

export interface Ports {
  readonly db: Database
  readonly clock: Clock
  /** A fresh UUIDv7. */
  readonly newId: () => string
  readonly keys: LicenseKeys
  readonly stripe: PaymentProvider
  readonly pdf: PdfRenderer
  readonly files: Files
  readonly mailer: Mailer
  readonly log: Log
}
