import { restoreReplica } from '../placement/archive.ts'
import type { JobHandlers } from '../queue/worker.ts'
import type { JobParts } from './index.ts'

export function restoreReplicaJob({ placement }: JobParts): JobHandlers['restore-replica'] {
  return (payload) => restoreReplica(placement, payload)
}
