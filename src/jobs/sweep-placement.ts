import { sweepPlacement } from '../placement/sweep.ts'
import type { JobHandlers } from '../queue/worker.ts'
import type { JobParts } from './index.ts'

export function sweepPlacementJob({
  placement,
  log,
  announceStorage,
}: JobParts): JobHandlers['sweep-placement'] {
  return async () => {
    const report = await sweepPlacement(placement)
    if (Object.values(report).every((count) => count === 0)) return
    log.info(report, 'the placement was swept')
    await announceStorage()
  }
}
