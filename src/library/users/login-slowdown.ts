import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { networkOf } from '../credentials/network-of.ts'
import { createFairQueue } from '../fair-queue.ts'

/**
 * Slows down who guesses passwords. Immich's clients don't understand 429 (they neither wait nor retry), so
 * the answer comes late instead of being refused: after five free failures each further one doubles the
 * delay, up to 10 s, and attempts run one after another, so that a thousand parallel guesses gain nothing.
 *
 * It counts per account *and* network address. If it were by account alone, anybody who knows your e-mail
 * address could lock you out of your own photos; per address alone, one guest behind a shared address could
 * lock out the house.
 *
 * Attempts whose time has come run two at a time (`passwords.ts` hashes no faster), and the addresses take
 * turns: of a thousand attempts from one address, a log-in from another waits for two. What one address may
 * have waiting is bounded, and what goes beyond is refused at once with 503: Immich's page shows the
 * sentence, its phone app that the log-in failed. In memory, per process: a restart forgives, which costs an
 * attacker more than it gains.
 */
export type LoginSlowdown = {
  /**
   * Runs one attempt, late if need be. `attempt` answers null for a failure. @throws AppError unavailable in
   * a crowd
   */
  run<T>(account: string, address: string, attempt: () => Promise<T | null>): Promise<T | null>
}

const FREE_FAILURES = 5
const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 10_000
const FORGET_AFTER_MS = 15 * 60_000
const MAX_ENTRIES = 10_000
/** In their delays: of one account and address, and of one address. */
const MAX_DELAYED = 20
const MAX_DELAYED_OF_ADDRESS = 100
/** For their turn: of one address (20 take 1.5 s), and of all. */
const MAX_IN_LINE_OF_ADDRESS = 20
const MAX_IN_LINE = 500
/** As many as are hashed at once, see `passwords.ts`. */
const ATTEMPTS_AT_ONCE = 2
const CROWD = 'Too many log-ins are waiting; try again in a minute'

/** A pair of account and address that failed lately, or waits. */
type Entry = { failures: number; lastFailureAtMs: number; waiting: number; tail: Promise<void> }

/** `now` (milliseconds) and `wait` are for tests. */
export function createLoginSlowdown(
  options: { now?: () => number; wait?: (ms: number) => Promise<unknown> } = {},
): LoginSlowdown {
  const now = options.now ?? Date.now
  const wait = options.wait ?? ((ms: number) => sleep(ms, undefined, { ref: false }))
  const entries = new Map<string, Entry>()
  const delayedFrom = new Map<string, number>()
  const turns = createFairQueue({
    atOnce: ATTEMPTS_AT_ONCE,
    waitingOfOne: MAX_IN_LINE_OF_ADDRESS,
    waitingInAll: MAX_IN_LINE,
    refusal: CROWD,
  })

  const isOld = (entry: Entry) => entry.waiting === 0 && now() - entry.lastFailureAtMs >= FORGET_AFTER_MS

  function entryOf(key: string): Entry {
    const found = entries.get(key)
    if (found !== undefined && !isOld(found)) return found
    const entry = { failures: 0, lastFailureAtMs: 0, waiting: 0, tail: Promise.resolve() }
    entries.delete(key)
    if (entries.size >= MAX_ENTRIES) forgetOne()
    entries.set(key, entry)
    return entry
  }

  /** What nobody waits for, and of that what failed least: an account under attack is remembered longest. */
  function forgetOne(): void {
    let least: string | undefined
    let fewest = Number.POSITIVE_INFINITY
    for (const [key, entry] of entries) {
      if (entry.waiting > 0) continue
      const failures = isOld(entry) ? 0 : entry.failures
      if (failures >= fewest) continue
      fewest = failures
      least = key
      if (fewest <= 1) break
    }
    if (least !== undefined) entries.delete(least)
  }

  /** A success forgets the failures; an error (no database) is neither. */
  async function recordResult<T>(
    entry: Entry,
    network: string,
    attempt: () => Promise<T | null>,
  ): Promise<T | null> {
    const result = await turns.run(network, attempt)
    if (result === null) {
      entry.failures++
      entry.lastFailureAtMs = now()
    } else {
      entry.failures = 0
    }
    return result
  }

  /** After those of the same account and address that came before, and late after too many failures. */
  async function delayed<T>(entry: Entry, network: string, work: () => Promise<T>): Promise<T> {
    const ofNetwork = delayedFrom.get(network) ?? 0
    if (entry.waiting > MAX_DELAYED || ofNetwork >= MAX_DELAYED_OF_ADDRESS) {
      throw new AppError('unavailable', CROWD)
    }
    delayedFrom.set(network, ofNetwork + 1)
    const before = entry.tail
    const { promise, resolve } = Promise.withResolvers<void>()
    entry.tail = promise
    try {
      await before
      const doublings = Math.min(entry.failures - FREE_FAILURES, 10)
      if (doublings >= 0) await wait(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** doublings))
      return await work()
    } finally {
      resolve()
      const left = delayedFrom.get(network)! - 1
      if (left > 0) delayedFrom.set(network, left)
      else delayedFrom.delete(network)
    }
  }

  return {
    async run(account, address, attempt) {
      const network = networkOf(address)
      const key = `${account} ${network}`
      const entry = entryOf(key)
      const isFree = entry.failures < FREE_FAILURES && entry.waiting === 0
      entry.waiting++
      try {
        const work = () => recordResult(entry, network, attempt)
        return isFree ? await work() : await delayed(entry, network, work)
      } finally {
        entry.waiting--
        if (entry.failures === 0 && entry.waiting === 0) entries.delete(key)
      }
    },
  }
}
