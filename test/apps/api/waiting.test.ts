// Prefer: wait holds the answer until the action has ended, or the wait has.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { waitUntil } from '../../support/wait.ts'
import { createProduct, createWorld, type Answer, type TestAccount, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, openJobs, waited } from './support.ts'

let world: World
let account: TestAccount
let license: string
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
  account = await world.account({ card_required: false })
  license = (await waited(world, '/v1/licenses', { key: account.key, body: { product: 'backup' } })).body.licenses[0].id
})
afterAll(() => world.close())

const post = (path: string, prefer: string, body?: unknown): Promise<Answer> =>
  world.call('POST', path, { key: account.key, body, headers: { Prefer: prefer } })
const staged = () => waitUntil('a job is staged', async () => (await openJobs(world)) > 0)

describe('while a worker works', () => {
  it('issuing answers 201 with the licenses', async () => {
    const answer = await waited(world, '/v1/licenses', {
      key: account.key,
      body: { product: 'backup', quantity: 2 },
      wait: 10,
    })
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
      licenses: [expect.objectContaining({ object: 'license' }), expect.objectContaining({ object: 'license' })],
    })
    expect(answer.headers.get('preference-applied')).toBe('wait=10')
    const action = await world.call('GET', answer.headers.get('location')!, { key: account.key })
    expect(action.body).toMatchObject({ status: 'done', result: answer.body })
  })

  it('assign, unassign and revoke answer 200 with the license', async () => {
    const of = { key: account.key, wait: 10 }
    const assigned = await waited(world, `/v1/licenses/${license}/assign`, {
      ...of,
      body: { site: { url: 'a.example' } },
    })
    expect([assigned.status, assigned.body.id, assigned.body.state]).toEqual([200, license, 'assigned'])
    const unassigned = await waited(world, `/v1/licenses/${license}/unassign`, of)
    expect([unassigned.status, unassigned.body.id, unassigned.body.state]).toEqual([200, license, 'unassigned'])
  })

  it('a refusal is a problem that names the field', async () => {
    const of = { key: account.key, wait: 10 }
    expectProblem(await waited(world, `/v1/licenses/${license}/unassign`, of), 409, 'license_not_assigned', 'license')
    await waited(world, `/v1/licenses/${license}/assign`, { ...of, body: { site: { url: 'a.example' } } })
    const elsewhere = await waited(world, `/v1/licenses/${license}/assign`, {
      ...of,
      body: { site: { url: 'b.example' } },
    })
    expectProblem(elsewhere, 409, 'license_assigned', 'transfer')
    const site = { url: 'a.example', external_id: '1' }
    expect(
      (
        await waited(world, `/v1/licenses/${license}/assign`, {
          ...of,
          body: { site: { external_id: '1' }, transfer: true },
        })
      ).status,
    ).toBe(200)
    const two = await waited(world, `/v1/licenses/${license}/assign`, { ...of, body: { site } })
    expectProblem(two, 422, 'site_conflict', 'site')
  })

  it('many wait at once, and each is answered with its own', async () => {
    const quantities = Array.from({ length: 8 }, (_, index) => index + 1)
    const pending = quantities.map((quantity) => post('/v1/licenses', 'wait=30', { product: 'backup', quantity }))
    await waitUntil('all are staged', async () => (await openJobs(world)) === quantities.length)
    await world.drain()
    const answers = await Promise.all(pending)
    expect(answers.map(({ status, body }) => [status, body.licenses.length])).toEqual(
      quantities.map((quantity) => [201, quantity]),
    )
  })

  it('two who wait for the same action, by its key, are both answered', async () => {
    const call = () =>
      world.call('POST', '/v1/licenses', {
        key: account.key,
        body: { product: 'backup' },
        headers: { Prefer: 'wait=30', 'Idempotency-Key': 'both' },
      })
    const first = call()
    await staged()
    const second = call()
    await world.drain()
    const answers = await Promise.all([first, second])
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    expect(answers[1].body).toEqual(answers[0].body)
    expect(answers[1].headers.get('idempotent-replayed')).toBe('true')
  })

  it('an action that has ended is not waited for', async () => {
    const headers = { Prefer: 'wait=30', 'Idempotency-Key': 'ended' }
    const first = await waited(world, '/v1/licenses', { key: account.key, body: { product: 'backup' }, headers })
    const again = await world.call('POST', '/v1/licenses', { key: account.key, body: { product: 'backup' }, headers })
    expect([again.status, again.body]).toEqual([201, first.body])
  })
})

