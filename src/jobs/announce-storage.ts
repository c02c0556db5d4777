import type { Database } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import type { Log } from '../log.ts'

/** Pages redraw once a second at most; a thousand offloads a minute need no thousand notifications. */
const INTERVAL_MS = 1_000

/**
 * Says that something about the storage changed: at once, then at most once a second, the last change
 * included. Never fails its caller, whose work is done.
 */
export function createStorageAnnouncer(db: Database, log: Log): () => Promise<void> {
  let lastAt = Number.NEGATIVE_INFINITY
  let isScheduled = false
  const announce = async () => {
    lastAt = performance.now()
    try {
      await publish(db, { type: 'storage-changed' })
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'a storage change could not be announced')
    }
  }
  return async () => {
    const delayMs = lastAt + INTERVAL_MS - performance.now()
    if (delayMs <= 0) {
      await announce()
      return
    }
    if (isScheduled) return
    isScheduled = true
    setTimeout(() => {
      isScheduled = false
      void announce()
    }, delayMs).unref()
  }
}
