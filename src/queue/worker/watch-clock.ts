import { type ClockRepair, observeClock } from '../../database/clock.ts'
import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import { bringQueueBack, runWhatWaitsTooLong, type WaitSettings } from './longest-waits.ts'

/** Often enough that an hour without a look is a gap (database/clock.ts). */
const LOOK_EVERY_MS = 60_000

/**
 * Looks at the database's clock, at most once a minute however often it is called, and lets no job wait for a
 * time that a wrong clock has set.
 */
export function clockWatch(options: {
  db: Database
  log: Log
  waits: WaitSettings
  repairs: readonly ClockRepair[]
  everyMs?: number
}): () => Promise<void> {
  const { db, log, waits, repairs, everyMs = LOOK_EVERY_MS } = options
  let lookedAt = Number.NEGATIVE_INFINITY
  return async () => {
    // Of this process, which no clock moves.
    if (performance.now() - lookedAt < everyMs) return
    lookedAt = performance.now()
    await observeClock(db, log, [bringQueueBack, ...repairs])
    const jobs = await runWhatWaitsTooLong(db, waits)
    if (jobs > 0) log.warn({ jobs }, 'jobs waited for a time that a wrong clock had set; they run now')
  }
}
