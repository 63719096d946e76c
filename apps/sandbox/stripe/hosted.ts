import type { IncomingMessage } from 'node:http'
import type Stripe from 'stripe'
import { cardError, needsHolder } from './cards.ts'
import { complete, current, refuse } from './checkout.ts'
import { collect } from './collection.ts'
import { idOf } from './context.ts'
import type { Context } from './context.ts'
import { ApiError, invalid, refusal } from './errors.ts'
import { parseForm } from './form.ts'
import type { FormMap } from './form.ts'
import { json, readBody } from './http.ts'
import type { Answer } from './http.ts'
import { challengePage, html, invoicePage, messagePage, redirect, setupPage } from './pages.ts'
import { makeCard, secretOf } from './payment-methods.ts'
import { invoicePdf } from './pdf.ts'
import { contextOf } from './standin.ts'
import type { StandIn } from './standin.ts'

/** What a person sent from a page. A program may send the same and ask for JSON. */
interface Visit {
  post: boolean
  wantsJson: boolean
  form: FormMap
  /** The holder's answer to their bank; whoever asks for JSON says yes unless told otherwise. */
  confirmed: 'complete' | 'fail' | undefined
}

/** Answers the pages a person opens: `/c/pay/<session>` and `/i/<token>`. */
export async function answerPage(standIn: StandIn, request: IncomingMessage, url: URL): Promise<Answer> {
  const visit = await visitOf(request)
  const context = contextOf(standIn, null, null)
  const [, session] = /^\/c\/pay\/(cs_test_\w+)$/.exec(url.pathname) ?? []
  const [, token] = /^\/i\/(\w+)(?:\/pdf)?$/.exec(url.pathname) ?? []
  const asPdf = url.pathname.endsWith('/pdf')
  const work = () => {
    if (session !== undefined) return visitSession(context, visit, session)
    if (token !== undefined) return visitInvoice(context, visit, token, asPdf)
    return notFound(visit)
  }
  const answer = standIn.book.transaction(() => kept(context, work, visit))
  standIn.wake()
  return answer
}

async function visitOf(request: IncomingMessage): Promise<Visit> {
  const post = request.method === 'POST'
  if (!post && request.method !== 'GET' && request.method !== 'HEAD') {
    throw refusal(405, 'invalid_request_error', 'This page is read or posted to.')
  }
  const wantsJson = /\bapplication\/json\b/.test(request.headers.accept ?? '')
  const form = post ? parseForm(await readBody(request)) : {}
  const said = form['authenticate']
  const implied = wantsJson ? 'complete' : undefined
  const confirmed = said === 'complete' || said === 'fail' ? said : implied
  return { post, wantsJson, form, confirmed }
}

// As in the API: what a declined card left behind stays, anything else wrong leaves nothing.
function kept(context: Context, work: () => Answer, visit: Visit): Answer {
  try {
    return context.book.attempt(work, () => false)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (visit.wantsJson) return json(error.status, { error: error.body })
    return html(error.status, messagePage('This did not work', error.message))
  }
}

function notFound(visit: Visit): Answer {
  const text = 'There is no such page. Check the link you were given.'
  if (visit.wantsJson) throw refusal(404, 'invalid_request_error', text)
  return html(404, messagePage('Not found', text))
}

function visitSession(context: Context, visit: Visit, id: string): Answer {
  const found = context.book.find('checkout.session', id)
  if (found === undefined) return notFound(visit)
  const session = current(context, found)
  if (session.status !== 'open') {
    if (visit.wantsJson) throw invalid(`This session is ${session.status}.`)
    const text =
      session.status === 'complete'
        ? 'Your card was saved. You can close this page.'
        : 'This page has expired. Go back and start again.'
    return html(session.status === 'complete' ? 200 : 410, messagePage('Save a card', text))
  }
  if (!visit.post) return html(200, setupPage(context, session))
  return decided(
    visit,
    () => saveCard(context, visit, session),
    (error) => html(402, setupPage(context, session, visit.form, error.message)),
  )
}

