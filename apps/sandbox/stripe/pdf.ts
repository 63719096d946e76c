import type Stripe from 'stripe'
import type { Context } from './context.ts'
import type { Answer } from './http.ts'
import { day, money } from './pages.ts'

const LINES_PER_PAGE = 46

/** An invoice as a plain PDF: Stripe's has its own look, which nobody here depends on. */
export function invoicePdf(context: Context, invoice: Stripe.Invoice): Answer {
  const lines = context.book.all('line_item', { parent: invoice.id })
  const text = [
    `Invoice ${invoice.number ?? ''}`,
    `Status: ${invoice.status}`,
    `Billed to: ${invoice.customer_name ?? invoice.customer_email ?? ''}`,
    `Issued: ${day(invoice.effective_at ?? invoice.created)}`,
    '',
    ...lines.map((line) => `${money(line.amount, line.currency)}   ${line.description ?? ''}`),
    '',
    `Total: ${money(invoice.total, invoice.currency)}`,
    `Paid: ${money(invoice.amount_paid, invoice.currency)}`,
    `To pay: ${money(invoice.amount_remaining, invoice.currency)}`,
  ]
  const name = (invoice.number ?? invoice.id).replaceAll(/[^\w-]/g, '_')
  return {
    status: 200,
    body: pdfOf(text),
    headers: {
      'Content-Type': 'application/pdf',
      'Content-Disposition': `inline; filename="${name}.pdf"`,
      'X-Content-Type-Options': 'nosniff',
    },
  }
}

// Every byte below 128, so that offsets counted in characters are offsets in bytes.
function pdfOf(text: string[]): string {
  const pages: string[][] = []
  for (let start = 0; start < text.length; start += LINES_PER_PAGE) {
    pages.push(text.slice(start, start + LINES_PER_PAGE))
  }
  const kids = pages.map((_, index) => `${4 + index * 2} 0 R`).join(' ')
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count ${pages.length} /Kids [${kids}] >>`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
  ]
  pages.forEach((lines, index) => {
    const content = contentOf(lines)
    objects.push(
      '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] ' +
        `/Resources << /Font << /F 3 0 R >> >> /Contents ${5 + index * 2} 0 R >>`,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    )
  })
  return assemble(objects)
}

function contentOf(lines: string[]): string {
  const shown = lines.map((line) => `(${quote(line.slice(0, 100))}) Tj T*`)
  return `BT /F 10 Tf 16 TL 50 790 Td ${shown.join('\n')} ET`
}

function quote(line: string): string {
  return [...line]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0
      if ('\\()'.includes(character)) return `\\${character}`
      if (code >= 32 && code < 127) return character
      // Latin letters have a place in the font's encoding; others have none.
      return code >= 160 && code <= 255 ? `\\${code.toString(8)}` : '?'
    })
    .join('')
}

function assemble(objects: string[]): string {
  let body = '%PDF-1.4\n'
  const offsets = objects.map((object, index) => {
    const offset = body.length
    body += `${index + 1} 0 obj\n${object}\nendobj\n`
    return String(offset).padStart(10, '0')
  })
  const rows = offsets.map((offset) => `${offset} 00000 n \n`).join('')
  const count = objects.length + 1
  const table = `xref\n0 ${count}\n0000000000 65535 f \n${rows}`
  const trailer = `trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${body.length}\n%%EOF\n`
  return body + table + trailer
}
