// Nobody gets anything from the board without an operator's or observer's key that is in force, and no other site gets
// anything done through whoever has signed in.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../../apps/board/sessions.ts'
import { keyHashOf } from '../../../apps/board/keys.ts'
import type { Running } from '../../../apps/lifecycle.ts'
import { createStage, freePort, openBoard, visit, type Stage } from './visitor.ts'

let stage: Stage
let board: Running
let operatorKey: string
beforeAll(async () => {
  stage = await createStage()
  board = await openBoard(stage.database.apiUrl)
  operatorKey = (await stage.key('operator')).secret
})
afterAll(async () => {
  await board?.stop()
  await stage?.close()
})

const PATHS = ['/', '/queue/licenses', '/job-schedulers', '/sign-out', '/board.css', '/favicon.ico', '/nowhere', '//']
const DATA_PATHS = [
  '/static/js/main.f10757109b.js',
  '/static/locales/en-US/messages.json',
  '/api/queues',
  '/api/nowhere',
]

describe('without a session', () => {
  it.each(PATHS)('%s leads to the sign-in page', async (path) => {
    const answer = await visit(board.ready).get(path)
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/sign-in'])
    expect(answer.text).not.toContain('script')
  })

  it.each(DATA_PATHS)('%s is refused', async (path) => {
    expect((await visit(board.ready).get(path)).status).toBe(401)
  })

  it('nothing is done: every writing verb is refused before it is understood', async () => {
    for (const method of ['PUT', 'POST', 'PATCH', 'DELETE']) {
      expect((await visit(board.ready).send(method, '/api/queues/licenses/pause')).status).toBe(401)
    }
  })

  it('a made-up session is none', async () => {
    const visitor = visit(board.ready)
    visitor.cookie = `perdiem-board=${'A'.repeat(43)}`
    expect((await visitor.get('/api/queues')).status).toBe(401)
    expect((await visitor.get('/')).status).toBe(303)
  })

  it('the process says that it lives', async () => {
    expect((await visit(board.ready).get('/healthz')).json()).toEqual({ alive: true })
  })
})

describe('signing in', () => {
  it('asks for a key in a labelled field', async () => {
    const { text, status } = await visit(board.ready).get('/sign-in')
    expect(status).toBe(200)
    expect(text).toMatch(/<label for="key">Operator key<\/label>\s*<input id="key"[^>]*type="password"/)
    expect(text).not.toContain('role="alert"')
  })

  it('with an operator’s or an observer’s key opens the board', async () => {
    for (const key of [operatorKey, `  ${(await stage.key('observer')).secret}\n`]) {
      const visitor = visit(board.ready)
      const answer = await visitor.signIn(key)
      expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
      expect((await visitor.get('/')).status).toBe(200)
      expect((await visitor.get('/api/queues')).status).toBe(200)
    }
  })

  it('gives a cookie that no script reads and no other site sends', async () => {
    const answer = await visit(board.ready).signIn(operatorKey)
    expect(answer.headers.get('set-cookie')).toMatch(/^perdiem-board=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
  })

  it('with anything else says so, in words, and gives no cookie', async () => {
    const own = await openBoard(stage.database.apiUrl)
    for (const key of ['wrong', '', 'x'.repeat(301), (await stage.key('owner')).secret]) {
      const answer = await visit(own.ready).signIn(key)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('set-cookie')).toBeNull()
      expect(answer.text).toMatch(/<div class="error" id="error" role="alert">This is no operator’s key/)
      expect(answer.text).toMatch(/aria-invalid="true" aria-describedby="error"/)
    }
    await own.stop()
  })

  it('is refused to an address after ten wrong keys, also with the right one', async () => {
    const own = await openBoard(stage.database.apiUrl)
    const tries = Array.from({ length: 10 }, () => visit(own.ready).signIn('wrong'))
    expect((await Promise.all(tries)).map(({ status }) => status)).toEqual(Array(10).fill(401))
    const answer = await visit(own.ready).signIn(operatorKey)
    expect(answer.status).toBe(429)
    expect(answer.text).toContain('Too many wrong keys')
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    await own.stop()
  })

  it('right is not counted', async () => {
    for (let count = 0; count < 12; count += 1) expect((await visit(board.ready).signIn(operatorKey)).status).toBe(303)
  })
})

