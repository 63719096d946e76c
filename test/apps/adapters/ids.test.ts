import { afterEach, describe, expect, it, vi } from 'vitest'
import { fromPublicId, newId, PREFIX, toPublicId, type IdKind } from '../../../apps/adapters/ids.ts'

afterEach(() => {
  vi.useRealTimers()
})

const KINDS = Object.keys(PREFIX) as IdKind[]
const UUID = '0199f1b2-7c3d-7abc-8def-0123456789ab'
const millisecondsOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

/** Makes the wall clock stand at an instant. */
function standAt(instant: string): void {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date(instant) })
}

describe('a new id', () => {
  it('is a UUID of version 7 and the RFC’s variant', () => {
    for (let count = 0; count < 1_000; count += 1) {
      expect(newId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }
  })

  it('rises and does not repeat, however many are made in a millisecond', () => {
    standAt('2100-01-01T00:00:00Z')
    const ids = Array.from({ length: 50_000 }, newId)
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(50_000)
  })

  it('begins with the millisecond in which it was made', () => {
    standAt('2110-01-01T00:00:00.123Z')
    // 2110-01-01 is 51,135 days after 1970-01-01: 140 × 365 + 35 leap days (1972 to 2108 are 35, less 2100, is 34).
    expect(millisecondsOf(newId())).toBe((140 * 365 + 34) * 86_400_000 + 123)
  })

  it('goes on rising when the clock is set back', () => {
    standAt('2120-01-01T00:00:00Z')
    const before = newId()
    standAt('2119-12-31T23:00:00Z')
    const after = Array.from({ length: 5_000 }, newId)
    expect([before, ...after].sort()).toEqual([before, ...after])
  })
})

describe('a public id', () => {
  it.each(KINDS)('of a %s goes out and comes back', (kind) => {
    const id = toPublicId(kind, UUID)
    expect(id).toBe(`${PREFIX[kind]}_0199f1b27c3d7abc8def0123456789ab`)
    expect(fromPublicId(kind, id)).toBe(UUID)
  })

  it('is refused where another kind is asked for', () => {
    for (const kind of KINDS) {
      for (const other of KINDS) {
        if (other !== kind) expect(fromPublicId(kind, toPublicId(other, UUID)), `${other} for ${kind}`).toBeNull()
      }
    }
  })

  it('has a prefix of its own for each kind', () => {
    expect(new Set(Object.values(PREFIX)).size).toBe(KINDS.length)
  })

  it('is refused in any other spelling', () => {
    const id = toPublicId('license', UUID)
    for (const text of [
      '',
      'lic_',
      UUID,
      `lic_${UUID}`,
      id.toUpperCase(),
      `lic_${id.slice(4).toUpperCase()}`,
      id.slice(0, -1),
      `${id}0`,
      ` ${id}`,
      `${id}\n`,
      `x${id}`,
      id.replace('lic_', 'lic-'),
      `${id.slice(0, -1)}g`,
      'lic_%',
    ])
      expect(fromPublicId('license', text), JSON.stringify(text)).toBeNull()
  })
})
