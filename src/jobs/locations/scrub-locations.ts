import { plural } from '../../library/words.ts'
import { scrubLocation } from '../../placement/scrub/scrub-location.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** Each place by itself; what one stopped at is kept with its pass, for the storage page to show. */
export function scrubLocationsJob({
  placement,
  log,
  announceStorage,
}: JobParts): JobHandlers['scrub-locations'] {
  return async (_payload, { signal }) => {
    for (const location of placement.locations.keys()) {
      if (signal.aborted) return
      try {
        const report = await scrubLocation(placement, location, { signal })
        if (report === null || report.found.read.count + report.found.wrong === 0) continue
        const { read, wrong, unread } = report.found
        const facts = { location, read: read.count, bytes: read.bytes, wrong, unread }
        if (wrong > 0) log.error(facts, `${plural(wrong, 'file')} with wrong bytes found by reading`)
        else log.debug(facts, 'files were read again and are right')
        await announceStorage()
      } catch (error) {
        log.warn({ location, error: (error as Error).message }, 'a scrub is gone on with later')
        await announceStorage()
      }
    }
  }
}
