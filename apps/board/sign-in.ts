// Signing in with an operator's key, and the guards before everything else: nobody gets anything without a session
// whose key is still in force, and no other site may send for whoever has one.
import { urlencoded, type Request, type RequestHandler, type Response, type Router } from 'express'
import { rateLimit } from 'express-rate-limit'
import type { Logger } from 'pino'
import type { ProcessDatabase } from '../adapters/database.ts'
import { Unavailable } from './bounded.ts'
import { findBoardKey, keyHashOf, type BoardKey } from './keys.ts'
import { signInPage, signOutPage } from './pages.ts'
import type { Sessions } from './sessions.ts'

/** Nobody mistypes a pasted key more often. Keys cannot be guessed: this bounds the work of trying. */
const FAILURES_MAX = 10
const FAILURES_WINDOW_MS = 15 * 60_000
/** A form of one field. */
const FORM_MAX = '2kb'

const WRONG = 'This is no operator’s key that is in force. An account’s key does not open the board.'
const TOO_MANY = 'Too many wrong keys from your address. Try again in a quarter of an hour.'

export interface SignInOptions {
  readonly db: ProcessDatabase
  readonly sessions: Sessions
  readonly log: Logger
  /** Where people reach the board, when that is not where it listens. */
  readonly boardUrl: string | undefined
}

export const isTls = (boardUrl: string | undefined): boolean => boardUrl?.startsWith('https:') === true

/** Whose session it is; only behind `requireSession`. */
export const signedIn = (response: Response): BoardKey => response.locals.key as BoardKey

export const nonceOf = (response: Response): string => response.locals.nonce as string

/** A browser tells truthfully whence a request comes; one that tells nothing is not a page of ours. */
export function refuseOtherSites(boardUrl: string | undefined): RequestHandler {
  const own = (request: Request): string =>
    boardUrl === undefined ? `http://${request.headers.host}` : new URL(boardUrl).origin
  return (request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') return next()
    const { origin, 'sec-fetch-site': site } = request.headers
    const isOwn =
      (origin !== undefined || site !== undefined) &&
      (origin === undefined || origin === own(request)) &&
      (site === undefined || site === 'same-origin')
    if (isOwn) return next()
    response.status(403).json({ error: 'This was sent by another site.' })
  }
}

/** The `__Host-` prefix binds the cookie to TLS and to this very host. */
function cookies(boardUrl: string | undefined) {
  const tls = isTls(boardUrl)
  const name = tls ? '__Host-perdiem-board' : 'perdiem-board'
  const options = { httpOnly: true, sameSite: 'strict', secure: tls, path: '/' } as const
  const pattern = new RegExp(`(?:^|; ?)${name}=([\\w-]{43})(?:;|$)`)
  return {
    read: (request: Request): string => pattern.exec(request.headers.cookie ?? '')?.[1] ?? '',
    set: (response: Response, id: string) => void response.cookie(name, id, options),
    clear: (response: Response) => void response.clearCookie(name, options),
  }
}

const refuseSignIn = (response: Response, status: number, error: string): void =>
  void response
    .status(status)
    .type('html')
    .send(signInPage(nonceOf(response), error))

/** Mounts the sign-in page; after it, nothing is reached without a session. */
export function mountSignIn(router: Router, options: SignInOptions): void {
  const { db, sessions, log } = options
  const cookie = cookies(options.boardUrl)
  router.get('/sign-in', (_request, response) => {
    response.type('html').send(signInPage(nonceOf(response), null))
  })
  router.post(
    '/sign-in',
    failureLimit(),
    urlencoded({ extended: false, limit: FORM_MAX }),
    async (request, response) => {
      const given = (request.body as { key?: unknown } | undefined)?.key
      const hash = keyHashOf(typeof given === 'string' ? given.trim() : '')
      const key = hash && (await findBoardKey(db, hash).catch((error: Error) => error))
      if (key instanceof Unavailable) return refuseSignIn(response, 503, key.message)
      if (key instanceof Error) throw key
      if (!hash || !key) {
        log.warn({ address: request.ip }, 'sign-in refused')
        return refuseSignIn(response, 401, WRONG)
      }
      sessions.end(cookie.read(request))
      cookie.set(response, sessions.open(hash))
      log.info({ keyId: key.id, role: key.role }, 'signed in')
      response.redirect(303, '/')
    },
  )
  router.use(requireSession(options))
  router.get('/sign-out', (_request, response) => {
    response.type('html').send(signOutPage(nonceOf(response), signedIn(response).role))
  })
  router.post('/sign-out', (request, response) => {
    sessions.end(cookie.read(request))
    cookie.clear(response)
    log.info({ keyId: signedIn(response).id }, 'signed out')
    response.redirect(303, '/sign-in')
  })
}

function failureLimit(): RequestHandler {
  return rateLimit({
    windowMs: FAILURES_WINDOW_MS,
    limit: FAILURES_MAX,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_request, response) => response.statusCode !== 401,
    handler: (_request, response) => refuseSignIn(response, 429, TOO_MANY),
  })
}

/** The key is looked up each time: one that is revoked ends its sessions with their next request. */
function requireSession({ db, sessions, boardUrl }: SignInOptions): RequestHandler {
  const cookie = cookies(boardUrl)
  return async (request, response, next) => {
    const id = cookie.read(request)
    const session = sessions.find(id, request.url)
    const key = session && (await findBoardKey(db, session.keyHash))
    if (key) {
      response.locals.key = key
      return next()
    }
    sessions.end(id)
    if (id !== '') cookie.clear(response)
    if (isPageRead(request)) response.redirect(303, '/sign-in')
    else response.status(401).json({ error: 'You are not signed in, or no longer. Load the page again to sign in.' })
  }
}

const isPageRead = (request: Request): boolean =>
  (request.method === 'GET' || request.method === 'HEAD') && !/^\/(api|static)\//.test(request.path)