// A declined card shows the page again, with what its bank said.
function decided(visit: Visit, work: () => Answer, again: (error: ApiError) => Answer): Answer {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 402) throw error
    return visit.wantsJson ? json(402, { error: error.body }) : again(error)
  }
}

function saveCard(context: Context, visit: Visit, session: Stripe.Checkout.Session): Answer {
  const intent = context.book.find('setup_intent', idOf(session.setup_intent) ?? '')
  if (intent === undefined) throw new Error(`session ${session.id} has no setup intent`)
  let card: Stripe.PaymentMethod
  try {
    card = cardOf(context, visit, session.id)
  } catch (error) {
    throw error instanceof ApiError && error.status === 402 ? refuse(context, intent, error) : error
  }
  const secret = secretOf(context, card.id)
  if (secret.challengeAtSetup === true) {
    if (visit.confirmed === undefined) return challenge(context, card, session.id, session.url)
    if (visit.confirmed === 'fail') throw refuse(context, intent, cardError('unauthenticated'))
  }
  complete(context, session, card)
  return redirect((session.success_url ?? '').replaceAll('{CHECKOUT_SESSION_ID}', session.id))
}

// Either the card that waits for its holder's confirmation on this page, or a new one.
function cardOf(context: Context, visit: Visit, page: string): Stripe.PaymentMethod {
  const waiting = text(visit.form, 'confirming')
  const card = context.book.find('payment_method', waiting)
  if (card !== undefined && secretOf(context, card.id).page === page) return card
  return makeCard(context, {
    number: text(visit.form, 'number'),
    exp: text(visit.form, 'exp'),
    cvc: text(visit.form, 'cvc'),
    name: text(visit.form, 'name').slice(0, 200),
  })
}

function text(form: FormMap, name: string): string {
  const value = form[name]
  return typeof value === 'string' ? value.trim() : ''
}

function challenge(context: Context, card: Stripe.PaymentMethod, page: string, action: string | null): Answer {
  context.book.keepCardSecret(card.id, { ...secretOf(context, card.id), page })
  return html(200, challengePage(card, action ?? ''))
}

function visitInvoice(context: Context, visit: Visit, token: string, asPdf: boolean): Answer {
  const row = context.book.statement('select id from tokens where token = ?').get(token)
  const invoice = context.book.find('invoice', String(row?.['id']))
  if (invoice === undefined) return notFound(visit)
  if (asPdf) return invoicePdf(context, invoice)
  if (!visit.post) return html(200, invoicePage(context, invoice))
  if (invoice.status !== 'open' && invoice.status !== 'uncollectible') {
    if (visit.wantsJson) throw invalid(`This invoice is ${invoice.status}.`)
    return redirect(`/i/${token}`)
  }
  return decided(
    visit,
    () => payOnPage(context, visit, invoice, token),
    (error) => {
      const now = context.book.find('invoice', invoice.id) ?? invoice
      return html(402, invoicePage(context, now, visit.form, error.message))
    },
  )
}

function payOnPage(context: Context, visit: Visit, invoice: Stripe.Invoice, token: string): Answer {
  const saved = text(visit.form, 'payment_method')
  const owner = idOf(invoice.customer) ?? ''
  const own = context.book.all('payment_method', { customer: owner }).find((c) => c.id === saved)
  const card = own ?? cardOf(context, visit, invoice.id)
  // The bank asks before anything is charged, so a question alone is not a failed attempt.
  if (needsHolder(secretOf(context, card.id), false)) {
    if (visit.confirmed === undefined) return challenge(context, card, invoice.id, `/i/${token}`)
    if (visit.confirmed === 'fail') throw cardError('unauthenticated')
  }
  collect(context, invoice, card, { offSession: false, authenticated: true })
  return redirect(`/i/${token}`)
}
