// How an invoice looks on A4. No shadows, filters or translucent colors: they would be printed as
// pictures. Grid and flex hold only what never breaks across pages; what may break is tables and
// blocks. Every element becomes a tag of the PDF, and many tags are slow: cells hold bare text, and
// `plaintext` does there what <bdi> does in a line.

export const INVOICE_STYLE = `
@page { size: A4; margin: 17mm 18mm 20mm }
* { box-sizing: border-box }
html { font: 9.5pt/1.5 "Open Sans", "Helvetica Neue", Arial, sans-serif; color: #1b2330;
  print-color-adjust: exact; font-synthesis: none; font-variant-ligatures: none;
  text-rendering: geometricPrecision }
body { margin: 0; overflow-wrap: anywhere }
h1, h2, h3, p, dl, dd, ul, address { margin: 0; padding: 0; font-style: normal }
h1, h2, h3, .name, th { font-weight: 700 }
a { color: #17466b; text-decoration: none }
.muted, .label, dt { color: #5a6475 }
.label, h2.label, dt, thead th { font-size: 8pt; font-weight: 400 }
.top { display: flex; justify-content: space-between; gap: 12mm; padding-bottom: 6mm;
  border-bottom: 1.2pt solid #1b2330 }
.issuer { flex: 1 1 0; min-width: 0 }
.issuer .name { font-size: 13pt; line-height: 1.3 }
.issuer address, .bill address { font-size: 8.5pt; color: #5a6475 }
.heading { flex: 0 1 auto; max-width: 85mm; text-align: right }
h1 { font-size: 22pt; line-height: 1.15; letter-spacing: -0.3pt }
.heading p { margin-top: 1mm }
.parties { display: flex; gap: 12mm; margin: 7mm 0 8mm }
.bill { flex: 1 1 0; min-width: 0 }
.bill h2 { line-height: 1.5 }
.bill .name { font-size: 11pt; line-height: 1.4 }
.facts { flex: 0 0 82mm; display: grid; grid-template-columns: 26mm 1fr; gap: 0.8mm 4mm;
  align-content: start; align-items: baseline }
.due { display: flex; align-items: center; justify-content: space-between; gap: 8mm;
  padding: 5mm 6mm; background: #f2f5f8; border-left: 2.4pt solid #17466b; break-inside: avoid }
.due.settled { border-left-color: #1d6b4a }
.due .sum { font-size: 18pt; line-height: 1.25; font-weight: 700 }
.due p { min-width: 0 }
.button { display: inline-block; flex: none; padding: 2.4mm 6mm; border-radius: 1.2mm;
  background: #17466b; color: #ffffff; font-weight: 700 }
.stamp { flex: none; padding: 1mm 4mm; border: 1.4pt solid #1d6b4a; border-radius: 1.2mm;
  color: #1d6b4a; font-size: 13pt; font-weight: 700; letter-spacing: 1.6pt }
.address { margin: 1.6mm 0 0; font-size: 7.5pt; line-height: 1.45; color: #5a6475 }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 1.9mm 0 1.9mm 5mm; text-align: left; vertical-align: top;
  unicode-bidi: plaintext }
th:first-child, td:first-child { padding-left: 0 }
tr { break-inside: avoid }
thead th { color: #5a6475; border-bottom: 0.8pt solid #1b2330; padding-bottom: 1.2mm;
  vertical-align: bottom }
tbody td, tbody th { border-bottom: 0.5pt solid #d8dde4; font-weight: 400 }
.number { text-align: right; white-space: nowrap; overflow-wrap: normal }
.lines { margin-top: 8mm }
.totals { width: 92mm; margin: 0 0 0 auto; break-inside: avoid }
.totals td, .totals th { border: 0; padding-top: 1.3mm; padding-bottom: 1.3mm }
.totals .rule > * { border-top: 0.8pt solid #1b2330; font-weight: 700 }
.totals .last > * { font-size: 11.5pt; font-weight: 700; padding-top: 1.6mm }
.notes { margin-top: 9mm; font-size: 8.5pt; break-inside: avoid-page }
.notes p + p { margin-top: 1.2mm }
.detail { break-before: page }
h2.title { font-size: 15pt; line-height: 1.25; letter-spacing: -0.2pt }
.detail > p { margin-top: 1mm; font-size: 8.5pt }
.client { margin-top: 7mm; font-size: 8.5pt; table-layout: fixed }
.client th, .client td { padding: 1.15mm 0 1.15mm 4mm; border: 0 }
.client th:first-child, .client td:first-child { padding-left: 0 }
.client thead { border-bottom: 0.8pt solid #1b2330 }
.client .who th { padding-bottom: 0.6mm; color: #1b2330 }
.client tbody { border-bottom: 0.5pt solid #d8dde4 }
.client tbody:nth-last-child(2) { border-bottom: 0.8pt solid #1b2330 }
.client .again { color: #6b7482 }
.client .none { font-style: italic; color: #5a6475 }
.client .sum { border: 0; break-before: avoid }
.client .sum tr > * { font-weight: 700 }
h3 { font-size: 11pt; line-height: 1.35 }
.all { margin-top: 8mm; break-inside: avoid; border-top: 1.2pt solid #1b2330 }
.all td, .all th { border: 0; font-weight: 700 }
`
