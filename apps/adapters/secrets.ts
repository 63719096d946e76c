// What must not be read from a stolen database: license keys are encrypted and found by a keyed hash, API keys are
// hashed. All keys derive from the one secret of the configuration.
import { createCipheriv, createDecipheriv, createHmac, hash as digest, hkdfSync, randomBytes } from 'node:crypto'
import type { LicenseKeys, MintedKey } from '../../jobs/kit/ports.ts'

type Bytes = Uint8Array<ArrayBuffer>

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** 26 symbols of 5 bits: 130 random bits. */
const KEY_SYMBOLS = 26
/** The largest prime below 32²: a weighted sum modulo it finds every single slip and every swap of neighbors. */
const CHECK_MODULUS = 1021
/** A slug this long still leaves a key that fits on a line. */
const SLUG_CHARACTERS = 38

export interface Secrets extends LicenseKeys {
  /** The keyed hash a license key is found by, or null when its check symbols tell that it was mistyped. */
  licenseKeyHash(key: string): Bytes | null
  encrypt(text: string): Bytes
  /** @throws when the bytes were changed or belong to another secret. */
  decrypt(cipher: Uint8Array): string
}

/** @param secret at least 32 bytes of entropy, the same in every process */
export function createSecrets(secret: string): Secrets {
  const derive = (use: string): Buffer => Buffer.from(hkdfSync('sha256', secret, 'perdiem', use, 32))
  const cipherKey = derive('encryption')
  const lookupKey = derive('license-lookup')
  const encrypt = (text: string): Bytes => {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', cipherKey, nonce)
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), body]))
  }
  const hash = (key: string): Bytes => new Uint8Array(createHmac('sha256', lookupKey).update(key).digest())
  return {
    encrypt,
    decrypt(cipher) {
      const bytes = Buffer.from(cipher)
      const decipher = createDecipheriv('aes-256-gcm', cipherKey, bytes.subarray(0, 12), { authTagLength: 16 })
      decipher.setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
    },
    mint(slug): MintedKey {
      const symbols = Array.from(randomBytes(KEY_SYMBOLS), (byte) => byte & 31)
      const code = [...symbols, ...checkSymbols(symbols)].map((value) => ALPHABET[value]).join('')
      const key = `${slug.slice(0, SLUG_CHARACTERS)}_${code}`
      return { key, cipher: encrypt(key), hash: hash(key), hint: key.slice(-4) }
    },
    licenseKeyHash(key) {
      const at = key.lastIndexOf('_')
      // Crockford: case does not matter, and what is easily misread is read as meant.
      const code = key
        .slice(at + 1)
        .toUpperCase()
        .replaceAll('O', '0')
        .replace(/[IL]/g, '1')
      const symbols = Array.from(code, (symbol) => ALPHABET.indexOf(symbol))
      if (at < 1 || symbols.length !== KEY_SYMBOLS + 2 || symbols.includes(-1)) return null
      const [high, low] = checkSymbols(symbols.slice(0, KEY_SYMBOLS))
      if (symbols[KEY_SYMBOLS] !== high || symbols[KEY_SYMBOLS + 1] !== low) return null
      return hash(`${key.slice(0, at)}_${code}`)
    },
  }
}

function checkSymbols(symbols: readonly number[]): [number, number] {
  const sum = symbols.reduce((total, value, index) => total + value * (index + 1), 0) % CHECK_MODULUS
  return [sum >> 5, sum & 31]
}

/** API secrets have 256 random bits, so that a plain hash protects them. */
export const hashApiSecret = (secret: string): Bytes => new Uint8Array(digest('sha256', secret, 'buffer'))

export const newApiSecret = (kind: 'op' | 'acct'): string => `pd_${kind}_${randomBytes(32).toString('base64url')}`
