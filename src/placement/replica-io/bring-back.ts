import { isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import type { Replica } from '../ledger/objects.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

type Hidden = Pick<Replica, 'objectId' | 'locationId' | 'key'>

/**
 * A copy that the ledger wants is hidden by a delete marker. In a bucket with Object Lock none of those is
 * ours, so it goes. True where the copy can be looked at again; what can't be done is logged, and the copy
 * stays hidden, not absent.
 */
export async function bringBack(placement: Placement, hidden: Hidden): Promise<boolean> {
  const confirm = () => confirmLocation(placement, locationOf(placement, hidden.locationId))
  return takeMarkersAway(placement, hidden, confirm)
}

/**
 * The same for a takeover, during which the location is in conflict. Only for who has asked whether its
 * counter is ours.
 */
export async function bringBackInTakeover(placement: Placement, hidden: Hidden): Promise<boolean> {
  return takeMarkersAway(placement, hidden, null)
}

async function takeMarkersAway(
  placement: Placement,
  { objectId, locationId, key }: Hidden,
  confirm: (() => Promise<unknown>) | null,
): Promise<boolean> {
  const location = locationOf(placement, locationId)
  const { locks } = location.backend
  if (!locks || location.isReadOnly) return false
  try {
    await confirm?.()
    if (!(await locks.bringBack(key))) return false
  } catch (error) {
    if (!isStorageError(error) && !isAppError(error)) throw error
    placement.log.error(
      { objectId, location: locationId, error: error.message },
      'somebody has deleted a copy in a bucket with Object Lock, and it could not be brought back now',
    )
    return false
  }
  placement.log.error(
    { objectId, location: locationId },
    'somebody had deleted a copy in a bucket with Object Lock: it was brought back',
  )
  return true
}
