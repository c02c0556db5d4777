/** Locations that a reload has left: each is closed when nobody uses it any more. */
import type { Log } from './log.ts'
import type { Location } from './placement/location.ts'

/**
 * Whoever has a location in hand may be between two calls there, at the database or at another location; a
 * minute is longer than that takes.
 */
const IDLE_MS = 60_000
const LOOK_MS = 5_000

export type Leaving = { add(location: Location): void; close(): Promise<void> }

/** `close` closes what is left, used or not: the process ends. */
export function closeWhenUnused(log: Log, { idleMs = IDLE_MS, lookMs = LOOK_MS } = {}): Leaving {
  const leaving = new Map<Location, NodeJS.Timeout>()

  async function end(location: Location): Promise<void> {
    clearInterval(leaving.get(location))
    leaving.delete(location)
    await location.backend.close().catch((error: Error) => {
      log.warn(
        { location: location.id, error: error.message },
        'a location that was left could not be closed',
      )
    })
  }

  return {
    add(location) {
      const addedAt = performance.now()
      const timer = setInterval(() => {
        const { underWay, idleMs: sinceUse } = location.uses?.() ?? { underWay: 0, idleMs: 0 }
        const isIdle = Math.min(sinceUse, performance.now() - addedAt) >= idleMs
        if (underWay > 0 || !isIdle) return
        log.debug({ location: location.id }, 'a location that was left is closed: nobody uses it any more')
        void end(location)
      }, lookMs).unref()
      leaving.set(location, timer)
    },
    async close() {
      for (const location of [...leaving.keys()]) await end(location)
    },
  }
}