describe('while no worker works', () => {
  it('the wait ends with 202, and the action is carried out later', async () => {
    const answer = await post('/v1/licenses', 'wait=1', { product: 'backup' })
    expect([answer.status, answer.body.status, answer.body.result]).toEqual([202, 'queued', null])
    expect(answer.headers.get('location')).toBe(`/v1/actions/${answer.body.id}`)
    await world.drain()
    expect((await world.call('GET', `/v1/actions/${answer.body.id}`, { key: account.key })).body.status).toBe('done')
  })

  it.each(['', 'wait=0', 'wait', 'wait=', 'wait=-1', 'wait=abc', 'waiting=30', 'respond-async', 'return=minimal'])(
    'Prefer: %j is answered at once',
    async (prefer) => {
      const answer = await post('/v1/licenses', prefer, { product: 'backup' })
      expect([answer.status, answer.body.status, answer.headers.get('preference-applied')]).toEqual([
        202,
        'queued',
        null,
      ])
      await world.drain()
    },
  )

  it('wait is understood among other preferences', async () => {
    for (const prefer of ['respond-async, wait=1', 'WAIT=1', 'return=minimal; wait=1']) {
      const answer = await post('/v1/licenses', prefer, { product: 'backup' })
      expect([answer.status, answer.headers.get('preference-applied')]).toEqual([202, 'wait=1'])
    }
    await world.drain()
  })

  it('a caller who hangs up loses nothing', async () => {
    const before = (await world.call('GET', '/v1/licenses/counts', { key: account.key })).body.all
    const gone = new AbortController()
    const lost = fetch(`${world.url}/v1/licenses`, {
      method: 'POST',
      signal: gone.signal,
      body: '{"product":"backup"}',
      headers: { Authorization: `Bearer ${account.key}`, 'Content-Type': 'application/json', Prefer: 'wait=60' },
    })
    await staged()
    gone.abort()
    await expect(lost).rejects.toThrow()
    await world.drain()
    expect((await world.call('GET', '/v1/licenses/counts', { key: account.key })).body.all).toBe(before + 1)
  })
})

describe('when the listening connection is lost', () => {
  const listeners = () =>
    asSuperuser<{ pid: number }>(
      world,
      `
    SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'perdiem-waiter'`,
      [world.database.name],
    )
  async function cut(): Promise<void> {
    await waitUntil('it listens', async () => (await listeners()).length === 1)
    const [{ pid }] = (await listeners()) as [{ pid: number }]
    await asSuperuser(world, 'SELECT pg_terminate_backend($1)', [pid])
    await waitUntil('it is gone', async () => (await listeners()).every((row) => row.pid !== pid))
  }

  it('before the wait: it is answered still', async () => {
    await cut()
    expect((await waited(world, '/v1/licenses', { key: account.key, body: { product: 'backup' } })).status).toBe(201)
  })

  it('during the wait: it is answered when the action has ended, not when the wait does', async () => {
    let answer: Answer | undefined
    const pending = post('/v1/licenses', 'wait=30', { product: 'backup' }).then((given) => (answer = given))
    await staged()
    await cut()
    await world.drain()
    try {
      await waitUntil('the answer', () => answer !== undefined)
      expect(answer!.status).toBe(201)
    } finally {
      await pending
    }
  })

  it('it listens again by itself, and the next wait is told', async () => {
    await cut()
    await waitUntil('it listens again', async () => (await listeners()).length === 1)
    expect((await waited(world, '/v1/licenses', { key: account.key, body: { product: 'backup' } })).status).toBe(201)
  })
})
