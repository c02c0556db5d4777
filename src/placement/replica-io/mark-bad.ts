import { forgetObject } from '../cache/store.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica } from '../ledger/objects.ts'
import { lockObject, suspectReplica } from '../ledger/replicas.ts'
import { forgetLook } from '../locations/counter/confirmations.ts'
import { confirmLocation, locationOf, lookAtLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

/**
 * Is the place behind the location, now and not earlier, the one that the ledger knows?
 * @throws AppError as `confirmLocation`
 */
export async function confirmLocationNow(placement: Placement, locationId: string): Promise<void> {
  const location = locationOf(placement, locationId)
  // Nothing is written at an original's, but whether it is that place can be seen.
  if (location.isReadOnly) return lookAtLocation(placement, location)
  forgetLook(placement, location)
  await confirmLocation(placement, location)
}

/**
 * A verified replica was looked at and is not what it should be: from now on it is no copy, and what follows
 * is enqueued (where there is another copy, it is made anew). What the cache has of it goes as well: a part
 * that was read there can't be told from a right one. False where it is no longer verified under that key.
 * The reason is kept in its history. The caller has confirmed the location.
 */
export async function noteBadReplica(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key'>,
  { actor, reason }: { actor: string; reason: string },
): Promise<boolean> {
  const isNoted = await placement.db.transaction().execute(async (tx) => {
    // The object before its replicas, as an eviction does that may come at the same time.
    await lockObject(tx, replica.objectId)
    if (!(await suspectReplica(tx, replica, actor, reason))) return false
    await enqueueNextSteps(tx, placement, replica.objectId)
    return true
  })
  const { objectId, locationId: location } = replica
  if (!isNoted) return false
  placement.log.error({ objectId, location, reason, by: actor }, 'a replica is bad')
  if (placement.cache && location !== placement.local.id)
    await forgetObject(placement.cache, { id: objectId, size: null })
  return true
}
