import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getDocument } from 'pdfjs-dist/legacy/build/pdf.mjs'
import puppeteer from 'puppeteer'
import type { Browser } from 'puppeteer'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findChromium } from '../../../apps/adapters/chromium.ts'
import { createPdfRenderer, LAYERS } from '../../../apps/adapters/pdf.ts'
import type { PdfLimits, PdfRenderer } from '../../../apps/adapters/pdf.ts'
import { PRINT_PREAMBLE } from '../../../jobs/documents/html.ts'
import type { InvoiceDocument } from '../../../jobs/documents/invoice-document.ts'
import { renderInvoicePage } from '../../../jobs/documents/invoice-page.ts'
import { browserProcesses } from '../../support/browser-processes.ts'
import { canary, vectors } from '../../support/canary.ts'
import { waitUntil } from '../../support/wait.ts'

const MINUTE = { timeout: 60_000 }
const LINES = { title: 'Invoice NW-000417', footer: 'Invoice NW-000417' }
const PAY = 'https://pay.example/i/acct_1/live_2?s=ap&v=1'

let home: string
let shared: PdfRenderer

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'perdiem-pdf-'))
  shared = createPdfRenderer({ home })
}, 60_000)

afterAll(async () => {
  await shared.close()
  await rm(home, { recursive: true, force: true })
}, 60_000)

function renderer(limits: Partial<PdfLimits> = {}): PdfRenderer {
  const made = createPdfRenderer({ home, limits })
  onTestFinished(() => made.close())
  return made
}

/** An invoice whose free texts are sensible, or those that `text` gives for the 1st, 2nd, 3rd … */
function invoice(text?: (field: number) => string, licenses = 1): InvoiceDocument {
  let field = 0
  const t = (plain: string) => (text ? text(field++) : plain)
  return {
    kind: 'invoice',
    invoiceKind: 'usage',
    currency: 'usd',
    issuer: {
      name: t('Northwind'),
      address: [t('Lindenweg 14')],
      taxIds: [t('DE 8')],
      support: t('help'),
    },
    billTo: { name: t('Bright Harbor'), lines: [t('Portland')], taxIds: [t('EIN 9')] },
    number: t('NW-000417'),
    poNumber: t('PO-88213'),
    periodStart: '2026-11-01',
    periodEnd: '2026-11-30',
    issuedOn: '2026-12-03',
    dueOn: '2026-12-17',
    lines: [
      {
        description: t('Backup'),
        quantity: '30',
        unit: 'days',
        unitPrice: '0.328767',
        amount: 986n,
      },
    ],
    subtotal: 986n,
    taxes: [{ label: t('VAT 19%'), amount: 187n }],
    total: 1173n,
    balance: 1173n,
    payUrl: t(PAY),
    paid: null,
    notes: [t('Billed by the day.')],
    clients: [
      {
        client: t('Harbor Dental'),
        amount: 986n,
        sites: [
          {
            site: t('https://harbordental.example'),
            licenses: Array.from({ length: licenses }, () => ({
              product: t('Backup'),
              license: t('…7F3K'),
              days: '30',
            })),
          },
        ],
      },
    ],
  }
}

async function read(pdf: Uint8Array) {
  const task = getDocument({ data: pdf.slice(), verbosity: 0 })
  const document = await task.promise
  onTestFinished(() => task.destroy())
  const pages = await Promise.all(Array.from({ length: document.numPages }, (_, index) => document.getPage(index + 1)))
  const texts = await Promise.all(
    pages.map(async (page) => {
      const { items } = await page.getTextContent()
      return items.map((item) => ('str' in item ? item.str + (item.hasEOL ? ' ' : '') : '')).join('')
    }),
  )
  return { document, pages, texts, text: texts.join(' ') }
}

const dense = (text: string) => text.replace(/\s+/g, '')

