// I6 and I13: every request ended once and as the rules say, and the licenses, sites and stays in the database are
// those that the ledger's requests made, at the instants at which they were sent.
import type { LedgerRequest } from '../workload/ledger.ts'
import { iso, type Evidence, type Violation } from './evidence.ts'
import { ms, msOrNull, type LicenseRow } from './facts.ts'
import { accepted, type Issued, type Life, type Replay } from './lives.ts'

/** What each caller was answered. */
export function checkAnswers({ ledger }: Evidence): Violation[] {
  const wrong = (request: LedgerRequest, what: string, invariant = 'client'): Violation[] => [
    { invariant, what: `${request.what} ${request.key}: ${what}` },
  ]
  return ledger.requests.flatMap((request): Violation[] => {
    const { answer, actions, foreign, reuses } = request
    if (answer === null) return wrong(request, 'there never was a definite answer')
    if (actions.length > 1) return wrong(request, `one key led to the actions ${actions.join(' and ')}`, 'I6')
    const told = `${answer.status} ${answer.code ?? ''}`
    if (foreign) return told === '404 not_found' ? [] : wrong(request, `of another account's: ${told}`, 'I11')
    if (reuses) return told === '409 idempotency_key_reused' ? [] : wrong(request, `with a used key: ${told}`, 'I6')
    return answer.status === 202 ? [] : wrong(request, `was not accepted: ${told}`)
  })
}

/** Actions and requests are one to one, and say the same. */
export function checkActions({ ledger, facts }: Evidence): Violation[] {
  const known = new Map(ledger.requests.filter(accepted).map((request) => [request.actions[0]!, request]))
  const there = new Set(facts.actions.map(({ id }) => id))
  const lost = [...known].filter(([id]) => !there.has(id))
  const violations = lost.map(([id, { key }]) => ({ invariant: 'I6', what: `action ${id} of ${key} is lost` }))
  for (const action of facts.actions) {
    const request = known.get(action.id)
    const differs = (what: string): void =>
      void violations.push({ invariant: 'I6', what: `action ${action.id} ${what}` })
    if (!request) {
      differs(`(${action.kind}, ${action.idempotency_key}) was asked for by nobody`)
      continue
    }
    if (action.ended_at === null) differs('has not ended')
    if (action.account_id !== request.account) differs('belongs to another account')
    if (action.kind !== `license.${request.what}`) differs(`is a ${action.kind}, asked for was ${request.what}`)
    if (action.idempotency_key !== request.key)
      differs(`has the key ${action.idempotency_key}, sent was ${request.key}`)
    if (ms(action.accepted_at) !== ms(request.at)) differs(`took effect at ${action.accepted_at}, sent ${request.at}`)
    const told = `${request.end?.status} ${request.end?.code ?? ''}`
    const kept = `${action.status} ${action.error?.code ?? ''}`
    if (told !== kept) differs(`ended as ${kept}, the caller was told ${told}`)
    if (action.status === 'failed') differs('failed')
  }
  return violations
}

/** Licenses as issued: exactly those of the ledger, each with the place in its action. */
export function checkLicenses({ facts }: Evidence, { licenses }: Replay): Violation[] {
  const slugs = new Map(facts.products.map(({ id, slug }) => [id, slug]))
  const rows = new Map(facts.licenses.map((row) => [row.id, row]))
  const extra = facts.licenses.filter(({ id }) => !licenses.has(id))
  return [
    ...extra.map(({ id, issued_by }) => ({
      invariant: 'I6',
      what: `license ${id} of action ${issued_by} is one too many`,
    })),
    ...[...licenses.values()].flatMap((issued): Violation[] => {
      const row = rows.get(issued.id)
      if (!row) return [{ invariant: 'I6', what: `license ${issued.id} of action ${issued.action} is missing` }]
      const expected = [issued.account, issued.product, issued.action, issued.index].join(' ')
      const found = [row.account_id, slugs.get(row.product_id), row.issued_by, row.issued_index].join(' ')
      return [
        ...(expected === found ? [] : [{ invariant: 'I6', what: `license ${row.id} is ${found}, asked: ${expected}` }]),
        ...(ms(row.issued_at) === issued.issued
          ? []
          : [{ invariant: 'I13', what: `license ${row.id} issued ${row.issued_at}, asked for ${iso(issued.issued)}` }]),
      ]
    }),
  ]
}

/** The life that the database tells of a license, in the words of a replay. */
function lifeTold({ facts }: Evidence, row: LicenseRow): Omit<Life, 'told'> {
  const urls = new Map(facts.sites.map(({ id, url }) => [id, url]))
  const past = facts.past_assignments
    .filter(({ license_id }) => license_id === row.id)
    .map((stay) => ({ site: urls.get(stay.site_id) ?? '?', from: ms(stay.assigned_at), to: ms(stay.unassigned_at) }))
  return {
    revoked: msOrNull(row.revoked_at),
    site: row.site_id === null ? null : (urls.get(row.site_id) ?? '?'),
    since: msOrNull(row.assigned_at),
    past,
  }
}

