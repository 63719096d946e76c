// Bull Board itself, twice: one board that only shows, one that also offers Retry. Its page is served without what our
// content security policy refuses, and without what the server would refuse anyway.
import { createBullBoard } from '@bull-board/api'
import type { AppViewRoute, ControllerHandlerReturnType, UIConfig } from '@bull-board/api/typings/app'
import { ExpressAdapter } from '@bull-board/express'
import type { RequestHandler } from 'express'
import { scrub } from '../adapters/log.ts'
import type { BoardQueue } from './board-queue.ts'
import type { BoardRole } from './keys.ts'

/** How often the page asks anew. Fixed, so that it can be told from a person (sessions.ts). */
const POLL_S = 5

class BoardServer extends ExpressAdapter {
  constructor() {
    super()
    this.app.disable('x-powered-by')
    this.app.set('etag', false)
  }

  override setEntryRoute({ route, handler }: AppViewRoute): this {
    const page: RequestHandler = (_request, response, next) => {
      const { name, params } = handler({ basePath: this.basePath, uiConfig: this.uiConfig })
      response.render(name, params, (error: Error | null, html: string) => {
        if (error) next(error)
        else response.type('html').send(tidy(html))
      })
    }
    this.app.get(route, page)
    return this
  }

  /** Bull Board hands on whatever was thrown; texts may hold addresses and passwords. */
  override setErrorHandler(_handler: (error: Error) => ControllerHandlerReturnType): this {
    return super.setErrorHandler((error) => {
      const unavailable = (error as { status?: unknown }).status === 503
      const body = unavailable
        ? { error: scrub(error.message) }
        : { error: 'Something went wrong. It has been recorded.' }
      return { status: (unavailable ? 503 : 500) as 500, body }
    })
  }
}

/** No fonts from elsewhere, no styles within the page; and one style sheet of ours. */
const tidy = (html: string): string =>
  html
    .replace(/<link[^>]*fonts\.googleapis\.com[^>]*>/g, '')
    .replace(/<style>[^]*?<\/style>/g, '')
    .replace(/ style="[^"]*"/g, '')
    .replace('</head>', '<link href="board.css" rel="stylesheet"></head>')

const uiConfig = (role: BoardRole): UIConfig => ({
  boardTitle: 'Perdiem',
  hideDocsLink: true,
  pollingInterval: { showSetting: false, forceInterval: POLL_S },
  miscLinks: [{ text: 'Sign out', url: '/sign-out' }],
  environment: { label: role, color: role === 'operator' ? '#8a3b12' : '#2f5d3a', textColor: '#fff' },
  showMetrics: false,
})

export function createBoard(role: BoardRole, queues: BoardQueue[]): RequestHandler {
  const server = new BoardServer()
  server.setBasePath('/')
  createBullBoard({ queues, serverAdapter: server, options: { uiConfig: uiConfig(role) } })
  return server.getRouter() as RequestHandler
}

/** Reads of Bull Board's API that are not answered by it: flows are not ours, and show jobs as they are stored. */
export const FLOW = '/api/queues/:queue/:job/flow'

/** The icon of the page's header has a style element of its own, which is told by its hash. */
export const ICON_STYLE = "'sha256-r2N1TB/gHbBtBZFKg7ejmq1acVSREzucTAEw6ga4hoU='"

/**
 * What the page offers an operator and the server refuses is taken away, as far as a style sheet can: Bull Board has no
 * options for it. The names are those of the exact version we use; a test looks for them in it.
 */
export const BOARD_CSS = `
:is([class*=jobActions-], [class*=queueActions-]) li:not(:has(.lucide-refresh-cw)),
[role=menuitem]:has(> .lucide):not(:has(> :is(.lucide-refresh-cw, .lucide-arrow-up-down, .lucide-arrow-up,
  .lucide-arrow-down))),
[class*=actionsCell-] button,
button[class*=editButton-] { display: none; }
[role=menu]:has(> [role=menuitem] > .lucide-ban):not(:has(> [role=menuitem] > .lucide-refresh-cw))::after {
  content: 'Nothing has failed'; display: block; padding: .5rem .75rem; font-size: .875rem; }
.preload #root > div:not([class]) { display: grid; min-height: 100vh; place-items: center; font-family: sans-serif; }
`
