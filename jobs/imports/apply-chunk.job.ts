// Applies a chunk of an import's accounts, each whole or not at all, in one transaction. Staged by apply-import.
// Running it twice is safe: a target has one outcome, and what a chunk says that is known already changes nothing.
// Months of its accounts that are not invoiced are opened again, and the search for missing days fills and closes them.
// When it is dead its accounts are refused, with nothing of them done: mend the cause and send the import again.
import { z } from 'zod'
import { billEarlier, createAccounts } from '../accounts/accounts.store.ts'
import { setPrice } from '../accounts/products.store.ts'
import { openMonthsSince } from '../invoices/close.store.ts'
import { audit, auditImport } from '../kit/audit.ts'
import { defineJob, retry } from '../kit/job.ts'
import { done, skipped } from '../kit/outcome.ts'
import type { Ports, Tx } from '../kit/ports.ts'
import { stage } from '../kit/stage.ts'
import { importChanges, importLicenses, importPastAssignments, importSites } from '../licenses/licenses.store.ts'
import { addMonths, finalizeAt, firstDay, monthOf, startOfDay } from '../rules/period.ts'
import countAllDays from '../usage/count-all-days.job.ts'
import { uncountDays } from '../usage/usage.store.ts'
import { FAILURES_PER_CHECK, findFailures } from './import-checks.ts'
import {
  accountsToCreate,
  closedBooks,
  earliestFacts,
  livesAfter,
  pricesToSet,
  type ClosedBook,
} from './import-lives.ts'
import {
  addFailures,
  dropIdleAssignments,
  dropKnownEvents,
  endChunk,
  endImport,
  failChunk,
  lockTargets,
  nameTargets,
  refuseFailing,
  runningImport,
  settleTargets,
  type RunningImport,
} from './imports.store.ts'

interface Chunk extends RunningImport {
  readonly id: string
  readonly chunk: number
  readonly at: Date
}

export default defineJob({
  name: 'imports.apply-chunk',
  payload: z.object({ import: z.uuid(), chunk: z.int() }),
  key: ({ import: id, chunk }) => `${id}.${chunk}`,
  retry: retry.brief,
  timeoutMs: 300_000,
  async run({ import: id, chunk }, ports) {
    const at = await ports.clock.now()
    return await ports.db.acrossAccounts(async (tx) => {
      const running = await runningImport(tx, id)
      if (!running) return skipped('not being applied')
      const targets = await lockTargets(tx, id, chunk)
      if (targets.length === 0) return skipped('already applied')
      const work: Chunk = { ...running, id, chunk, at }
      const known = targets.flatMap(({ accountId }) => (accountId === null ? [] : [accountId]))
      const left = await refuseWrong(tx, work, known.length > 0)
      const changed = left === 0 ? [] : await applyAccounts(tx, ports, work, known)
      await end(tx, work, changed)
      return done(`${targets.length} accounts, ${targets.length - left} refused`)
    })
  },
  async bury({ import: id, chunk }, { db, clock }) {
    const at = await clock.now()
    await db.acrossAccounts(async (tx) => {
      // It may have been committed, and only its answer lost.
      if (!(await runningImport(tx, id)) || (await lockTargets(tx, id, chunk)).length === 0) return
      await failChunk(
        tx,
        id,
        chunk,
        'could not be applied: the dead job imports.apply-chunk says why (GET /v1/admin/jobs)',
      )
      if (await endChunk(tx, id, chunk, [])) await endImport(tx, id, 'done', at)
    })
  },
})

/** Refuses the accounts with a wrong row, all of their wrong rows named. @returns how many accounts are left */
async function refuseWrong(tx: Tx, { id, chunk, at }: Chunk, someKnown: boolean): Promise<number> {
  // Before anything is dropped for being known: what an assignment comes after may be.
  await dropIdleAssignments(tx, id, chunk)
  if (someKnown) {
    const settled = (await closedBooks(tx, id, chunk)).flatMap((book) => settledUntil(book, at))
    await settleTargets(tx, id, settled)
    await dropKnownEvents(tx, id, chunk)
  }
  for (;;) {
    const failures = await findFailures(tx, id, chunk)
    await addFailures(tx, id, failures)
    const left = await refuseFailing(tx, id, chunk)
    // A check that was full may have more to say about other accounts.
    if (left === 0 || failures.length < FAILURES_PER_CHECK) return left
  }
}

