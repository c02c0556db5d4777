import { restoreReplica } from '../../placement/classes/archive.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function restoreReplicaJob({ placement }: JobParts): JobHandlers['restore-replica'] {
  return (payload) => restoreReplica(placement, payload)
}
