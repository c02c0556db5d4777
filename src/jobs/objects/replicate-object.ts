import { replicateObject } from '../../placement/lifecycle/replicate.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function replicateObjectJob({
  placement,
  announceStorage,
}: JobParts): JobHandlers['replicate-object'] {
  return async (payload, { signal }) => {
    await replicateObject(placement, payload, signal)
    await announceStorage()
  }
}
