import { purgeObject } from '../../placement/lifecycle/purge.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function purgeObjectJob({ placement, announceStorage }: JobParts): JobHandlers['purge-object'] {
  return async (payload) => {
    await purgeObject(placement, payload)
    await announceStorage()
  }
}