const inOrder = (life: Omit<Life, 'told'>): string =>
  JSON.stringify([life.revoked, life.site, life.since, life.past.map((stay) => JSON.stringify(stay)).sort()])

/** @returns the lives that the database's rows are, where they are possible ones */
export function matchLives(evidence: Evidence, { licenses }: Replay): Map<string, { issued: Issued; life: Life }> {
  const matched = new Map<string, { issued: Issued; life: Life }>()
  const log = Map.groupBy(
    evidence.facts.audit_entries.filter(({ action }) => action.startsWith('license.')),
    ({ subject }) => subject,
  )
  for (const row of evidence.facts.licenses) {
    const issued = licenses.get(row.id)
    const told = inOrder(lifeTold(evidence, row))
    const fitting = issued?.lives.filter((life) => inOrder(life) === told) ?? []
    const words = JSON.stringify((log.get(row.id) ?? []).map(({ action }) => action).sort())
    const life = fitting.find((one) => JSON.stringify(one.told) === words) ?? fitting[0]
    if (issued && life) matched.set(row.id, { issued, life })
  }
  return matched
}

/** Where each license stood and when it ended, among the possible lives. */
export function checkLives(evidence: Evidence, replay: Replay): Violation[] {
  const matched = matchLives(evidence, replay)
  return evidence.facts.licenses.flatMap((row): Violation[] => {
    const issued = replay.licenses.get(row.id)
    if (!issued || matched.has(row.id)) return []
    const found = lifeTold(evidence, row)
    const ends = [...new Set(issued.lives.map(({ revoked }) => revoked))]
    if (!ends.includes(found.revoked)) {
      return [{ invariant: 'I13', what: `license ${row.id} revoked ${iso(found.revoked)}, asked: ${ends.map(iso)}` }]
    }
    return [
      { invariant: 'I6', what: `license ${row.id} stood ${inOrder(found)}, possible: ${issued.lives.map(inOrder)}` },
    ]
  })
}

/** Sites: those that something was put on, once each, with the words they were named by. */
export function checkSites({ ledger, facts }: Evidence): Violation[] {
  const named = ledger.requests.filter(({ site, end }) => site && end?.status === 'done')
  const expected = [...Map.groupBy(named, ({ account, site }) => `${account} ${site!.url}`)].map(([, requests]) => {
    const { account, site } = requests[0]!
    const at = Math.min(...requests.map((request) => ms(request.at)))
    return [account, site!.url, site!.external_id ?? null, site!.client ?? null, at].join(' ')
  })
  const found = facts.sites.map((row) =>
    [row.account_id, row.url, row.external_id, row.client, ms(row.created_at)].join(' '),
  )
  return [
    ...found.filter((site) => !expected.includes(site)).map((site) => `site ${site} was named by nobody so`),
    ...expected.filter((site) => !found.includes(site)).map((site) => `site ${site} is missing`),
    ...found.filter((site, n) => found.indexOf(site) !== n).map((site) => `site ${site} is there twice`),
  ].map((what) => ({ invariant: 'I6', what }))
}

/** Accounts: those that were opened, as they were opened. */
export function checkAccounts({ ledger, facts }: Evidence): Violation[] {
  const words = (...fields: readonly unknown[]): string => fields.map(String).join(' ')
  const expected = ledger.accounts.map((one) =>
    words(
      one.id,
      one.externalId,
      one.currency,
      one.zone,
      one.billingEmail,
      true,
      one.autopayCap,
      one.cardRequired,
      one.netDays,
      one.invoiceDay,
      ms(one.createdAt),
      null,
    ),
  )
  const found = facts.accounts.map((row) =>
    words(
      row.id,
      row.external_id,
      row.currency,
      row.timezone,
      row.billing_email,
      row.autopay,
      row.autopay_cap,
      row.card_required,
      row.net_days,
      row.invoice_day,
      ms(row.created_at),
      row.closed_at,
    ),
  )
  return [
    ...found.filter((one) => !expected.includes(one)).map((one) => `account ${one} was not opened so`),
    ...expected.filter((one) => !found.includes(one)).map((one) => `account ${one} is missing`),
  ].map((what) => ({ invariant: 'I6', what }))
}

/** I13, whatever the ledger says: nothing stands anywhere outside its license's life. */
export function checkStays({ facts }: Evidence): Violation[] {
  const licenses = new Map(facts.licenses.map((row) => [row.id, row]))
  const outside = facts.past_assignments.filter((stay) => {
    const license = licenses.get(stay.license_id)
    if (!license) return true
    const end = msOrNull(license.revoked_at) ?? Infinity
    return ms(stay.assigned_at) < ms(license.issued_at) || ms(stay.unassigned_at) > end
  })
  return outside.map(({ license_id, assigned_at, unassigned_at }) => ({
    invariant: 'I13',
    what: `license ${license_id} stood somewhere from ${assigned_at} to ${unassigned_at}, outside its life`,
  }))
}
