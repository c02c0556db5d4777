import { plural } from '../../library/words.ts'
import { extendLocks } from '../../placement/maintenance/extend-locks.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** Each place by itself: one that is away keeps no other from its turn. */
export function extendLocksJob({ placement, log, announceStorage }: JobParts): JobHandlers['extend-locks'] {
  return async (_payload, { signal }) => {
    for (const location of placement.locations.values()) {
      if (signal.aborted) return
      try {
        const { extended, seen, failed } = await extendLocks(placement, location, { signal })
        if (extended + seen + failed === 0) continue
        const facts = { location: location.id, extended, seen, failed }
        log.info(facts, `the locks of ${plural(extended, 'file')} were prolonged`)
        await announceStorage()
      } catch (error) {
        log.warn({ location: location.id, error: (error as Error).message }, 'locks are prolonged later')
      }
    }
  }
}
