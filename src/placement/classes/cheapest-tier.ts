import type { Queryable } from '../../database/connect.ts'
import { loadObject } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isArchiveClass, type RestoreTier, restoresOf } from '../storage-classes.ts'

/** The slowest costs least, everywhere. */
const CHEAPEST_FIRST: readonly RestoreTier[] = ['bulk', 'standard', 'expedited']

/**
 * The tier by which an archived object is restored for the least money; null: it is not archived, or at a
 * read-only place, where nothing is restored.
 */
export async function cheapestTierOf(
  db: Queryable,
  placement: Placement,
  objectId: string,
): Promise<RestoreTier | null> {
  const loaded = await loadObject(db, objectId)
  const replica = loaded?.replicas.find((one) => one.state === 'verified' && isArchiveClass(one.storageClass))
  if (!replica) return null
  const { provider, isReadOnly } = locationOf(placement, replica.locationId)
  if (isReadOnly) return null
  const offered = restoresOf(provider, replica.storageClass)
  return CHEAPEST_FIRST.find((tier) => offered[tier] !== undefined) ?? null
}
