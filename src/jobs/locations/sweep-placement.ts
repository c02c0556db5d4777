import { sweepPlacement } from '../../placement/maintenance/sweep.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** In that time a worker copies a good part of the jobs that may wait. */
const MORE_AFTER_MS = 2_000

export function sweepPlacementJob({
  placement,
  log,
  announceStorage,
}: JobParts): JobHandlers['sweep-placement'] {
  return async (_payload, { signal }) => {
    const { isMore, ...counts } = await sweepPlacement(placement, signal)
    if (Object.values(counts).some((count) => count > 0)) {
      log.info(counts, 'the placement was swept')
      await announceStorage()
    }
    if (isMore) throw new RetryLater('more files are to be moved', MORE_AFTER_MS)
  }
}
