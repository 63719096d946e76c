import { refusal } from './errors.ts'

// Bounds on what a request may bring: 250 invoice lines with all their fields fit well within them.
const MAX_PAIRS = 20_000
const MAX_DEPTH = 8

export type FormValue = string | FormMap
export interface FormMap {
  [key: string]: FormValue
}

/** Reads `a[b][0][c]=d` pairs into nested maps; lists stay maps with numbered keys. */
export function parseForm(text: string): FormMap {
  const root = emptyMap()
  let pairs = 0
  for (const [name, value] of new URLSearchParams(text)) {
    pairs += 1
    if (pairs > MAX_PAIRS) throw refusal(400, 'invalid_request_error', 'Too many parameters.')
    place(root, pathOf(name), value)
  }
  return root
}

// Without a prototype, so that a key such as __proto__ is a key like any other.
function emptyMap(): FormMap {
  return Object.create(null) as FormMap
}

function pathOf(name: string): string[] {
  const open = name.indexOf('[')
  if (open === -1) return [name]
  const rest = name.slice(open)
  if (!/^(\[[^[\]]*\])+$/.test(rest)) return [name]
  const path = [name.slice(0, open), ...rest.slice(1, -1).split('][')]
  if (path.length > MAX_DEPTH) {
    throw refusal(400, 'invalid_request_error', 'Parameters are nested too deeply.')
  }
  return path
}

function place(root: FormMap, path: string[], value: string): void {
  let map = root
  path.forEach((part, index) => {
    const key = part === '' && index > 0 ? String(Object.keys(map).length) : part
    if (index === path.length - 1) {
      map[key] = value
      return
    }
    const next = map[key]
    const inner = next === undefined || typeof next === 'string' ? emptyMap() : next
    map[key] = inner
    map = inner
  })
}