describe('what is printed', () => {
  test('number, total, due date and pay link are text, the link leads there', MINUTE, async () => {
    const { text, pages } = await read(await shared.render(renderInvoicePage(invoice()), LINES))
    for (const part of ['NW-000417', 'Total 11.73 USD', 'December 17, 2026', 'Harbor Dental']) {
      expect(dense(text)).toContain(dense(part))
    }
    expect(dense(text)).toContain(PAY)
    const annotations = await pages[0]!.getAnnotations()
    expect(annotations.map((annotation) => annotation.url)).toEqual([PAY, PAY])
  })

  test('the file has a title, a language, tags and A4 pages', MINUTE, async () => {
    const page = renderInvoicePage(invoice())
    const pdf = await shared.render(page, { ...LINES, title: 'Copy of <NW> & more' })
    const { document, pages } = await read(pdf)
    const { info } = await document.getMetadata()
    expect(info).toMatchObject({ Title: 'Copy of <NW> & more', Language: 'en' })
    expect(await document.getMarkInfo()).toMatchObject({ Marked: true })
    const tags = JSON.stringify(await pages[0]!.getStructTree())
    for (const tag of ['H1', 'Table', 'TH', 'TD', 'Link']) expect(tags).toContain(`"role":"${tag}"`)
    expect(pages[0]!.view.map(Math.round)).toEqual([0, 0, 595, 842])
  })

  test('each page has its number and the footer, whatever the footer holds', MINUTE, async () => {
    const footer = 'NW "417" \\ </style><script>ü</script>; } 株'
    const { texts } = await read(await shared.render(renderInvoicePage(invoice(undefined, 120)), { ...LINES, footer }))
    expect(texts.length).toBeGreaterThan(3)
    texts.forEach((text, index) => {
      expect(dense(text)).toContain(dense(`Page ${index + 1} of ${texts.length}`))
      expect(dense(text)).toContain(dense(footer.replace('株', '')))
    })
    for (const text of texts.slice(1)) expect(text).toContain('Harbor Dental')
  })
})

describe('what is shut out', () => {
  test('markup in any field is printed as text and reaches nothing', MINUTE, async () => {
    const { at, silent } = await canary()
    const all = vectors(at)
    for (let turn = 0; turn < all.length; turn += 1) {
      const used = new Set<string>()
      const page = renderInvoicePage(
        invoice((field) => {
          const vector = all[(turn + field) % all.length]!
          used.add(vector)
          return vector
        }),
      )
      const pdf = await shared.render(page, { title: all[turn]!, footer: all[turn]! })
      const text = dense((await read(pdf)).text)
      expect(used.size).toBe(17)
      for (const vector of used) expect(text).toContain(dense(vector))
    }
    await silent()
  })

  test('nor does it when a page escapes nothing', MINUTE, async () => {
    const { at, silent } = await canary()
    for (const vector of [...vectors(at), vectors(at).join('')]) {
      await shared.render(`${PRINT_PREAMBLE}</head><body>x${vector}</body></html>`, LINES)
    }
    await silent()
  })

  test('a page without the policy, or with anything before it, is refused', async () => {
    for (const page of ['<!doctype html><p>x', ` ${PRINT_PREAMBLE}`, '']) {
      await expect(shared.render(page, LINES)).rejects.toThrow('PRINT_PREAMBLE')
    }
  })
})

/** What of the vectors reaches the network in a browser without any guard but the given ones. */
async function reached(browser: Browser, layers: (keyof typeof LAYERS)[], begin: string) {
  const { at, hits } = await canary()
  const show = async (vector: string) => {
    const page = await browser.newPage()
    for (const layer of layers) await LAYERS[layer](page)
    await page.setContent(`${begin}</head><body>${vector}</body>`).catch(() => {})
    return page
  }
  for (const vector of vectors(at)) await show(vector)
  // When a page opened last has fetched its picture, the others have had their time.
  const open = await browser.newPage()
  await open.setContent(`<img src="${at}/open">`)
  await waitUntil('the open page reached the canary', () => hits.has('open'))
  for (const page of await browser.pages()) await page.close()
  hits.delete('open')
  return hits
}

test('each layer stops what reaches the network without it', MINUTE, async () => {
  const { executablePath, bundle } = await findChromium({ home })
  const browser = await puppeteer.launch({
    executablePath,
    headless: 'shell',
    pipe: true,
    args: ['--no-sandbox'],
    env: { HOME: home, ...(bundle && { LD_LIBRARY_PATH: bundle.libraries }) },
  })
  onTestFinished(() => browser.close())
  const bare = '<!doctype html><html><head>'
  const unguarded = await reached(browser, [], bare)
  expect(unguarded.size).toBeGreaterThanOrEqual(17)
  const noScripts = await reached(browser, ['scriptsOff'], bare)
  for (const hit of ['fetch', 'script', 'form', 'onerror']) {
    expect(unguarded).toContain(hit)
    expect(noScripts).not.toContain(hit)
  }
  const policyOnly = await reached(browser, [], PRINT_PREAMBLE)
  expect([...policyOnly].filter((hit) => hit !== 'refresh')).toEqual([])
  const refusedOnly = await reached(browser, ['requestsRefused'], bare)
  expect([...refusedOnly].filter((hit) => hit !== 'prefetch')).toEqual([])
  expect([...(await reached(browser, ['offline'], bare))]).toEqual([])
})

