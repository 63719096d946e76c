import { describe, expect, test } from 'vitest'
import { escapeHtml, html, PRINT_PREAMBLE, webAddress } from '../../../jobs/documents/html.ts'
import type { InvoiceDocument } from '../../../jobs/documents/invoice-document.ts'
import { renderInvoicePage } from '../../../jobs/documents/invoice-page.ts'

function invoice(changes: Partial<InvoiceDocument> = {}): InvoiceDocument {
  return {
    kind: 'invoice',
    issuer: {
      name: 'Northwind Software GmbH',
      address: ['Lindenweg 14', '10969 Berlin'],
      taxIds: ['VAT DE 812 345 678'],
      support: 'billing@northwind.example',
    },
    billTo: { name: 'Bright Harbor Agency', lines: ['Portland'], taxIds: ['EIN 93-1234567'] },
    number: 'NW-000417',
    poNumber: 'PO-88213',
    invoiceKind: 'usage',
    periodStart: '2026-11-01',
    periodEnd: '2026-11-30',
    issuedOn: '2026-12-03',
    dueOn: '2026-12-17',
    currency: 'usd',
    lines: [
      {
        description: 'Backup',
        quantity: '1240',
        unit: 'days',
        unitPrice: '0.328767',
        amount: 40767n,
      },
    ],
    subtotal: 40767n,
    taxes: [{ label: 'VAT 19%', amount: 7746n }],
    total: 48513n,
    balance: 48513n,
    payUrl: 'https://pay.example/i/1?a=1&b=2',
    paid: null,
    notes: ['Billed by the day.'],
    clients: [
      {
        client: 'Harbor Dental',
        amount: 40767n,
        sites: [
          {
            site: 'https://harbordental.example',
            licenses: [{ product: 'Backup', license: '…7F3K', days: '1240' }],
          },
        ],
      },
    ],
    ...changes,
  }
}

