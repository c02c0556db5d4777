import { checkLocations } from '../../placement/locations/health.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function checkLocationsJob({ placement, announceStorage }: JobParts): JobHandlers['check-locations'] {
  return async () => {
    if (await checkLocations(placement)) await announceStorage()
  }
}
