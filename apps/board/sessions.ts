// Who is signed in: kept in memory, so that a restart signs everybody out. A session is an unguessable name for a key's
// hash; what the key may do is asked of the database each time.
import { randomBytes } from 'node:crypto'
import { wallMs } from '../adapters/clock.ts'
import type { KeyHash } from './keys.ts'

/** A person who has left the desk. */
const IDLE_MS = 30 * 60_000
/** A working day: whoever is still there signs in again. */
const LIFE_MS = 8 * 60 * 60_000
/** More than a vendor has operators; whoever signs in over and over ends his oldest sessions, not our memory. */
const SESSIONS_MAX = 500
/** The page asks for the same every five seconds by itself; three times that, for a slow network. */
const POLL_MS = 15_000
const POLLS_MAX = 20

export interface Session {
  readonly keyHash: KeyHash
  readonly startedMs: number
  activeMs: number
  /** When each address was last asked for. */
  readonly asked: Map<string, number>
}

export interface Sessions {
  /** @returns its id, 256 random bits */
  open(keyHash: KeyHash): string
  /** @param asks the address asked for: what a page repeats by itself is no sign of a person */
  find(id: string, asks: string): Session | null
  end(id: string): void
}

export function createSessions(nowMs: () => number = wallMs): Sessions {
  const sessions = new Map<string, Session>()
  const isOver = ({ startedMs, activeMs }: Session): boolean =>
    nowMs() - startedMs >= LIFE_MS || nowMs() - activeMs >= IDLE_MS
  return {
    open(keyHash) {
      for (const [id, session] of sessions) if (isOver(session)) sessions.delete(id)
      // A Map remembers the order: the first is the oldest.
      for (const id of sessions.keys()) if (sessions.size >= SESSIONS_MAX) sessions.delete(id)
      const id = randomBytes(32).toString('base64url')
      sessions.set(id, { keyHash, startedMs: nowMs(), activeMs: nowMs(), asked: new Map() })
      return id
    },
    find(id, asks) {
      const session = sessions.get(id)
      if (!session) return null
      if (isOver(session)) {
        sessions.delete(id)
        return null
      }
      if (!isPoll(session, asks, nowMs())) session.activeMs = nowMs()
      return session
    },
    end: (id) => void sessions.delete(id),
  }
}

function isPoll({ asked }: Session, address: string, nowMs: number): boolean {
  const before = asked.get(address)
  asked.delete(address)
  asked.set(address, nowMs)
  for (const oldest of asked.keys()) if (asked.size > POLLS_MAX) asked.delete(oldest)
  return before !== undefined && nowMs - before < POLL_MS
}
