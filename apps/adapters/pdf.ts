// Prints pages to PDF. What is printed holds text that customers typed, so a page is shut in four
// times over: scripts off, requests refused, a policy in the page, offline. With any one missing,
// a hostile company name has been seen to reach the network.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { CDPSession, Page } from 'puppeteer'
import { escapeHtml, PRINT_PREAMBLE } from '../../jobs/documents/html.ts'
import type { Log } from '../../jobs/kit/ports.ts'
import { findChromium, startChromium } from './chromium.ts'
import type { RunningChromium } from './chromium.ts'

export interface PdfRenderer {
  /** Prints a page that begins with PRINT_PREAMBLE on A4. A throw means: try again later. */
  render(html: string, options: { title: string; footer: string }): Promise<Uint8Array>
  /** Ends the browser, in 5 s at most; a print under way fails. */
  close(): Promise<void>
}

export interface PdfLimits {
  /** What one print may take, in milliseconds. */
  timeoutMs: number
  /** What the browser's processes together may hold in memory of their own. */
  memoryBytes: number
  /** After so many prints the browser is replaced. */
  printsPerBrowser: number
}

export interface PdfRendererOptions {
  executablePath?: string | undefined
  home: string
  log?: Log | undefined
  limits?: Partial<PdfLimits>
}

const LIMITS: PdfLimits = {
  timeoutMs: 20_000,
  memoryBytes: 2_000_000_000,
  printsPerBrowser: 100,
}

// Beyond some 12,000 licenses the tags that make a PDF accessible take more memory and time than a
// print may have: such a page is printed without them rather than not at all.
const LONGEST_TAGGED_PAGE = 2_000_000
const LONGEST_PAGE = 8_000_000

/** The layers that are set from outside the page. The fourth, the policy, is in the page. */
export const LAYERS = {
  scriptsOff: async (page: Page): Promise<void> => page.setJavaScriptEnabled(false),
  requestsRefused: async (page: Page): Promise<void> => {
    page.on('request', (request) => {
      const allowed = request.url().startsWith('data:')
      void (allowed ? request.continue() : request.abort('blockedbyclient')).catch(() => {})
    })
    await page.setRequestInterception(true)
  },
  offline: async (page: Page): Promise<void> => page.setOfflineMode(true),
}

/** A CSS string that can hold anything and ends nothing, neither itself nor its style element. */
function cssString(text: string): string {
  const escaped = text.toWellFormed().replace(/[^A-Za-z0-9 .,-]/gu, (character) => {
    const code = character.codePointAt(0)!
    return code === 0 ? '' : `\\${code.toString(16)} `
  })
  return `"${escaped}"`
}

/** Page numbers and a line of text in the bottom margin, which readers of the tags skip. */
function footerStyle(footer: string): string {
  const look = 'font: 7.5pt "Open Sans", "Helvetica Neue", Arial, sans-serif; color: #5a6475'
  return `<style>@page { @bottom-left { content: ${cssString(footer)}; ${look} }
@bottom-right { content: "Page " counter(page) " of " counter(pages); ${look} } }</style>`
}

/** The page with its title and footer, after making sure that its policy stands before all else. */
function preparePage(html: string, { title, footer }: { title: string; footer: string }): string {
  if (!html.startsWith(PRINT_PREAMBLE)) {
    throw new Error('A page to print must begin with PRINT_PREAMBLE, which holds its policy')
  }
  if (html.length > LONGEST_PAGE) throw new Error(`A page of ${html.length} characters is too long`)
  const rest = html.slice(PRINT_PREAMBLE.length).replace(/^<title>[^<]*<\/title>/, '')
  return `${PRINT_PREAMBLE}<title>${escapeHtml(title)}</title>${footerStyle(footer)}${rest}`
}

/** Memory that a process has to itself; 0 where the system does not tell (not Linux). */
async function ownMemory(pid: number): Promise<number> {
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '')
  const [, resident = 0, shared = 0] = statm.split(' ').map(Number)
  return (resident - shared) * 4096
}

/** A browser, a line to all of it, and a promise that throws when its renderer dies. */
interface Press {
  chromium: RunningChromium
  session: CDPSession
  crashed: Promise<never>
}

