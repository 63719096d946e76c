// Stripe's webhooks: only what Stripe signed, lately, is stored; once; and before anything is done about it.
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createProduct, createWorld, type Answer, type World } from '../../support/world.ts'
import { asSuperuser, expectProblem, openJobs, recorded, send } from './support.ts'

/** The test world's. */
const SECRET = 'whsec_test_secret_of_the_test_world'

let world: World
let number = 0
beforeAll(async () => {
  world = await createWorld()
  await createProduct(world, 'backup', '10.00')
})
afterAll(() => world.close())
beforeEach(() => world.drain())

const newEvent = (more: object = {}): string =>
  JSON.stringify({
    id: `evt_test_${(number += 1)}`,
    object: 'event',
    type: 'invoice.paid',
    data: { object: { id: 'in_unknown', object: 'invoice' } },
    ...more,
  })
const now = () => Math.floor(Date.now() / 1_000)
const signed = (body: string | Buffer, { at = now(), secret = SECRET, scheme = 'v1' } = {}): string =>
  `t=${at},${scheme}=${createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex')}`
const deliver = (body: string | Buffer, signature?: string, headers: Record<string, string> = {}): Promise<Answer> =>
  send(world, {
    path: '/webhooks/stripe',
    key: null,
    body,
    headers: {
      'Content-Type': 'application/json',
      ...(signature !== undefined && { 'Stripe-Signature': signature }),
      ...headers,
    },
  })
const stored = async (): Promise<string[]> =>
  (await asSuperuser<{ id: string }>(world, 'SELECT id FROM stripe_events ORDER BY id')).map(({ id }) => id)

/** An event that says a card was entered, on a page where none was. */
async function untrueEvent(): Promise<{ body: string; key: string }> {
  const { key } = await world.account()
  const page = await world.call('POST', '/v1/payment-methods/setup', { key, body: {} })
  const [session] = /cs_test_\w+/.exec(page.body.url)!
  const object = {
    id: session,
    object: 'checkout.session',
    status: 'complete',
    setup_intent: { payment_method: 'pm_card_visa' },
  }
  return { body: newEvent({ type: 'checkout.session.completed', data: { object } }), key }
}

it('a signed event is answered 200 when it is stored and staged, before anything is done', async () => {
  const { body } = await untrueEvent()
  const calls = async () => ((await world.standIn.requests(1_000)) as { data: unknown[] }).data.length
  const before = await calls()
  const answer = await deliver(body, signed(body))
  expect([answer.status, answer.body]).toEqual([200, { received: true }])
  expect(await stored()).toContain(JSON.parse(body).id)
  expect([await openJobs(world), await calls()]).toEqual([1, before])
  await world.drain()
  expect(await openJobs(world)).toBe(0)
  expect(await calls()).toBeGreaterThan(before)
})

it('the same event twice, or many times at once, is stored once', async () => {
  const body = newEvent()
  const answers = await Promise.all(Array.from({ length: 8 }, () => deliver(body, signed(body))))
  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
  expect(await openJobs(world)).toBe(1)
  await world.drain()
  expect((await deliver(body, signed(body))).status).toBe(200)
  expect(await openJobs(world)).toBe(0)
  expect((await stored()).filter((id) => id === JSON.parse(body).id)).toHaveLength(1)
})

const forgeries: [string, (body: string) => [string, string?]][] = [
  ['unsigned', (body) => [body]],
  ['with an empty signature', (body) => [body, '']],
  ['with a signature that is none', (body) => [body, 'nonsense']],
  ['signed with another secret', (body) => [body, signed(body, { secret: 'whsec_another' })]],
  ['signed with an empty secret', (body) => [body, signed(body, { secret: '' })]],
  ['signed by another scheme', (body) => [body, signed(body, { scheme: 'v0' })]],
  ['signed six minutes ago', (body) => [body, signed(body, { at: now() - 360 })]],
  ['signed at no time', (body) => [body, signed(body).replace(/t=\d+,/, '')]],
  ['with the time of its signature changed', (body) => [body, signed(body).replace(/t=\d+/, `t=${now() + 1}`)]],
  ['with its body changed', (body) => [body.replace('in_unknown', 'in_another'), signed(body)]],
  ['with a space more', (body) => [`${body} `, signed(body)]],
  ['without its body', (body) => ['', signed(body)]],
  ['signed, but no JSON', () => ['{', signed('{')]],
  ['signed, but no event', () => ['{"a":1}', signed('{"a":1}')]],
  ['signed, but null', () => ['null', signed('null')]],
]
it.each(forgeries)('an event %s is a 400, and nothing is stored', async (_name, forge) => {
  const [body, signature] = forge(newEvent())
  const before = await recorded(world)
  expectProblem(await deliver(body, signature), 400, 'invalid_signature')
  expect(await recorded(world)).toEqual(before)
})

it('what the event says is not believed but fetched: a card nobody entered is none', async () => {
  const { body, key } = await untrueEvent()
  expect((await deliver(body, signed(body))).status).toBe(200)
  await world.drain()
  expect(await stored()).toContain(JSON.parse(body).id)
  expect((await world.call('GET', '/v1/payment-methods', { key })).body.data).toEqual([])
})

it('a body over a megabyte is 413, one just under it is read', async () => {
  const before = await recorded(world)
  const large = newEvent({ padding: 'x'.repeat(1_048_576) })
  const answer = await deliver(large, signed(large))
  expectProblem(answer, 413, 'body_too_large')
  expect(answer.body.detail).not.toContain('100 kB')
  expect(await recorded(world)).toEqual(before)
  const small = newEvent({ padding: 'x'.repeat(1_040_000) })
  expect((await deliver(small, signed(small))).status).toBe(200)
})

it('the raw bytes are what was signed, whatever the content type', async () => {
  const body = `  ${newEvent({ emoji: '🦉', text: '\\u0041' })}\n`
  expect((await deliver(body, signed(body), { 'Content-Type': 'text/plain' })).status).toBe(200)
})

it('no key is asked for, and one that is sent does not stand in for a signature', async () => {
  const body = newEvent()
  const answer = await send(world, { path: '/webhooks/stripe', body, headers: { 'Content-Type': 'application/json' } })
  expectProblem(answer, 400, 'invalid_signature')
})
