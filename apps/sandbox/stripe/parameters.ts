import { invalid, malformed, missing } from './errors.ts'
import type { ApiError } from './errors.ts'
import type { FormMap, FormValue } from './form.ts'
import document from './parameters.json' with { type: 'json' }

/** How a parameter looks: a word, or a structure of shapes. */
type Shape =
  | string
  | { enum: string[] }
  | { any: Shape[] }
  | { list: Shape }
  | { object: Record<string, Shape>; required?: string[] }

export interface Operation {
  method: string
  path: string
  required: string[]
  params: Record<string, Shape>
}

/** The operations served, by the name the SDK gives their methods. */
export const operations = document.operations as unknown as Record<string, Operation>

/** The API version whose document the table was derived from. */
export const apiVersion = document.version

/** Turns what was sent into typed values, or refuses the first parameter that is wrong. */
export function checkParameters(name: string, sent: FormMap): Record<string, unknown> {
  const operation = operations[name]
  if (operation === undefined) throw new Error(`unknown operation ${name}`)
  return readObject(operation.params, operation.required, sent, '')
}

function readObject(
  shapes: Record<string, Shape>,
  required: string[],
  sent: FormMap,
  path: string,
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(sent)) {
    const param = path === '' ? key : `${path}[${key}]`
    const shape = Object.hasOwn(shapes, key) ? shapes[key] : undefined
    if (shape === undefined) {
      throw malformed(`Received unknown parameter: ${param}`, param, 'parameter_unknown')
    }
    result[key] = read(shape, value, param)
  }
  for (const key of required) {
    if (!Object.hasOwn(result, key)) throw missing(path === '' ? key : `${path}[${key}]`)
  }
  return result
}

function read(shape: Shape, value: FormValue, param: string): unknown {
  if (typeof shape === 'string') return readWord(shape, value, param)
  if ('any' in shape) return readAny(shape.any, value, param)
  if ('enum' in shape) {
    if (typeof value === 'string' && shape.enum.includes(value)) return value
    throw malformed(`Invalid ${param}: must be one of ${shape.enum.join(', ')}`, param)
  }
  if (typeof value === 'string') {
    const wanted = 'list' in shape ? 'array' : 'hash'
    throw malformed(`Invalid ${wanted}`, param)
  }
  if ('list' in shape) return readList(shape.list, value, param)
  return readObject(shape.object, shape.required ?? [], value, param)
}

// A list may come with gaps in its numbers; their order is what counts.
function readList(shape: Shape, value: FormMap, param: string): unknown[] {
  const keys = Object.keys(value)
  if (!keys.every((key) => /^\d{1,6}$/.test(key))) throw malformed('Invalid array', param)
  keys.sort((a, b) => Number(a) - Number(b))
  return keys.map((key) => read(shape, value[key] ?? '', `${param}[${key}]`))
}

function readAny(shapes: Shape[], value: FormValue, param: string): unknown {
  // The empty string of an unset value first: other shapes would read it as their own.
  if (value === '' && shapes.some((s) => isUnset(s))) return ''
  const errors: ApiError[] = []
  for (const shape of shapes) {
    try {
      return read(shape, value, param)
    } catch (error) {
      errors.push(error as ApiError)
    }
  }
  // The error that went deepest into the value says most about what is wrong with it.
  errors.sort((a, b) => (b.body.param?.length ?? 0) - (a.body.param?.length ?? 0))
  throw errors[0] ?? malformed(`Invalid ${param}`, param)
}

function isUnset(shape: Shape): boolean {
  return typeof shape === 'object' && 'enum' in shape && shape.enum.includes('')
}

function readWord(shape: string, value: FormValue, param: string): unknown {
  if (shape === 'unserved') {
    throw malformed(`Stripe knows ${param}; this stand-in does not serve it`, param)
  }
  if (shape === 'map') return readMap(value, param)
  if (typeof value !== 'string') throw malformed(`Invalid ${shape.split(':')[0]}`, param)
  if (value === '') {
    const message = `You passed an empty string for '${param}', which cannot be unset.`
    throw malformed(message, param, 'parameter_invalid_empty')
  }
  if (shape === 'integer') return readInteger(value, param)
  if (shape === 'number') return readNumber(value, param)
  if (shape === 'boolean') {
    if (value === 'true' || value === 'false') return value === 'true'
    throw malformed(`Invalid boolean: ${value}`, param)
  }
  const limit = Number(shape.split(':')[1] ?? 5000)
  if ([...value].length <= limit) return value
  const message = `Invalid string: must be at most ${limit} characters`
  throw malformed(message, param, 'parameter_invalid_string_too_long')
}

function readInteger(value: string, param: string): number {
  if (/^-?\d{1,15}$/.test(value)) return Number(value)
  throw malformed(`Invalid integer: ${value}`, param, 'parameter_invalid_integer')
}

function readNumber(value: string, param: string): number {
  if (/^-?\d{1,12}(\.\d{1,12})?$/.test(value)) return Number(value)
  throw malformed(`Invalid decimal: ${value}`, param)
}

function readMap(value: FormValue, param: string): Record<string, string> {
  if (typeof value === 'string') throw malformed('Invalid hash', param)
  const result: Record<string, string> = {}
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') throw malformed('Invalid string', `${param}[${key}]`)
    if ([...key].length > 40 || /[[\]]/.test(key)) {
      throw malformed('Metadata keys may be at most 40 characters', param)
    }
    if ([...entry].length > 500) {
      throw malformed('Metadata values may be at most 500 characters', `${param}[${key}]`)
    }
    result[key] = entry
  }
  return result
}

/** Metadata after an update: entries add up, an empty value removes one, '' removes all. */
export function mergeMetadata(
  before: Record<string, string> | null,
  sent: object | '' | null | undefined,
): Record<string, string> {
  if (sent === '' || sent === null) return {}
  const merged: Record<string, string> = { ...before }
  for (const [key, value] of Object.entries(sent ?? {})) {
    if (value === '' || value === null) delete merged[key]
    else merged[key] = String(value)
  }
  if (Object.keys(merged).length > 50) {
    throw invalid('Metadata may have at most 50 keys', 'metadata')
  }
  return merged
}
