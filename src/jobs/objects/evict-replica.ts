import { evictReplica } from '../../placement/lifecycle/evict.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function evictReplicaJob({ placement, announceStorage }: JobParts): JobHandlers['evict-replica'] {
  return async (payload, { signal }) => {
    await evictReplica(placement, payload, signal)
    await announceStorage()
  }
}