describe('a session', () => {
  it('ends at once when its key is revoked', async () => {
    const { id, secret } = await stage.key('operator')
    const visitor = visit(board.ready)
    await visitor.signIn(secret)
    expect((await visitor.get('/api/queues')).status).toBe(200)
    await stage.superuser.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [id])
    expect((await visitor.get('/api/queues')).status).toBe(401)
    expect((await visitor.get('/static/favicon.ico')).status).toBe(401)
    expect((await visit(board.ready).signIn(secret)).status).toBe(401)
  })

  it('ends by signing out, for whoever has a copy of the cookie too', async () => {
    const visitor = visit(board.ready)
    await visitor.signIn(operatorKey)
    const copy = visit(board.ready)
    copy.cookie = visitor.cookie
    expect((await visitor.get('/sign-out')).text).toContain('You are signed in as operator.')
    expect((await visitor.send('POST', '/sign-out')).headers.get('location')).toBe('/sign-in')
    expect(visitor.cookie).toBe('')
    expect((await copy.get('/api/queues')).status).toBe(401)
  })

  it('has a new name after each sign-in, and the old one is gone', async () => {
    const visitor = visit(board.ready)
    await visitor.signIn(operatorKey)
    const old = visit(board.ready)
    old.cookie = visitor.cookie
    await visitor.signIn(operatorKey)
    expect(visitor.cookie).not.toBe(old.cookie)
    expect((await old.get('/api/queues')).status).toBe(401)
  })

  it('ends after half an hour without a person, whatever the page repeats by itself; and after eight hours', () => {
    let minutes = 0
    const sessions = createSessions(() => minutes * 60_000)
    const hash = keyHashOf('a key')!
    const left = sessions.open(hash)
    for (; minutes < 29.9; minutes += 1 / 12) expect(sessions.find(left, '/api/queues?page=1')).not.toBeNull()
    minutes = 30.1
    expect(sessions.find(left, '/api/queues?page=1')).toBeNull()
    const busy = sessions.open(hash)
    const startedAt = minutes
    for (let page = 0; minutes < startedAt + 8 * 60; minutes += 20) {
      expect(sessions.find(busy, `/api/queues?page=${(page += 1)}`)).not.toBeNull()
    }
    expect(sessions.find(busy, '/')).toBeNull()
  })

  it('is one of five hundred at most: the oldest give way', () => {
    const sessions = createSessions(() => 0)
    const ids = Array.from({ length: 502 }, () => sessions.open(keyHashOf('a key')!))
    expect(ids.map((id) => sessions.find(id, '/') !== null).indexOf(true)).toBe(2)
  })
})

describe('another site', () => {
  it.each([
    ['by its origin', { Origin: 'https://evil.example' }],
    ['by an origin that is none', { Origin: 'null' }],
    ['by what the browser says', { 'Sec-Fetch-Site': 'cross-site' }],
    ['by what the browser says of a sister host', { 'Sec-Fetch-Site': 'same-site' }],
    ['by a lie in one of the two', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'same-origin' }],
    ['or a program, by saying nothing', {}],
  ])('is told %s, and refused', async (_, headers) => {
    const visitor = visit(board.ready)
    await visitor.signIn(operatorKey)
    for (const [method, path] of [
      ['PUT', '/api/queues/licenses/x/retry'],
      ['POST', '/sign-out'],
      ['POST', '/sign-in'],
    ] as const) {
      expect((await visitor.ask(method, path, headers as Record<string, string>)).status).toBe(403)
    }
    expect((await visitor.get('/api/queues')).status).toBe(200)
  })
})

describe('every answer', () => {
  it('bears a strict policy, is kept by nobody, and is framed by nobody', async () => {
    const visitor = visit(board.ready)
    await visitor.signIn(operatorKey)
    for (const path of ['/', '/sign-in', '/api/queues', '/nowhere']) {
      const { headers } = await visitor.get(path)
      const policy = headers.get('content-security-policy')!
      expect(policy).toMatch(/^default-src 'none';script-src 'self';/)
      expect(policy).not.toMatch(/unsafe|https?:|\*/)
      expect(policy).toContain("frame-ancestors 'none'")
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('strict-transport-security')).toBeNull()
    }
  })

  it('holds nothing the policy would refuse: no style within, nothing from elsewhere', async () => {
    const visitor = visit(board.ready)
    await visitor.signIn(operatorKey)
    const { text } = await visitor.get('/')
    expect(text).not.toMatch(/https?:\/\/| style=|<style|<script>/)
    expect(text).toContain('<link href="board.css" rel="stylesheet">')
    const { headers, text: form } = await visitor.get('/sign-in')
    const nonce = /<style nonce="([\w-]{22})">/.exec(form)![1]!
    expect(headers.get('content-security-policy')).toContain(`'nonce-${nonce}'`)
  })

  it('behind TLS is for TLS alone', async () => {
    const port = await freePort()
    const own = await openBoard(stage.database.apiUrl, { BOARD_PORT: port, BOARD_URL: 'https://board.example' })
    const visitor = visit(`http://127.0.0.1:${port}`)
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams({ key: operatorKey }).toString()
    const wrong = await visitor.ask('POST', '/sign-in', { ...form, Origin: `http://127.0.0.1:${port}` }, body)
    expect(wrong.status).toBe(403)
    const answer = await visitor.ask('POST', '/sign-in', { ...form, Origin: 'https://board.example' }, body)
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Host-perdiem-board=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    )
    expect(answer.headers.get('strict-transport-security')).toMatch(/^max-age=\d{8}/)
    expect((await visitor.get('/api/queues')).status).toBe(200)
    await own.stop()
  })
})

it('a database that is gone lets nobody in, and is said to be gone', async () => {
  const own = await createStage()
  const { secret } = await own.key('operator')
  const running = await openBoard(own.database.apiUrl)
  const visitor = visit(running.ready)
  await visitor.signIn(secret)
  await own.close()
  for (const path of ['/', '/api/queues']) {
    const answer = await visitor.get(path)
    expect(answer.status).toBe(503)
    expect(answer.text).toContain('Keys cannot be checked now: PostgreSQL does not answer.')
  }
  const answer = await visit(running.ready).signIn(secret)
  expect([answer.status, answer.headers.get('set-cookie')]).toEqual([503, null])
  expect(answer.text).toMatch(/role="alert">Keys cannot be checked now/)
  expect((await visitor.get('/healthz')).status).toBe(200)
  await running.stop()
})
