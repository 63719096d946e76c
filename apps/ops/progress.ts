// How far a command is: on a terminal one line that is drawn again and again, elsewhere a line for each tenth.
import { count } from './failure.ts'

export interface Progress {
  /** A phase begins. */
  begin(what: string): void
  /** How much of it is done, from 0 to 1, and what else there is to say; asked for only when it is shown. */
  advance(share: number, words: () => string): void
  /** The phase is over. */
  end(words: string): void
  /** A line of its own, whatever the phase. */
  note(line: string): void
  /** Takes back the line that is being drawn: something else will be printed. */
  clear(): void
}

/** What of a stream is needed to draw on it. */
export interface Surface {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const REDRAW_MS = 100
const BAR = 24

/** Progress as this surface can show it. */
export const showProgress = (out: Surface): Progress => (out.isTTY ? drawn(out) : told(out))

function told(out: Surface): Progress {
  let [what, tenth] = ['', 0]
  return {
    begin(phase) {
      ;[what, tenth] = [phase, 0]
    },
    advance(share, words) {
      const now = Math.floor(share * 10)
      if (now <= tenth || now >= 10) return
      tenth = now
      out.write(`${what}: ${now * 10} %, ${words()}\n`)
    },
    end: (words) => out.write(`${what}: ${words}\n`),
    note: (line) => out.write(`${line}\n`),
    clear: () => undefined,
  }
}

function drawn(out: Surface): Progress {
  let what = ''
  let drawnAt = -REDRAW_MS
  const clear = (): void => void out.write('\r\x1b[2K')
  return {
    begin(phase) {
      what = phase
      drawnAt = -REDRAW_MS
    },
    advance(share, words) {
      if (performance.now() - drawnAt < REDRAW_MS) return
      drawnAt = performance.now()
      const full = Math.round(Math.min(share, 1) * BAR)
      const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
      const line = `${what}  ${bar}  ${Math.floor(Math.min(share, 1) * 100)} %  ${words()}`
      clear()
      // A line that wraps could not be drawn over again.
      out.write(line.slice(0, Math.max(20, (out.columns || 80) - 1)))
    },
    end(words) {
      clear()
      out.write(`${what}: ${words}\n`)
    },
    note(line) {
      clear()
      out.write(`${line}\n`)
    },
    clear,
  }
}

/** Rows, and how fast they go. Begins to count time when it is made. */
export function pace(): (rows: number) => string {
  const start = performance.now()
  return (rows) => {
    const seconds = (performance.now() - start) / 1000
    const perSecond = seconds > 0 ? Math.round(rows / seconds) : rows
    return `${count(rows, 'row')}, ${perSecond.toLocaleString('en-US')} rows/s`
  }
}
