import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'

/**
 * Slows down who guesses passwords. Immich's clients don't understand 429 (they neither wait nor retry), so the answer
 * comes late instead of being refused: after five free failures each further one doubles the delay, up to 10 s, and
 * attempts run one after another, so that a thousand parallel guesses gain nothing.
 *
 * It counts per account *and* network address. Per account alone, whoever knows your e-mail address could lock you out of
 * your own photos; per address alone, one guest behind a shared address could lock out the house. What a botnet can do is
 * bounded by `passwords.ts`, which hashes two at a time: about ten guesses a second for the whole server.
 * In memory, per process: a restart forgives, which costs an attacker more than it gains.
 */
export type LoginSlowdown = {
  /** Runs one attempt, late if need be. `attempt` answers null for a failure. @throws AppError unavailable in a crowd */
  run<T>(account: string, address: string, attempt: () => Promise<T | null>): Promise<T | null>
}

const FREE_FAILURES = 5
const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 10_000
const FORGET_AFTER_MS = 15 * 60_000
const MAX_WAITING = 20
const MAX_ENTRIES = 10_000

type Entry = { failures: number; lastFailureAtMs: number; waiting: number; tail: Promise<void> }

/** `now` (milliseconds) and `wait` are for tests. */
export function createLoginSlowdown(
  options: { now?: () => number; wait?: (ms: number) => Promise<unknown> } = {},
): LoginSlowdown {
  const now = options.now ?? Date.now
  const wait = options.wait ?? ((ms: number) => sleep(ms, undefined, { ref: false }))
  const entries = new Map<string, Entry>()

  function entryOf(key: string): Entry {
    const found = entries.get(key)
    const isFresh =
      found !== undefined && (found.waiting > 0 || now() - found.lastFailureAtMs < FORGET_AFTER_MS)
    const entry = isFresh ? found : { failures: 0, lastFailureAtMs: 0, waiting: 0, tail: Promise.resolve() }
    // Set again, so that the map's order is that of last use and the oldest goes first.
    entries.delete(key)
    entries.set(key, entry)
    const oldest = entries.keys().next()
    if (entries.size > MAX_ENTRIES && !oldest.done) entries.delete(oldest.value)
    return entry
  }

  /** A success forgets the failures; an error (no database) is neither. */
  async function settle<T>(entry: Entry, attempt: () => Promise<T | null>): Promise<T | null> {
    const result = await attempt()
    if (result === null) {
      entry.failures++
      entry.lastFailureAtMs = now()
    } else {
      entry.failures = 0
    }
    return result
  }

  return {
    async run(account, address, attempt) {
      const entry = entryOf(`${account} ${address}`)
      if (entry.failures < FREE_FAILURES && entry.waiting === 0) return settle(entry, attempt)
      if (entry.waiting >= MAX_WAITING) {
        throw new AppError(
          'unavailable',
          'Too many log-ins for this account are waiting; try again in a minute',
        )
      }
      entry.waiting++
      const before = entry.tail
      const { promise, resolve } = Promise.withResolvers<void>()
      entry.tail = promise
      try {
        await before
        const doublings = Math.min(entry.failures - FREE_FAILURES, 10)
        if (doublings >= 0) await wait(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** doublings))
        return await settle(entry, attempt)
      } finally {
        entry.waiting--
        resolve()
      }
    },
  }
}
