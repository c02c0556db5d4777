import { checkListing } from '../../placement/listing/check-listing.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** Each place by itself; what one stopped at is kept with its listing, for the storage page to show. */
export function checkListingsJob({
  placement,
  log,
  announceStorage,
}: JobParts): JobHandlers['check-listings'] {
  return async (_payload, { signal }) => {
    for (const [location, { isOfOriginal }] of placement.locations) {
      if (signal.aborted) return
      if (isOfOriginal) continue
      try {
        const report = await checkListing(placement, location, { signal })
        if (report === null) continue
        const { listed, unknown, missing, different } = report.found
        const facts = { location, listed: listed.count, unknown: unknown.count, missing, different }
        if (missing + different > 0) log.error(facts, 'files are missing or changed')
        else log.info(facts, 'a location was listed')
        await announceStorage()
      } catch (error) {
        log.warn({ location, error: (error as Error).message }, 'a listing is gone on with later')
        await announceStorage()
      }
    }
  }
}
