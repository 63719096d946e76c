// Sets a workload's world up: products with prices, accounts with a key and cards each. Every call may be repeated:
// writes carry a key of their own, by which a lost answer (an account's secret among them) is given again.
import type { Answer, Http } from './http.ts'
import { uuidOf, type Ledger, type LedgerAccount } from './ledger.ts'
import type { Sandbox } from './sandbox.ts'
import type { AccountShape, Shape } from './shapes.ts'

/** What the client holds beside its ledger: no secret is written down. */
export interface OpenAccount {
  readonly shape: AccountShape
  readonly ledger: LedgerAccount
  readonly publicId: string
  readonly apiKey: string
}

export interface Tools {
  readonly http: Http
  readonly operatorKey: string
  readonly sandbox: Sandbox
}

const INVOICE_DAY = 3
const NET_DAYS = 14

/** Prices hold from long before, so that every day of the month has one. */
const PRICED_FROM = '2020-01-01'

function expectStatus(what: string, answer: Answer, ...statuses: number[]): void {
  if (statuses.includes(answer.status)) return
  throw new Error(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

export async function openProducts({ http, operatorKey: as }: Tools, ledger: Ledger, shape: Shape): Promise<void> {
  for (const { name, monthly } of shape.products) {
    const slug = `${ledger.tag}-${name}`
    const product = await http.call({
      method: 'POST',
      path: '/v1/admin/products',
      as,
      idempotencyKey: `${ledger.tag}.product.${name}`,
      body: { slug, name: `${name} of ${ledger.tag}`, family: 'chaos' },
    })
    expectStatus(`product ${slug}`, product, 201)
    ledger.products.push({ slug, currency: 'usd', monthly, from: PRICED_FROM })
    if (monthly === null) continue
    const price = await http.call({
      method: 'POST',
      path: '/v1/admin/prices',
      as,
      idempotencyKey: `${ledger.tag}.price.${name}`,
      body: {
        product: slug,
        currency: 'usd',
        model: 'per_day',
        monthly_amount: monthly,
        effective_from: PRICED_FROM,
      },
    })
    expectStatus(`price of ${slug}`, price, 201)
  }
}

export async function openAccount(tools: Tools, ledger: Ledger, shape: AccountShape, n: number): Promise<OpenAccount> {
  const { http, operatorKey: as, sandbox } = tools
  const externalId = `${ledger.tag}-account-${n}`
  const billingEmail = `billing-${ledger.tag}-${n}@chaos.example`
  const answer = await http.call({
    method: 'POST',
    path: '/v1/admin/accounts',
    as,
    idempotencyKey: `${ledger.tag}.account.${n}`,
    body: {
      name: shape.name,
      external_id: externalId,
      currency: 'usd',
      timezone: shape.zone,
      card_required: shape.cardRequired,
      autopay_cap: shape.autopayCap,
      billing_email: billingEmail,
      invoice_day: INVOICE_DAY,
      net_days: NET_DAYS,
    },
  })
  expectStatus(`account ${externalId}`, answer, 201)
  const publicId = answer.body.id as string
  const apiKey = answer.body.api_key.secret as string
  for (const [index, number] of shape.cards.entries()) {
    await sandbox.enterCard({ account: publicId, apiKey, number, primary: index === 0 })
  }
  const known: LedgerAccount = {
    id: uuidOf(publicId),
    externalId,
    zone: shape.zone,
    currency: 'usd',
    createdAt: answer.body.created_at,
    invoiceDay: INVOICE_DAY,
    netDays: NET_DAYS,
    autopayCap: shape.autopayCap,
    cardRequired: shape.cardRequired,
    billingEmail,
    cards: shape.cards,
  }
  return { shape, ledger: known, publicId, apiKey }
}
