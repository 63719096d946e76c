// What comes at the same moment is asked together, and nobody pays for another: neither for his failure nor his wait.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gather } from '../../../apps/api/gather.ts'
import { waitUntil } from '../../support/wait.ts'
import { createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, keyOf, licensesOf } from './support.ts'

describe('gather', () => {
  it('asks together what comes at once, and what comes while it is asking, each with its own answer', async () => {
    const asked: number[][] = []
    let late: Promise<number[]> | undefined
    const ask = gather(async (numbers: readonly number[]): Promise<number[]> => {
      asked.push([...numbers])
      late ??= Promise.all([4, 5].map(ask))
      return numbers.map((n) => n * 10)
    })
    expect(await Promise.all([1, 2, 3].map(ask))).toEqual([10, 20, 30])
    expect(await late).toEqual([40, 50])
    expect(await ask(6)).toBe(60)
    expect(asked).toEqual([[1, 2, 3], [4, 5], [6]])
  })

  it('asks no more than 64 together', async () => {
    const sizes: number[] = []
    const ask = gather(async (numbers: readonly number[]) => {
      sizes.push(numbers.length)
      return numbers
    })
    await Promise.all(Array.from({ length: 130 }, (_, n) => ask(n)))
    expect(sizes).toEqual([64, 64, 2])
  })

  it('asks each alone when together they fail: who is at fault alone is told', async () => {
    const ask = gather(async (numbers: readonly number[]) => {
      if (numbers.includes(3)) throw new Error('not three')
      return numbers
    })
    const answers = await Promise.allSettled([1, 2, 3, 4].map(ask))
    expect(answers.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message))).toEqual([
      1,
      2,
      'not three',
      4,
    ])
  })

  it('does not make others wait for one that hangs', async () => {
    const ask = gather((numbers: readonly number[]) =>
      numbers.includes(1) ? new Promise<number[]>(() => {}) : Promise.resolve(numbers),
    )
    void ask(1)
    await new Promise(setImmediate)
    expect(await Promise.all([2, 3].map(ask))).toEqual([2, 3])
  })
})

describe('requests at the same moment', () => {
  let world: World
  let accounts: TestAccount[]
  beforeAll(async () => {
    world = await createWorld()
    await createProduct(world, 'backup', '10.00')
    accounts = []
    for (let n = 0; n < 3; n += 1) accounts.push(await world.account({ card_required: false }))
  })
  afterAll(() => world.close())

  const issue = (key: string, quantity: number): Promise<Answer> =>
    world.call('POST', '/v1/licenses', { key, body: { product: 'backup', quantity } })

  it('are each done for the account of its own key, and as each asked', async () => {
    const asked = Array.from({ length: 60 }, (_, n) => ({ account: accounts[n % 3]!, quantity: n + 1 }))
    const answers = await Promise.all(asked.map(({ account, quantity }) => issue(account.key, quantity)))
    expect(answers.map(({ status }) => status)).toEqual(asked.map(() => 202))
    await world.drain()
    for (const [n, { account, quantity }] of asked.entries()) {
      const action = await world.call('GET', `/v1/actions/${answers[n]!.body.id}`, { key: account.key })
      expect([action.status, action.body.result?.licenses.length]).toEqual([200, quantity])
    }
    for (const [index, account] of accounts.entries()) {
      const all = asked.filter((_, n) => n % 3 === index).reduce((sum, { quantity }) => sum + quantity, 0)
      expect((await licensesOf(world, account)).total).toBe(all)
    }
  })

  it('a revoked key among valid ones is refused, alone', async () => {
    const revoked = await keyOf(world, accounts[0]!, 'owner')
    expect((await issue(revoked, 1)).status).toBe(202)
    await asSuperuser(world, 'UPDATE api_keys SET revoked_at = now() WHERE hint = $1', [revoked.slice(-4)])
    const keys = Array.from({ length: 12 }, (_, n) => (n % 4 === 3 ? revoked : accounts[n % 3]!.key))
    const answers = await Promise.all(keys.map((key) => issue(key, 1)))
    for (const [n, answer] of answers.entries()) {
      if (keys[n] === revoked) expectProblem(answer, 401, 'unauthorized')
      else expect(answer.status).toBe(202)
    }
    await world.drain()
  })

  it('of an account whose days are being counted wait for that; the others do not', async () => {
    const counter = new pg.Client({ connectionString: world.database.superuserUrl })
    await counter.connect()
    try {
      await counter.query('BEGIN')
      await counter.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [accounts[0]!.uuid])
      let waited = 0
      const held = Array.from({ length: 3 }, () => issue(accounts[0]!.key, 1).finally(() => (waited += 1)))
      const free = await Promise.all(Array.from({ length: 9 }, (_, n) => issue(accounts[1 + (n % 2)]!.key, 1)))
      expect(free.map(({ status }) => status)).toEqual(free.map(() => 202))
      await waitUntil('they wait for the lock', async () => {
        const [row] = await asSuperuser<{ n: string }>(
          world,
          `SELECT count(*) AS n FROM pg_stat_activity
           WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE '%accept_action%'`,
          [world.database.name],
        )
        return row!.n === '3'
      })
      expect(waited).toBe(0)
      await counter.query('COMMIT')
      expect((await Promise.all(held)).map(({ status }) => status)).toEqual([202, 202, 202])
    } finally {
      await counter.end()
    }
    await world.drain()
  })
})
