import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allot } from '../../../jobs/rules/allot.ts'

/** Parts as `[id, weight]`, shares as an object. */
function shares(amount: bigint, ...parts: [string, bigint][]): Record<string, bigint> {
  return Object.fromEntries(
    allot(
      amount,
      parts.map(([id, weight]) => ({ id, weight })),
    ),
  )
}

describe('an amount that is allotted', () => {
  it('gives what rounding leaves over to the largest remainders', () => {
    // 1000 × 1/7 = 142 r 6, × 2/7 = 285 r 5, × 4/7 = 571 r 3; 142 + 285 + 571 = 998, two are left.
    expect(shares(1000n, ['a', 1n], ['b', 2n], ['c', 4n])).toEqual({ a: 143n, b: 286n, c: 571n })
    // 100 × 3/8 = 37 r 4, × 5/8 = 62 r 4: one is left, a tie.
    expect(shares(100n, ['b', 3n], ['a', 5n])).toEqual({ a: 63n, b: 37n })
  })

  it('breaks ties by id, not by place', () => {
    expect(shares(100n, ['c', 1n], ['a', 1n], ['b', 1n])).toEqual({ a: 34n, b: 33n, c: 33n })
    expect(shares(200n, ['c', 1n], ['b', 1n], ['a', 1n])).toEqual({ a: 67n, b: 67n, c: 66n })
  })

  it('is the mirror image when it is negative', () => {
    expect(shares(-100n, ['a', 1n], ['b', 1n], ['c', 1n])).toEqual({ a: -34n, b: -33n, c: -33n })
  })

  it('gives nothing to a part of no weight, and all to a part alone', () => {
    expect(shares(7n, ['a', 0n], ['b', 3n])).toEqual({ a: 0n, b: 7n })
    expect(shares(0n, ['a', 1n], ['b', 3n])).toEqual({ a: 0n, b: 0n })
  })

  it('has no parts where nothing has weight', () => {
    expect(shares(7n)).toEqual({})
    expect(shares(7n, ['a', 0n])).toEqual({})
  })

  const parts = fc
    .uniqueArray(fc.record({ id: fc.uuid(), weight: fc.bigInt({ min: 0n, max: 10n ** 9n }) }), {
      minLength: 1,
      maxLength: 30,
      selector: (part) => part.id,
    })
    .filter((all) => all.some((part) => part.weight > 0n))
  const amount = fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n })

  it('adds up again, each share within one of its exact part', () => {
    fc.assert(
      fc.property(amount, parts, (amount, parts) => {
        const shared = allot(amount, parts)
        expect([...shared.values()].reduce((sum, share) => sum + share, 0n)).toBe(amount)
        expect(shared.size).toBe(parts.length)
        const total = parts.reduce((sum, part) => sum + part.weight, 0n)
        for (const { id, weight } of parts) {
          const off = shared.get(id)! * total - amount * weight
          expect(off < total && -off < total).toBe(true)
        }
      }),
    )
  })

  it('is allotted the same in whatever order the parts come', () => {
    fc.assert(
      fc.property(amount, parts, (amount, parts) => {
        const sorted = (all: typeof parts) => [...allot(amount, all)].sort(([a], [b]) => (a < b ? -1 : 1))
        expect(sorted([...parts].reverse())).toEqual(sorted(parts))
      }),
    )
  })

  it('never gives less for more weight', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 12n }), parts, (amount, parts) => {
        const shared = allot(amount, parts)
        const risen = [...parts].sort((a, b) => (a.weight < b.weight ? -1 : 1))
        risen.slice(1).forEach((part, index) => {
          const lighter = risen[index]!
          if (lighter.weight < part.weight) expect(shared.get(part.id)! >= shared.get(lighter.id)!).toBe(true)
        })
      }),
    )
  })
})
