import { nameWaitingPlaces } from '../../library/processing/waiting-places.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function namePlacesJob({ db, log }: JobParts): JobHandlers['name-places'] {
  return async (_payload, { signal }) => {
    const named = await nameWaitingPlaces(db, { signal })
    if (named > 0) log.info({ assets: named }, 'coordinates got the names of their places')
  }
}
