import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createSecrets, hashApiSecret, newApiSecret } from '../../../apps/adapters/secrets.ts'

const secrets = createSecrets('a secret of at least thirty-two bytes')
const others = createSecrets('another secret of thirty-two bytes or so')
/** Crockford's base32: no I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

const keys = Array.from({ length: 10_000 }, () => secrets.mint('backup').key)
const hex = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString('hex')
const codeOf = (key: string): string => key.slice(key.lastIndexOf('_') + 1)
const withCode = (key: string, change: (code: string) => string): string =>
  key.slice(0, key.lastIndexOf('_') + 1) + change(codeOf(key))

describe('a license key', () => {
  it('is the product’s slug and 28 symbols, 130 bits of them random', () => {
    for (const key of keys) expect(key).toMatch(/^backup_[0-9A-HJKMNP-TV-Z]{28}$/)
    // 26 symbols of 5 bits: each symbol is drawn at every place.
    for (let place = 0; place < 26; place += 1) {
      expect(new Set(keys.map((key) => codeOf(key)[place])).size, `place ${place}`).toBe(32)
    }
  })

  it('does not repeat within 10,000', () => {
    expect(new Set(keys).size).toBe(10_000)
    expect(new Set(keys.map((key) => hex(secrets.licenseKeyHash(key)))).size).toBe(10_000)
  })

  it('is found by the hash it was minted with, and shows of itself only the last four symbols', () => {
    const minted = secrets.mint('backup')
    expect(hex(secrets.licenseKeyHash(minted.key))).toBe(hex(minted.hash))
    expect(minted.hash).toHaveLength(32)
    expect(minted.hint).toBe(minted.key.slice(-4))
    expect(secrets.decrypt(minted.cipher)).toBe(minted.key)
  })

  it('is refused with any one symbol wrong', () => {
    for (const key of keys.slice(0, 500)) {
      for (let place = 0; place < 28; place += 1) {
        for (const symbol of ALPHABET) {
          if (symbol === codeOf(key)[place]) continue
          const slip = withCode(key, (code) => code.slice(0, place) + symbol + code.slice(place + 1))
          if (secrets.licenseKeyHash(slip) !== null) expect.fail(`${slip} passes for ${key}`)
        }
      }
    }
  })

  it('is refused with any two neighbors swapped', () => {
    let swaps = 0
    for (const key of keys) {
      for (let place = 0; place < 27; place += 1) {
        const swapped = (code: string): string =>
          code.slice(0, place) + code[place + 1] + code[place] + code.slice(place + 2)
        const swap = withCode(key, swapped)
        if (swap === key) continue
        swaps += 1
        if (secrets.licenseKeyHash(swap) !== null) expect.fail(`${swap} passes for ${key}`)
      }
    }
    // Of 270,000 pairs about one in 32 is twice the same symbol.
    expect(swaps).toBeGreaterThan(250_000)
  })

  it('is refused with a symbol missing, added or outside the alphabet, and without its slug', () => {
    const key = keys[0]!
    const code = codeOf(key)
    for (const text of [
      '',
      '_',
      key.slice(0, -1),
      `${key}0`,
      `${key}\n`,
      code,
      `_${code}`,
      ` ${code}`,
      withCode(key, () => ''),
      withCode(key, (all) => `U${all.slice(1)}`),
      withCode(key, (all) => `-${all.slice(1)}`),
    ])
      expect(secrets.licenseKeyHash(text), JSON.stringify(text)).toBeNull()
  })

  it('is read as meant: in small letters, with O for 0 and I or L for 1', () => {
    for (const key of keys.slice(0, 2_000)) {
      const hash = hex(secrets.licenseKeyHash(key))
      for (const misread of [
        (code: string) => code.toLowerCase(),
        (code: string) => code.replaceAll('0', 'O').replaceAll('1', 'I'),
        (code: string) => code.replaceAll('0', 'o').replaceAll('1', 'L'),
        (code: string) => code.toLowerCase().replaceAll('1', 'l'),
        (code: string) => code.replaceAll('1', 'i'),
      ])
        expect(hex(secrets.licenseKeyHash(withCode(key, misread)))).toBe(hash)
    }
  })

  it('is another key under another slug, though the symbols are the same', () => {
    const key = keys[0]!
    expect(hex(secrets.licenseKeyHash(`search_${codeOf(key)}`))).not.toBe(hex(secrets.licenseKeyHash(key)))
  })

  it('keeps a slug with underscores, and of a long one what fits on a line', () => {
    for (const [slug, kept] of [
      ['back_up', 'back_up'],
      ['x'.repeat(100), 'x'.repeat(38)],
    ] as const) {
      const minted = secrets.mint(slug)
      expect(minted.key.slice(0, -29)).toBe(kept)
      expect(hex(secrets.licenseKeyHash(minted.key))).toBe(hex(minted.hash))
    }
  })

  it('has another hash under another secret', () => {
    expect(hex(others.licenseKeyHash(keys[0]!))).not.toBe(hex(secrets.licenseKeyHash(keys[0]!)))
    expect(hex(secrets.licenseKeyHash(keys[0]!))).not.toBe(createHash('sha256').update(keys[0]!).digest('hex'))
  })

  it('is known to every process that has the same secret', () => {
    const again = createSecrets('a secret of at least thirty-two bytes')
    const minted = secrets.mint('backup')
    expect(hex(again.licenseKeyHash(minted.key))).toBe(hex(minted.hash))
    expect(again.decrypt(minted.cipher)).toBe(minted.key)
  })
})

describe('what is encrypted', () => {
  const TEXTS = ['', 'x', 'backup_0123456789', 'Grüße, 東京 🗝', 'long '.repeat(1_000)]

  it('comes back as it was, and never looks the same twice', () => {
    for (const text of TEXTS) {
      const [one, two] = [secrets.encrypt(text), secrets.encrypt(text)]
      expect(secrets.decrypt(one)).toBe(text)
      expect(secrets.decrypt(two)).toBe(text)
      expect(hex(one)).not.toBe(hex(two))
      if (text.length > 1) expect(Buffer.from(one).includes(text)).toBe(false)
    }
  })

  it('is refused when any bit of it was changed', () => {
    const cipher = secrets.encrypt('backup_0123456789')
    for (let bit = 0; bit < cipher.length * 8; bit += 1) {
      const changed = cipher.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => secrets.decrypt(changed), `bit ${bit}`).toThrow()
    }
  })

  it.each(TEXTS.slice(0, 3))('is refused when it was cut short or added to: "%s"', (text) => {
    const cipher = secrets.encrypt(text)
    const accepted = Array.from(cipher, (_, length) => length).filter((length) => {
      try {
        secrets.decrypt(cipher.subarray(0, length))
        return true
      } catch {
        return false
      }
    })
    expect(accepted).toEqual([])
    expect(() => secrets.decrypt(new Uint8Array([...cipher, 0]))).toThrow()
  })

  it('is refused under another secret', () => {
    expect(() => others.decrypt(secrets.encrypt('x'))).toThrow()
  })
})

describe('an API secret', () => {
  it('says its kind, does not repeat and has 256 random bits', () => {
    const made = Array.from({ length: 1_000 }, () => newApiSecret('op'))
    expect(new Set(made).size).toBe(1_000)
    // 43 characters of base64url are 256 bits.
    for (const secret of made) expect(secret).toMatch(/^pd_op_[A-Za-z0-9_-]{43}$/)
    expect(newApiSecret('acct')).toMatch(/^pd_acct_[A-Za-z0-9_-]{43}$/)
  })

  it('is found by its SHA-256', () => {
    // The test vector of FIPS 180-2 for "abc".
    expect(hex(hashApiSecret('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(hex(hashApiSecret('abd'))).not.toBe(hex(hashApiSecret('abc')))
  })
})
