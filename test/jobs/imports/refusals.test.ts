// Bad input of an import: every row that cannot be taken is named by line and field, its account is left as if it had
// never been sent, and the others are applied.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runImport, type Imported } from '../../support/imports.ts'
import { createProduct, createWorld, type World } from '../../support/world.ts'
import { EVENTS, KNOWN, NEW_ACCOUNTS, PRICES, type Case } from './cases.ts'
import { accountRow, eventRow, filesWith, renamed, type Rows } from './support.ts'

const BILL_FROM = '2026-03'

let world: World
beforeAll(async () => {
  world = await createWorld('2026-03-10T12:00:00Z')
  await createProduct(world, 'backup', '10.00')
  await createProduct(world, 'europe', '9.00', 'eur')
})
afterAll(() => world.close())

/** All there is of an account. */
const factsOf = async (account: string): Promise<string[]> => {
  const rows = await world.db.prisma.$queryRaw<{ told: string }[]>`
    WITH one AS (SELECT * FROM accounts WHERE external_id = ${account})
    SELECT 'account ' || one::text AS told FROM one
    UNION ALL SELECT 'license ' || l::text FROM licenses l JOIN one ON one.id = l.account_id
    UNION ALL SELECT 'past ' || p::text FROM past_assignments p JOIN one ON one.id = p.account_id
    UNION ALL SELECT 'site ' || s::text FROM sites s JOIN one ON one.id = s.account_id
    UNION ALL SELECT 'price ' || p::text FROM prices p JOIN one ON one.id = p.account_id
    UNION ALL SELECT 'audit ' || e::text FROM audit_entries e JOIN one ON one.id = e.account_id ORDER BY 1`
  return rows.map(({ told }) => told)
}

let cases = 0

/** Sends a case’s rows with those of an account that is well, under names of their own. */
async function check({ known, rows, wrong }: Case): Promise<void> {
  cases += 1
  const [bad, good] = [`bad${cases}`, `good${cases}`]
  const send = (all: Rows): Promise<Imported> => runImport(world, filesWith(renamed(all, { bad, good })), BILL_FROM)
  if (known) expect((await send(known)).failures).toEqual([])
  const was = await factsOf(bad)
  const imported = await send({
    ...rows,
    accounts: [...(rows.accounts ?? []), accountRow('good')],
    events: [...(rows.events ?? []), eventRow('2026-03-01T10:00:00Z good L1 issue')],
  })
  const places = imported.failures.map(({ file, line, field }) => `${file} ${line} ${field}`)
  expect(places).toEqual(wrong.map(([place]) => place))
  for (const [n, [, message]] of wrong.entries()) expect(imported.failures[n]!.message).toMatch(message)
  expect(new Set(imported.failures.map(({ account }) => account))).toEqual(new Set([bad]))
  expect(imported).toMatchObject({ status: 'done', outcomes: { [bad]: 'refused', [good]: 'done' } })
  expect(await factsOf(bad)).toEqual(was)
  expect(was.length > 0).toBe(known !== undefined)
  const kinds = (await factsOf(good)).map((fact) => fact.split(' ')[0])
  expect(kinds).toEqual(['account', 'audit', 'audit', 'license'])
}

describe('an account is refused that is', () => it.each(Object.entries(NEW_ACCOUNTS))('%s', (_, one) => check(one)))
describe('an account is refused for an event', () => it.each(Object.entries(EVENTS))('%s', (_, one) => check(one)))
describe('a known account is refused for', () => it.each(Object.entries(KNOWN))('%s', (_, one) => check(one)))
describe('an account is refused for an own price', () => it.each(Object.entries(PRICES))('%s', (_, one) => check(one)))
