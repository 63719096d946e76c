// What goes wrong in a way a person can act on: told as sentences, never as a stack.

/** The command cannot go on; its message is printed as it is. */
export class Failure extends Error {
  override name = 'Failure'
}

/** Text from a file or a server as it may be shown on a terminal: on one line, and nothing that moves its cursor. */
export const plain = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return character === '\n' ? '\\n' : `\\u${code.padStart(4, '0')}`
  })

/** A few words of a text that may be of any length. */
export const excerpt = (text: string): string => plain(text.length > 60 ? `${text.slice(0, 60)}…` : text)

const grouped = new Intl.NumberFormat('en-US')

/** 1 row, 2 rows, 1,000 rows. */
export const count = (n: number, what: string): string => `${grouped.format(n)} ${what}${n === 1 ? '' : 's'}`