/** How long the renderer has computed, in hundredths of a second. */
async function rendererTime(): Promise<number> {
  const [pid] = await browserProcesses(home, 'renderer')
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[12])
}

describe.skipIf(process.platform !== 'linux')('the browser', () => {
  const page = () => renderInvoicePage(invoice())
  const long = () => renderInvoicePage(invoice(undefined, 4000))

  test('sees none of our environment and brings its own libraries', MINUTE, async () => {
    await shared.render(page(), LINES)
    const [pid] = await browserProcesses(home)
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
    const names = environment
      .split('\0')
      .filter(Boolean)
      .map((pair) => pair.split('=')[0])
    const brought = ['FONTCONFIG_FILE', 'HOME', 'LD_LIBRARY_PATH']
    expect(names.filter((name) => !brought.includes(name!))).toEqual([])
    if (process.arch !== 'x64') return
    expect(await readFile(`/proc/${pid}/maps`, 'utf8')).toMatch(new RegExp(`${home}.*libnss3\\.so`))
  })

  test.each([
    ['the browser', undefined],
    ['its renderer', 'renderer'],
  ])('%s dies under a print: that one fails, the next does not', MINUTE, async (_, type) => {
    await shared.close()
    const own = renderer()
    await own.render(page(), LINES)
    const idle = await rendererTime()
    const printing = own.render(long(), LINES)
    const failed = expect(printing).rejects.toThrow('The PDF was not printed')
    const next = own.render(page(), LINES)
    await waitUntil('the print is under way', async () => (await rendererTime()) > idle + 10)
    for (const pid of await browserProcesses(home, type)) process.kill(pid, 'SIGKILL')
    await failed
    expect((await read(await next)).text).toContain('NW-000417')
    shared = createPdfRenderer({ home })
  })

  test('dies between two prints: the next works', MINUTE, async () => {
    await shared.render(page(), LINES)
    for (const pid of await browserProcesses(home)) process.kill(pid, 'SIGKILL')
    await waitUntil('the browser is gone', async () => (await browserProcesses(home)).length === 0)
    expect((await shared.render(page(), LINES)).length).toBeGreaterThan(1000)
  })

  test('is replaced after so many prints', MINUTE, async () => {
    await shared.close()
    shared = createPdfRenderer({ home })
    const own = renderer({ printsPerBrowser: 2 })
    const seen: number[] = []
    for (let print = 0; print < 4; print += 1) {
      await own.render(page(), LINES)
      seen.push(...(await browserProcesses(home)))
    }
    expect(seen).toHaveLength(4)
    expect(new Set(seen).size).toBe(2)
    expect(seen[0]).toBe(seen[1])
  })

  test('a print ends at its limits of time and memory', MINUTE, async () => {
    await shared.close()
    shared = createPdfRenderer({ home })
    await expect(renderer({ timeoutMs: 200 }).render(long(), LINES)).rejects.toThrow('longer than')
    await expect(renderer({ memoryBytes: 1 }).render(long(), LINES)).rejects.toThrow('bytes')
    expect(await browserProcesses(home)).toEqual([])
  })

  test('closing under a print ends it at once and leaves nothing', MINUTE, async () => {
    await shared.close()
    shared = createPdfRenderer({ home })
    const own = renderer()
    await own.render(page(), LINES)
    const failed = expect(own.render(long(), LINES)).rejects.toThrow('The PDF was not printed')
    await own.close()
    await failed
    await expect(own.render(page(), LINES)).rejects.toThrow('closed')
    expect(await browserProcesses(home)).toEqual([])
    const left = await readdir(join(home, 'chromium'))
    expect(left.filter((name) => name.startsWith('profile-'))).toEqual([])
  })
})
