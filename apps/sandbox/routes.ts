// The sandbox's own calls, for operators. Present only with the embedded default; production never loads this file.
import type { Express, Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { queues } from '../../jobs/catalog.ts'
import { ensureCustomer } from '../../jobs/payments/ensure-customer.ts'
import type { SandboxClock } from '../adapters/clock.ts'
import { connectDatabase } from '../adapters/database.ts'
import { fromPublicId, toPublicId } from '../adapters/ids.ts'
import { quieten } from '../adapters/log.ts'
import { readKeptMail } from '../adapters/mailer.ts'
import { createRelay } from '../adapters/outbox.ts'
import { connectQueue } from '../adapters/queue.ts'
import { authenticate } from '../api/auth.ts'
import type { Services } from '../api/context.ts'
import { inputProblem, notFound, Problem } from '../api/problem.ts'
import type { ApiConfig } from '../config.ts'
import { join } from 'node:path'
import { ClockGoesForward, moveClock, type Moved, type MoverParts } from './clock-mover.ts'
import { NotQuiet, waitForQuiet } from './quiet.ts'
import { standInClient } from './stand-in-client.ts'

const clockBody = z.strictObject({ to: z.iso.datetime({ offset: true }) })
const cardBody = z.strictObject({
  account: z.string(),
  number: z.string().regex(/^[\d ]{12,23}$/, 'must be a card number'),
  exp: z
    .string()
    .regex(/^(0[1-9]|1[0-2])\/(\d{2}|\d{4})$/, 'must be MM/YY')
    .optional(),
  primary: z.boolean().default(true),
})
const mailQuery = z.strictObject({ account: z.string().optional() })
const requestsQuery = z.strictObject({ limit: z.coerce.number().int().min(1).max(10_000).default(1_000) })

export interface SandboxCalls {
  mount(app: Express): void
  close(): Promise<void>
}

export function createSandbox(config: ApiConfig, services: Services): SandboxCalls {
  const onError = quieten((error) => services.log.warn({ err: error }, 'sandbox queue'))
  const queue = connectQueue({ databaseUrl: config.WORKER_DATABASE_URL!, redisUrl: config.REDIS_URL }, queues, onError)
  const relay = createRelay(queue, onError)
  // As the worker: ticks and quiet concern every account.
  const db = connectDatabase({ url: config.WORKER_DATABASE_URL!, max: 3, onStaged: (rows) => relay.offer(rows) })
  const standIn = standInClient(config.STRIPE_URL!, config.STRIPE_SECRET_KEY)
  const parts: MoverParts = { db, queue, standIn, clock: services.clock as SandboxClock }
  const mailFolder = join(config.PERDIEM_HOME!, 'mail')
  return {
    mount(app) {
      const operators =
        (handler: (request: Request, response: Response) => Promise<void>): RequestHandler =>
        async (request, response) => {
          const caller = await authenticate(request, services)
          if (!caller.operator) throw new Problem(403, 'forbidden', 'The sandbox is for operators.')
          await handler(request, response)
        }
      app.get(
        '/sandbox/clock',
        operators(async (_request, response) => void response.json({ now: (await parts.clock.now()).toISOString() })),
      )
      app.post('/sandbox/clock', operators(clockHandler(parts)))
      app.post('/sandbox/cards', operators(cardHandler(parts, services)))
      app.get('/sandbox/mail', operators(mailHandler(parts, mailFolder)))
      app.get(
        '/sandbox/stripe/requests',
        operators(
          async (request, response) =>
            void response.json(await standIn.requests(parse(requestsQuery, request.query, 'query').limit)),
        ),
      )
      app.post(
        '/sandbox/stripe/faults',
        operators(async (request, response) => {
          const { status, body } = await standIn.addFault(request.body as Record<string, unknown>)
          if (status < 400) return void response.status(201).json(body)
          const message = (body as { error?: { message?: string } }).error?.message ?? 'The fault is not understood.'
          throw new Problem(400, 'invalid_request', message)
        }),
      )
    },
    close: async () => void (await Promise.allSettled([queue.close(), db.close()])),
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: 'body' | 'query'): T {
  const result = schema.safeParse(value)
  if (!result.success) throw inputProblem(result.error, where)
  return result.data
}

/** One move at a time; the next waits for it. */
function clockHandler(parts: MoverParts) {
  let last: Promise<unknown> = Promise.resolve()
  return async (request: Request, response: Response): Promise<void> => {
    const { to } = parse(clockBody, request.body, 'body')
    // A move of a year takes minutes; the caller asked for it and waits.
    request.socket.setTimeout(0)
    const move: Promise<Moved> = last.then(() => moveClock(parts, new Date(to)))
    last = move.catch(() => {})
    try {
      const { now, jobs } = await move
      response.json({ now: now.toISOString(), jobs })
    } catch (error) {
      throw moveProblem(error)
    }
  }
}

function moveProblem(error: unknown): unknown {
  if (error instanceof ClockGoesForward)
    return new Problem(409, 'clock_goes_forward', error.message, [{ path: 'to', message: error.message }])
  if (error instanceof NotQuiet) return new Problem(503, 'not_quiet', error.message)
  return error
}

/** A card that is good for twelve years by the business clock, unless said otherwise. */
const CARD_YEARS = 12

function cardHandler({ db, clock, standIn }: MoverParts, services: Services) {
  return async (request: Request, response: Response): Promise<void> => {
    const body = parse(cardBody, request.body, 'body')
    const accountId = fromPublicId('account', body.account)
    const found =
      accountId &&
      (await db.withAccount(
        accountId,
        (tx) => tx.$queryRaw<unknown[]>`SELECT 1 FROM accounts WHERE id = ${accountId}::uuid`,
      ))
    if (!accountId || !found || found.length === 0) throw notFound('account')
    const now = await clock.now()
    const exp = body.exp ?? `12/${String((now.getUTCFullYear() + CARD_YEARS) % 100).padStart(2, '0')}`
    const customerId = await ensureCustomer({ ...services, db }, accountId)
    const page = await services.stripe.openCardSetup({
      customerId,
      accountId,
      primary: body.primary,
      returnUrl: services.publicUrl,
    })
    const refused = await standIn.enterCard(page, { number: body.number.replaceAll(' ', ''), exp })
    if (refused) throw new Problem(402, refused.code, refused.message, [{ path: 'number', message: refused.message }])
    await waitForQuiet(db, now, standIn.pendingWebhooks).catch((error: unknown) => {
      throw moveProblem(error)
    })
    const rows = await db.withAccount(
      accountId,
      (tx) => tx.$queryRaw<{ id: string; brand: string; last4: string; primary: boolean }[]>`
      SELECT id, brand, last4, "primary" FROM payment_methods
      WHERE account_id = ${accountId}::uuid AND removed_at IS NULL ORDER BY id DESC LIMIT 1`,
    )
    const card = rows[0]
    if (!card) throw new Problem(503, 'webhook_lost', 'The card was taken, but no webhook told of it (yet).')
    response.status(201).json({ ...card, id: toPublicId('paymentMethod', card.id), object: 'payment_method' })
  }
}

function mailHandler({ db }: MoverParts, folder: string) {
  return async (request: Request, response: Response): Promise<void> => {
    const { account } = parse(mailQuery, request.query, 'query')
    const accountId = account === undefined ? null : fromPublicId('account', account)
    if (account !== undefined && accountId === null) throw notFound('account')
    const rows = await db.prisma.$queryRaw<{ messageId: string; accountId: string }[]>`
      SELECT message_id AS "messageId", account_id AS "accountId" FROM messages
      WHERE ${accountId}::uuid IS NULL OR account_id = ${accountId}::uuid`
    const accounts = new Map(rows.map((row) => [row.messageId, row.accountId]))
    const mails = (await readKeptMail(folder)).filter((mail) => accounts.has(mail.messageId))
    const data = mails.map(({ messageId, ...mail }) => ({
      ...mail,
      message_id: messageId,
      account: toPublicId('account', accounts.get(messageId)!),
    }))
    response.json({ data, total: data.length })
  }
}