/** What a reader sees: no tags, no styles, entities read, white space as one blank. */
function textOf(page: string): string {
  return page
    .replace(/<style>[^]*?<\/style>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ')
}

const FIXED = new Set(['kind', 'invoiceKind', 'unit'])

/** A copy in which every text is replaced; `change` gets the path of each. */
function withEveryText<T>(value: T, change: (path: string) => string, path = ''): T {
  const here = path.split('.').at(-1)!
  if (typeof value === 'string') return (FIXED.has(here) ? value : change(path)) as T
  if (Array.isArray(value)) {
    return value.map((item, index) => withEveryText(item, change, `${path}.${index}`)) as T
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  return Object.fromEntries(entries.map(([key, item]) => [key, withEveryText(item, change, `${path}.${key}`)])) as T
}

describe('escaping', () => {
  test('a text in any field is shown as it was typed and never becomes markup', () => {
    const paths: string[] = []
    const hostile = withEveryText(invoice({ paid: { on: 'x', by: 'x' } }), (path) => {
      paths.push(path)
      return `</style></title><b id='${path}' onclick="x()">&amp;`
    })
    const page = renderInvoicePage(hostile)
    expect(paths.length).toBeGreaterThan(25)
    expect(page).not.toMatch(/<b\b/)
    expect(page.match(/<\/style>/g)).toHaveLength(1)
    const unseen = paths.filter((path) => path !== '.paid.on' && path !== '.paid.by')
    // The currency is shown in capitals.
    const seen = textOf(page).toLowerCase()
    for (const path of unseen) {
      expect(seen).toContain(`<b id='${path}' onclick="x()">&amp;`.toLowerCase())
    }
    const copy = textOf(renderInvoicePage({ ...hostile, kind: 'paid_copy' }))
    for (const path of ['.paid.on', '.paid.by']) expect(copy).toContain(`<b id='${path}'`)
  })

  test.each([
    'javascript:alert(1)',
    'data:text/html,x',
    ' https://a.example',
    'https://u:p@a.example',
    '//a.example',
    'file:///etc/passwd',
    'https://a.example/"onclick="x',
    'HTTPS:a.example',
  ])('a pay address that is not a plain web address makes no foreign link: %s', (payUrl) => {
    const page = renderInvoicePage(invoice({ payUrl }))
    const links = [...page.matchAll(/href="([^"]*)"/g)].map((match) => match[1]!)
    for (const link of links) expect(link).toMatch(/^https:\/\/a\.example\/%22onclick=%22x$/)
    expect(page).not.toContain('" onclick')
    expect(textOf(page)).toContain(payUrl.trim().startsWith('https://a.example/') ? '%22' : payUrl)
  })

  test('the template throws where escaping would not be enough', () => {
    const value = 'x'
    expect(() => html`<p class=${value}>`).toThrow(TypeError)
    expect(() => html`<p ${value}>`).toThrow(TypeError)
    expect(() => html`<p onclick="${value}">`).toThrow(TypeError)
    expect(() => html`<p style="${value}">`).toThrow(TypeError)
    expect(() => html`<style>${value}</style>`).toThrow(TypeError)
    expect(() => html`<!-- ${value} -->`).toThrow(TypeError)
    expect(() => html`<a href="${value}">x</a>`).toThrow(TypeError)
    expect(html`<a href="${webAddress('https://a.example/?x=1&y')!}">${value}</a>`.toString()).toBe(
      '<a href="https://a.example/?x=1&amp;y">x</a>',
    )
  })

  test('an object that looks like built HTML is text', () => {
    const forged = JSON.parse('{"text":"<b>"}') as unknown as string
    expect(html`<p>${forged}</p>`.toString()).toBe('<p>[object Object]</p>')
    expect(html`<p title="${html`<b>`}">${html`<i>${'<'}</i>`}</p>`.toString()).toBe(
      '<p title="&lt;b&gt;"><i>&lt;</i></p>',
    )
  })

  test('control characters, reordering marks and broken surrogates do not pass', () => {
    expect(escapeHtml('a\u0000b\u001bc\ud800d')).toBe('a\ufffdb\ufffdc\ufffdd')
    expect(escapeHtml('\u202egnp.exe\u2066')).toBe('gnp.exe')
  })
})

describe('the page', () => {
  test('begins with its policy, and has a language and a title', () => {
    const page = renderInvoicePage(invoice())
    expect(page.startsWith(PRINT_PREAMBLE)).toBe(true)
    expect(PRINT_PREAMBLE).toContain("default-src 'none'")
    expect(page).toContain('<html lang="en">')
    expect(page).toContain('<title>Invoice NW-000417</title>')
  })

  test('shows who bills whom for what, until when, and where to pay', () => {
    const text = textOf(renderInvoicePage(invoice()))
    for (const part of [
      'Northwind Software GmbH',
      'VAT DE 812 345 678',
      'Bright Harbor Agency',
      'EIN 93-1234567',
      'NW-000417',
      'PO-88213',
      'December 3, 2026',
      'December 17, 2026',
      'November 1 – 30, 2026',
      'Backup 1,240 0.328767 407.67',
      'Subtotal 407.67 USD',
      'VAT 19% 77.46 USD',
      'Total 485.13 USD',
      'Amount due 485.13 USD',
      'https://pay.example/i/1?a=1&b=2',
      'Billed by the day.',
      'billing@northwind.example',
      'Harbor Dental',
      '…7F3K',
    ])
      expect(text).toContain(part)
    expect(renderInvoicePage(invoice())).toContain('href="https://pay.example/i/1?a=1&amp;b=2"')
  })

  test('is the same for the same document', () => {
    expect(renderInvoicePage(invoice())).toBe(renderInvoicePage(invoice()))
  })

  test('table heads say what they head', () => {
    const page = renderInvoicePage(invoice())
    const heads = page.match(/<th\b[^>]*>/g)!
    expect(heads.every((head) => /scope="(row|col|colgroup)"/.test(head))).toBe(true)
    expect(page.match(/<h[1-3]/g)).toEqual(['<h1', '<h2', '<h2', '<h2', '<h2', '<h3'])
  })

  test('what is absent leaves no trace', () => {
    const bare = textOf(
      renderInvoicePage(
        invoice({
          poNumber: null,
          dueOn: null,
          payUrl: null,
          notes: [],
          clients: [],
          taxes: [],
          issuer: { name: 'N', address: [], taxIds: [], support: null },
        }),
      ),
    )
    for (const label of [
      'PO number',
      'Due on',
      'due on',
      'Pay ',
      'Notes',
      'Detail',
      'null',
      'undefined',
      'VAT',
      'false',
    ])
      expect(bare).not.toContain(label)
  })

  test('names what has no site or client', () => {
    const text = textOf(
      renderInvoicePage(
        invoice({
          clients: [
            {
              client: null,
              amount: 1n,
              sites: [{ site: null, licenses: [{ product: 'Backup', license: '…1', days: '3' }] }],
            },
          ],
        }),
      ),
    )
    expect(text).toContain('No client')
    expect(text).toContain('Unassigned Backup …1 3')
    expect(text).toContain('Subtotal 3 0.01 USD')
  })
})

describe('money and quantities', () => {
  test.each([
    ['usd', 123456789n, '1,234,567.89 USD'],
    ['jpy', 1234567n, '1,234,567 JPY'],
    ['kwd', 1234560n, '1,234.560 KWD'],
    ['eur', -2550n, '-25.50 EUR'],
    ['eur', 0n, '0.00 EUR'],
  ])('%s %s', (currency, total, shown) => {
    const text = textOf(renderInvoicePage(invoice({ currency, total, balance: total })))
    expect(text).toContain(`Total ${shown}`)
  })

  test.each([
    ['users', 'usd', '4.000000', '3 users 4.00'],
    ['users', 'usd', '4.125000', '3 users 4.125'],
    ['seats', 'jpy', '1200.000000', '3 seats 1,200'],
    ['days', 'usd', '1234.500000', '3 1,234.500000'],
  ])('unit prices of %s in %s: %s', (unit, currency, unitPrice, shown) => {
    const line = { description: 'Seat', quantity: '3', unit, unitPrice, amount: 1200n }
    const text = textOf(renderInvoicePage(invoice({ currency, lines: [line] })))
    expect(text).toContain(`Seat ${shown} `)
    expect(text).toContain(unit === 'days' ? 'Daily rate' : 'Unit price')
  })

  test('clients show their days and amounts, and all of them together', () => {
    const license = { product: 'Backup', license: '…1', days: '700' }
    const client = { client: 'A', amount: 12345n, sites: [{ site: 's', licenses: [license] }] }
    const clients = [client, { ...client, client: 'B' }]
    const text = textOf(renderInvoicePage(invoice({ clients })))
    expect(text).toContain('Subtotal 700 123.45 USD')
    expect(text).toContain('All clients 246.90 USD for 1,400 days')
  })

  test('a client of many licenses is printed in parts, each license once', () => {
    const licenses = Array.from({ length: 450 }, (_, n) => ({ product: 'Backup', license: `…K${n}.`, days: '1' }))
    const page = renderInvoicePage(
      invoice({
        clients: [{ client: 'Big', amount: 450n, sites: [{ site: 'one', licenses }] }],
      }),
    )
    expect(page.match(/<table class="client">/g)).toHaveLength(3)
    for (const { license } of licenses) expect(page.split(license)).toHaveLength(2)
    expect(page.match(/<h3>/g)).toHaveLength(1)
    expect(textOf(page)).toContain('Subtotal 450 4.50 USD')
  })
})

describe('what is owed', () => {
  test('a paid copy says when and by what, and asks for nothing', () => {
    const text = textOf(
      renderInvoicePage(
        invoice({
          kind: 'paid_copy',
          balance: 0n,
          paid: { on: '2026-12-05', by: 'Visa ending in 4242' },
        }),
      ),
    )
    expect(text).toContain('PAID')
    expect(text).toContain('Paid on December 5, 2026 by Visa ending in 4242')
    expect(text).toContain('Paid -485.13 USD')
    expect(text).toContain('Amount due 0.00 USD')
    expect(text).not.toContain('pay.example')
  })

  test('an invoice paid in part asks for the rest', () => {
    const text = textOf(renderInvoicePage(invoice({ balance: 8513n })))
    expect(text).toContain('Total 485.13 USD')
    expect(text).toContain('Paid or credited -400.00 USD')
    expect(text).toContain('Amount due 85.13 USD')
  })

  test('an invoice of zero asks for nothing', () => {
    const page = renderInvoicePage(invoice({ total: 0n, balance: 0n }))
    expect(textOf(page)).toContain('Nothing is due on this invoice')
    expect(page).not.toContain('href=')
  })

  test.each([
    ['2026-02-28', '2026-02-28', 'February 28, 2026'],
    ['2026-01-15', '2026-02-14', 'January 15 – February 14, 2026'],
    ['2026-12-15', '2027-01-14', 'December 15, 2026 – January 14, 2027'],
  ])('the period %s to %s', (periodStart, periodEnd, shown) => {
    expect(textOf(renderInvoicePage(invoice({ periodStart, periodEnd })))).toContain(shown)
  })
})
