// HTML by tagged template: what is put in is text unless it was made by `html` itself, so that
// forgetting to escape shows markup to the reader and runs nothing. Values may stand in element
// content and in quoted attributes only; addresses only as a WebAddress. Anything else is a
// programming error and throws.

/** HTML that `html` built. Its field is private, so that parsed JSON cannot pass for one. */
export class SafeHtml {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }

  static isSafe(value: unknown): value is SafeHtml {
    return typeof value === 'object' && value !== null && #text in value
  }
}

/** An http(s) address, the only kind of value that may stand in href. Made by `webAddress`. */
export class WebAddress {
  readonly #href: string

  constructor(href: string) {
    this.#href = href
  }

  toString(): string {
    return this.#href
  }

  static isAddress(value: unknown): value is WebAddress {
    return typeof value === 'object' && value !== null && #href in value
  }
}

export type HtmlValue =
  string | number | bigint | SafeHtml | WebAddress | null | undefined | false | readonly HtmlValue[]

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

// Not allowed in HTML at all (the parser drops or replaces them), or drawn as boxes.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g

// Turn the order of what follows around, so that gnp.exe reads as exe.png. Scripts that run from
// right to left do without them.
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/g

/** Text made safe for element content and for quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .toWellFormed()
    .replace(CONTROLS, '\ufffd')
    .replace(REORDERING, '')
    .replace(/[&<>"'`]/g, (character) => ENTITIES[character]!)
}

/** The address, when it is an absolute http(s) one without credentials; else null. */
export function webAddress(text: string): WebAddress | null {
  if (!/^https?:\/\/[^\s\\]+$/i.test(text) || !URL.canParse(text)) return null
  const url = new URL(text)
  const plain = url.username === '' && url.password === ''
  return plain ? new WebAddress(url.href) : null
}

type Place = 'content' | 'attribute' | 'address'

/** Where a value stands, told from all the literal HTML before it. */
function placeOf(before: string): Place {
  const tag = before.slice(before.lastIndexOf('<'))
  const inTag = before.lastIndexOf('<') > before.lastIndexOf('>')
  if (!inTag) {
    const opened = before.search(/<(script|style|textarea|iframe|xmp|noscript|!--)(?![^]*<\/\1)/i)
    if (opened >= 0) throw new TypeError('html: a value stands in raw text or in a comment')
    return 'content'
  }
  const attribute = /\s([a-z-]+)="[^"]*$/.exec(tag)
  if (!attribute) throw new TypeError('html: a value stands in a tag outside a quoted attribute')
  const name = attribute[1]!
  if (name.startsWith('on') || name === 'style' || name === 'srcdoc') {
    throw new TypeError(`html: a value stands in the attribute ${name}`)
  }
  const address = /^(href|src|srcset|action|formaction|poster|data|background|cite)$/.test(name)
  return address ? 'address' : 'attribute'
}

const placesByTemplate = new WeakMap<TemplateStringsArray, Place[]>()

/** The places of a template's values; found out once per template, not once per call. */
function placesOf(strings: TemplateStringsArray): Place[] {
  let places = placesByTemplate.get(strings)
  if (!places) {
    places = strings.slice(0, -1).map((_, index) => placeOf(strings.slice(0, index + 1).join('')))
    placesByTemplate.set(strings, places)
  }
  return places
}

function write(value: HtmlValue, place: Place): string {
  if (value === null || value === undefined || value === false) return ''
  if (place === 'address') {
    if (!WebAddress.isAddress(value)) throw new TypeError('html: an address must be a WebAddress')
    return escapeHtml(value.toString())
  }
  if (Array.isArray(value)) return value.map((item) => write(item, place)).join('')
  if (place === 'content' && SafeHtml.isSafe(value)) return value.toString()
  return escapeHtml(String(value))
}

/** Builds HTML. Values are escaped for where they stand; null, undefined and false show nothing. */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): SafeHtml {
  const places = placesOf(strings)
  let text = strings[0]!
  values.forEach((value, index) => {
    text += write(value, places[index]!) + strings[index + 1]!
  })
  return new SafeHtml(text)
}

/** Literal HTML and CSS of ours, never anything a person typed. */
export function trustedHtml(literal: string): SafeHtml {
  return new SafeHtml(literal)
}

/** What a printed page may load: nothing but its own styles and inlined pictures. */
export const PRINT_POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/** How every printed page begins: the policy comes before anything it has to hold. */
export const PRINT_PREAMBLE =
  '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
  `<meta http-equiv="Content-Security-Policy" content="${PRINT_POLICY}">`
