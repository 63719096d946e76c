// The Express application: few middlewares, then the routes, then one place where every error becomes a problem.
import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { authenticate } from './auth.ts'
import type { Services } from './context.ts'
import { limiter, signInLimiter } from './limits.ts'
import { openApiDocument } from './openapi.ts'
import { notFound, Problem, problemHandler } from './problem.ts'
import { expressPath, routeHandler, type Route } from './route.ts'
import { accountRoutes } from './routes/account.ts'
import { actionRoutes } from './routes/actions.ts'
import { adminRoutes } from './routes/admin.ts'
import { apiKeyRoutes } from './routes/api-keys.ts'
import { catalogRoutes } from './routes/catalog.ts'
import { importRoutes } from './routes/imports.ts'
import { invoiceRoutes } from './routes/invoices.ts'
import { licenseRoutes } from './routes/licenses.ts'
import { operationRoutes } from './routes/operations.ts'
import { paymentMethodRoutes } from './routes/payment-methods.ts'
import { mountSystem } from './routes/system.ts'
import { usageRoutes } from './routes/usage.ts'

export const routes: readonly Route[] = [
  ...licenseRoutes,
  ...accountRoutes,
  ...invoiceRoutes,
  ...usageRoutes,
  ...paymentMethodRoutes,
  ...actionRoutes,
  ...adminRoutes,
  ...catalogRoutes,
  ...operationRoutes,
  ...importRoutes,
  ...apiKeyRoutes,
]

/** A thousand license ids with their names fit; only rows of an import, which operators alone may send, are more. */
const JSON_BODY = { limit: '100kb', strict: true, type: 'application/json', verify: requireUtf8 } as const
const IMPORT_BODY_MAX = '4mb'

export interface AppOptions {
  readonly services: Services
  /** Requests a minute, per key (or address, without one). */
  readonly rateLimitPerMinute: number
  /** The sandbox's own calls, mounted before the rest. */
  readonly extend?: (app: Express) => void
}

export function createApp({ services, rateLimitPerMinute, extend }: AppOptions): Express {
  const app = express()
  app.set('etag', false)
  app.disable('x-powered-by')
  app.set('query parser', 'simple')
  mountSystem(app, services)
  app.use(helmet({ contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } }, hsts: false }))
  mountDocs(app)
  app.use(limiter(rateLimitPerMinute))
  const signIns = signInLimiter(rateLimitPerMinute)
  app.use(signIns.refuse)
  app.use('/v1/admin/imports', operatorsOnly(services), express.json({ ...JSON_BODY, limit: IMPORT_BODY_MAX }))
  app.use(express.json(JSON_BODY))
  extend?.(app)
  for (const route of routes) app[route.method](expressPath(route.path), routeHandler(route, services))
  mountMethodNotAllowed(app)
  app.use(() => {
    throw notFound()
  })
  app.use(signIns.count, problemHandler(services.log))
  return app
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Bytes that are no text are refused rather than quietly read as something else. */
function requireUtf8(_request: unknown, _response: unknown, body: Buffer): void {
  try {
    utf8.decode(body)
  } catch {
    throw new Problem(400, 'malformed_json', 'The body is not valid UTF-8.')
  }
}

/** Asked before a large body is read, so that nobody else can make us read one. */
function operatorsOnly(services: Services): RequestHandler {
  return async (request, _response, next) => {
    const { operator } = await authenticate(request, services)
    if (!operator) throw new Problem(403, 'forbidden', 'This call is for operators.')
    next()
  }
}

/** A known path with another method says so, and which are known. */
function mountMethodNotAllowed(app: Express): void {
  const methods = Map.groupBy(routes, (route) => expressPath(route.path))
  for (const [path, list] of methods) {
    app.all(path, (_request, response) => {
      response.setHeader('Allow', list.map((route) => route.method.toUpperCase()).join(', '))
      throw new Problem(405, 'method_not_allowed', 'This path does not know that method.')
    })
  }
}

/** The OpenAPI document, and Swagger UI from its package: nothing is fetched from elsewhere. */
function mountDocs(app: Express): void {
  const document = JSON.stringify(openApiDocument(routes))
  app.get('/v1/openapi.json', (_request, response) => void response.type('application/json').send(document))
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  app.get('/docs', (_request, response) => void response.type('html').send(DOCS_PAGE))
  app.get('/docs/start.js', (_request, response) => void response.type('js').send(DOCS_SCRIPT))
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    app.get(`/docs/${file}`, (_request, response) => void response.sendFile(join(assets, file), { dotfiles: 'allow' }))
  }
}

const DOCS_PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Perdiem API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>`
const DOCS_SCRIPT = `SwaggerUIBundle({ url: '/v1/openapi.json', dom_id: '#ui', deepLinking: true, validatorUrl: null })`
