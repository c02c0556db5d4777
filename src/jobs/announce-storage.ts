import type { Database } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import type { Log } from '../log.ts'

/** Pages redraw once a second at most; a thousand offloads a minute need no thousand notifications. */
const INTERVAL_MS = 1_000

export type StorageAnnouncer = {
  /**
   * Says that something about the storage changed: at once, then at most once a second, the last change
   * included. Never fails its caller, whose work is done.
   */
  announce(): Promise<void>
  /** Says at once what is still to be said, for a process that is about to close its database. */
  close(): Promise<void>
}

export function createStorageAnnouncer(db: Database, log: Log): StorageAnnouncer {
  let lastAt = Number.NEGATIVE_INFINITY
  let scheduled: NodeJS.Timeout | undefined
  const announce = async () => {
    lastAt = performance.now()
    try {
      await publish(db, { type: 'storage-changed' })
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'a storage change could not be announced')
    }
  }
  return {
    async announce() {
      const delayMs = lastAt + INTERVAL_MS - performance.now()
      if (delayMs <= 0) {
        await announce()
        return
      }
      scheduled ??= setTimeout(() => {
        scheduled = undefined
        void announce()
      }, delayMs).unref()
    },
    async close() {
      if (scheduled === undefined) return
      clearTimeout(scheduled)
      scheduled = undefined
      await announce()
    },
  }
}
