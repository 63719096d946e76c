// The board's Express application: headers, sign-in, then a short list of what may be asked. All else is refused.
import { randomBytes } from 'node:crypto'
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express'
import helmet from 'helmet'
import type { Logger } from 'pino'
import type { Clock } from '../../jobs/kit/ports.ts'
import type { ProcessDatabase } from '../adapters/database.ts'
import { scrub } from '../adapters/log.ts'
import type { BoardQueue } from './board-queue.ts'
import { BOARD_CSS, createBoard, FLOW, ICON_STYLE } from './bull-board.ts'
import { troublePage } from './pages.ts'
import { mountRetry } from './retry.ts'
import { isTls, mountSignIn, nonceOf, refuseOtherSites, signedIn } from './sign-in.ts'
import type { Sessions } from './sessions.ts'

export interface BoardOptions {
  readonly db: ProcessDatabase
  readonly clock: Clock
  readonly log: Logger
  readonly sessions: Sessions
  /** The same queues, for each of the two boards. */
  readonly adapters: (readOnly: boolean) => BoardQueue[]
  readonly boardUrl: string | undefined
}

export function createBoardApp(options: BoardOptions): Express {
  const app = express()
  app.set('etag', false)
  app.disable('x-powered-by')
  app.set('query parser', 'simple')
  // Failed sign-ins are counted by address: a proxy on this machine tells whose.
  app.set('trust proxy', 'loopback, uniquelocal')
  app.use(headers(options.boardUrl))
  app.get('/healthz', (_request, response) => void response.json({ alive: true }))
  app.use(refuseOtherSites(options.boardUrl))
  mountSignIn(app, options)
  app.get('/board.css', (_request, response) => void response.type('css').send(BOARD_CSS))
  mountBoards(app, options)
  app.use((_request, response) => trouble(response, 404, 'Not found', 'There is no such page.'))
  app.use(errorHandler(options.log))
  return app
}

function mountBoards(app: Express, options: BoardOptions): void {
  const queues = options.adapters(false)
  const operators = express.Router()
  mountRetry(operators, { ...options, queues })
  const lookers = createBoard('observer', options.adapters(true))
  const retriers = createBoard('operator', queues)
  const byRole =
    (operator: RequestHandler, observer: RequestHandler): RequestHandler =>
    (request, response, next) =>
      (signedIn(response).role === 'operator' ? operator : observer)(request, response, next)
  app.use(byRole(operators, (_request, _response, next) => next()))
  app.use(refuseWrites)
  app.get(
    FLOW,
    (request, response) => void response.json({ nodeId: request.params.job, flowRoot: null, isFlowNode: false }),
  )
  app.use(byRole(retriers, lookers))
}

/** Behind the two routes that retry: whatever else would change something, now or in a later version of Bull Board. */
const refuseWrites: RequestHandler = (request, response, next) => {
  if (request.method === 'GET' || request.method === 'HEAD') return next()
  response.status(405).setHeader('Allow', 'GET, HEAD')
  const may = signedIn(response).role === 'operator' ? 'The board only shows and retries.' : 'You may only look.'
  response.json({ error: `Not allowed. ${may}` })
}

/** Bull Board's page needs its own files, styles set by script (no policy concerns those), and images within CSS. */
function headers(boardUrl: string | undefined): RequestHandler {
  const tls = isTls(boardUrl)
  const helmets = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'script-src': ["'self'"],
        'style-src': ["'self'", ICON_STYLE, (_request, response) => `'nonce-${nonceOf(response as Response)}'`],
        'img-src': ["'self'", 'data:'],
        'font-src': ["'self'"],
        'connect-src': ["'self'"],
        'worker-src': ["'self'"],
        'base-uri': ["'self'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'none'"],
        ...(tls && { 'upgrade-insecure-requests': [] }),
      },
    },
    xFrameOptions: { action: 'deny' },
    // With none at all, a browser would not say either whence a form is sent.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: tls,
  })
  return (request, response, next) => {
    response.locals.nonce = randomBytes(16).toString('base64url')
    response.setHeader('Cache-Control', request.path.startsWith('/static/') ? 'private, max-age=3600' : 'no-store')
    helmets(request, response, next)
  }
}

function trouble(response: Response, status: number, title: string, words: string): void {
  response.status(status)
  if (response.req.path.startsWith('/api/')) response.json({ error: words })
  else response.type('html').send(troublePage(nonceOf(response), title, words))
}

function errorHandler(log: Logger): ErrorRequestHandler {
  return (error: { status?: unknown; message?: unknown } | null, request, response, _next) => {
    const status = typeof error?.status === 'number' && error.status >= 400 ? error.status : 500
    if (status >= 500)
      log.error({ err: error, method: request.method, path: request.path.slice(0, 200) }, 'request failed')
    if (response.headersSent) return void response.destroy()
    if (status === 503) return trouble(response, 503, 'Not available', scrub(String(error?.message)))
    if (status < 500) return trouble(response, status, 'Not understood', 'The request is malformed.')
    trouble(response, 500, 'Something went wrong', 'It has been recorded.')
  }
}
