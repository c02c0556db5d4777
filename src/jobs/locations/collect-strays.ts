import { collectDue } from '../../placement/collect/collect-due.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** Why a location has to wait is kept with its decisions, for the storage page to show. */
export function collectStraysJob({ placement, announceStorage }: JobParts): JobHandlers['collect-strays'] {
  return async (_payload, { signal }) => {
    const { removed, adopted, kept } = await collectDue(placement, { signal, onProgress: announceStorage })
    if (removed + adopted + kept > 0) await announceStorage()
  }
}