async function startPress(options: PdfRendererOptions): Promise<Press> {
  const chromium = await startChromium(await findChromium(options), options)
  try {
    const session = await chromium.browser.target().createCDPSession()
    // A page's own events do not tell of a renderer that dies before the page is ready.
    const crashed = new Promise<never>((_, reject) => {
      session.on('Target.targetCrashed', () => reject(new Error('The renderer died')))
    })
    crashed.catch(() => {})
    await session.send('Target.setDiscoverTargets', { discover: true })
    return { chromium, session, crashed }
  } catch (error) {
    await chromium.end()
    throw error
  }
}

/** Whether the browser still lives; one that died a moment ago may still count as connected. */
async function answers(press: Press | null | undefined): Promise<boolean> {
  const answer = press?.chromium.browser.version().then(
    () => true,
    () => false,
  )
  return Promise.race([answer ?? false, delay(2_000, false, { ref: false })])
}

/** Settles never, or throws when the browser has outgrown its limit. */
async function watchMemory(session: CDPSession, limit: number, over: AbortSignal): Promise<never> {
  for (;;) {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    const sizes = await Promise.all(processInfo.map(({ id }) => ownMemory(id)))
    const sum = sizes.reduce((total, size) => total + size, 0)
    if (sum > limit) throw new Error(`The browser holds ${sum} bytes, more than ${limit}`)
    await delay(250, undefined, { signal: over })
  }
}

async function print(page: Page, html: string): Promise<Uint8Array> {
  await LAYERS.scriptsOff(page)
  await LAYERS.requestsRefused(page)
  await LAYERS.offline(page)
  await page.setContent(html, { waitUntil: 'load' })
  const tagged = html.length <= LONGEST_TAGGED_PAGE
  // Margins are the page's own (@page), so that its footer stands in them.
  return page.pdf({
    format: 'A4',
    preferCSSPageSize: true,
    printBackground: true,
    tagged,
    outline: tagged,
    waitForFonts: false,
  })
}

/** Prints on a page of its own. Whatever goes wrong throws; the browser is then not used again. */
async function printWithin(press: Press, html: string, limits: PdfLimits): Promise<Uint8Array> {
  const over = new AbortController()
  const timeout = delay(limits.timeoutMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`A print took longer than ${limits.timeoutMs} ms`)
  })
  const work = async () => {
    const page = await press.chromium.browser.newPage()
    const pdf = await print(page, html)
    await page.close()
    return pdf
  }
  const memory = watchMemory(press.session, limits.memoryBytes, over.signal)
  const rivals = [work(), timeout, memory, press.crashed]
  try {
    return await Promise.race(rivals)
  } finally {
    over.abort()
    for (const rival of rivals) rival.catch(() => {})
  }
}

/**
 * A renderer whose browser starts with the first print, is replaced after 100 of them or when one
 * fails, and prints one page at a time: its pages share a process, so two at once are no faster.
 */
export function createPdfRenderer(options: PdfRendererOptions): PdfRenderer {
  const limits = { ...LIMITS, ...options.limits }
  let current: Promise<Press> | null = null
  let prints = 0
  let closed = false
  let last: Promise<unknown> = Promise.resolve()

  const discard = async () => {
    const press = current
    current = null
    await press?.then(
      ({ chromium }) => chromium.end(),
      () => {},
    )
  }
  const ready = async () => {
    const press = await current?.catch(() => null)
    const usable = prints < limits.printsPerBrowser && (await answers(press))
    if (current && !usable) await discard()
    if (closed) throw new Error('The PDF renderer is closed')
    if (current === null) prints = 0
    current ??= startPress(options)
    return current
  }
  const renderNow = async (html: string): Promise<Uint8Array> => {
    try {
      const press = await ready()
      prints += 1
      return await printWithin(press, html, limits)
    } catch (error) {
      await discard()
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`The PDF was not printed: ${reason}`, { cause: error })
    }
  }
  return {
    async render(html, { title, footer }) {
      const page = preparePage(html, { title, footer })
      const turn = last.then(() => renderNow(page))
      last = turn.catch(() => {})
      return turn
    },
    async close() {
      closed = true
      await discard()
    },
  }
}
