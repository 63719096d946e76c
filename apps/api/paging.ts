import type { z } from 'zod'
import { Problem } from './problem.ts'
import { isPlainText } from './schemas.ts'

/** A cursor is the place of the last row given: its sort value and its id. Opaque to callers. */
export const encodeCursor = (place: readonly (string | null)[]): string =>
  Buffer.from(JSON.stringify(place)).toString('base64url')

/** @throws Problem when the cursor is not one of ours */
export function decodeCursor<T extends readonly string[]>(text: string | undefined, schema: z.ZodType<T>): T | null {
  if (text === undefined) return null
  try {
    const result = schema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
    if (result.success && result.data.every(isPlainText)) return result.data
  } catch {
    // Falls through: whatever it is, it is not a cursor.
  }
  throw new Problem(400, 'invalid_request', 'The cursor is not one this list gave.', [
    { path: 'cursor', message: 'is not one this list gave' },
  ])
}

/** Cuts a page off rows fetched one too many, and says where the next begins. */
export function page<Row, Item>(
  rows: readonly Row[],
  limit: number,
  total: number,
  view: (row: Row) => Item,
  place: (row: Row) => readonly (string | null)[],
) {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    data: shown.map(view),
    next_cursor: rows.length > limit && last !== undefined ? encodeCursor(place(last)) : null,
    total,
  }
}