/** A month is settled by its final invoice; one that made none, when the invoice day has begun (domain.md, Review). */
function settledUntil(book: ClosedBook, at: Date): { accountId: string; until: Date }[] {
  const { accountId, timezone, invoiceDay } = book
  const passed = (day: string): boolean => finalizeAt(monthOf(day), invoiceDay, timezone) <= at
  const last = [book.invoiced, book.empty.find(passed)]
    .filter((day) => typeof day === 'string')
    .sort()
    .at(-1)
  if (last === undefined) return []
  return [{ accountId, until: startOfDay(firstDay(addMonths(monthOf(last), 1)), timezone) }]
}

/** @returns the accounts that are not as they were */
async function applyAccounts(tx: Tx, ports: Ports, work: Chunk, known: readonly string[]): Promise<string[]> {
  const { id, chunk, actor, billFrom } = work
  const created = await createAll(tx, ports, work)
  await nameTargets(tx, id, chunk)
  const moved = await billEarlier(tx, known, billFrom)
  const priced = await setOwnPrices(tx, ports, work)
  const facts = await earliestFacts(tx, id, chunk)
  await importSites(tx, id, chunk)
  await issueAll(tx, ports, work)
  await importPastAssignments(tx, id, chunk)
  if (known.length > 0) await importChanges(tx, id, chunk)
  await auditImport(tx, id, chunk, actor)
  const late = facts.filter(({ accountId }) => known.includes(accountId))
  await openMonthsSince(tx, late)
  await uncountDays(tx, late)
  return [...created, ...moved, ...priced, ...facts.map(({ accountId }) => accountId)]
}

async function createAll(tx: Tx, ports: Ports, { id, chunk, actor, billFrom, at }: Chunk): Promise<string[]> {
  const accounts = (await accountsToCreate(tx, id, chunk)).map(({ account, details }) => ({
    id: ports.newId(),
    name: details.name,
    externalId: account,
    currency: details.currency,
    timezone: details.timezone,
    billingEmail: details.billing_email,
    poNumber: details.po_number,
    company: details.company,
    autopayCap: details.autopay_cap === null ? null : BigInt(details.autopay_cap),
    cardRequired: details.card_required,
    netDays: details.net_days,
    invoiceDay: details.invoice_day,
    billFrom,
    at,
  }))
  if (accounts.length === 0) return []
  const made = await createAccounts(tx, accounts)
  if (made !== accounts.length) throw new Error('an account of this import was created meanwhile')
  await audit(
    tx,
    accounts.map((account) => ({
      accountId: account.id,
      at,
      actor,
      action: 'account.created',
      subject: account.id,
      details: { import: id, bill_from: billFrom },
    })),
  )
  return accounts.map((account) => account.id)
}

async function setOwnPrices(tx: Tx, ports: Ports, { id, chunk, actor, at }: Chunk): Promise<string[]> {
  const prices = await pricesToSet(tx, id, chunk)
  for (const price of prices) {
    const priceId = ports.newId()
    const terms = { ...price, endsOn: null, billWhilePaused: false, at, id: priceId, jobId: ports.newId() }
    const verdict = await setPrice(tx, terms)
    if (verdict !== 'created') throw new Error(`own price on line ${price.line}: ${verdict}`)
    const details = { import: id, monthly: price.monthlyAmount, from: price.effectiveFrom }
    await audit(tx, [{ accountId: price.accountId, at, actor, action: 'price.created', subject: priceId, details }])
  }
  return prices.flatMap(({ accountId }) => (accountId === null ? [] : [accountId]))
}

/** Issues the new licenses, page by page, each with a key of its own. */
async function issueAll(tx: Tx, ports: Ports, { id, chunk }: Chunk): Promise<void> {
  for (let after = { account: '', license: '' }; ;) {
    const lives = await livesAfter(tx, id, chunk, after)
    const last = lives.at(-1)
    if (!last) return
    await importLicenses(
      tx,
      id,
      lives.map((life) => ({
        ...life,
        id: ports.newId(),
        key: ports.keys.mint(life.product),
        externalRef: life.license,
        issuedIndex: life.line,
      })),
    )
    after = { account: last.account, license: last.license }
  }
}

async function end(tx: Tx, { id, chunk, at }: Chunk, changed: readonly string[]): Promise<void> {
  if (!(await endChunk(tx, id, chunk, changed))) return
  await endImport(tx, id, 'done', at)
  // What is missing is found at once, rather than by the next tick.
  await stage(tx, countAllDays, { at: at.toISOString() })
}
