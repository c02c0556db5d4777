import { type CollectionStatus, collectionStatuses } from '../../placement/collect/collections.ts'
import { type CollectionPlan, planCollection } from '../../placement/collect/plan.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import type { Placement } from '../../placement/placement.ts'

/** `holdDays`: for so long a decision can be undone; `olderThanDays`: what is younger stays. */
export type ReconcileReport = {
  locations: CollectionPlan[]
  /** The newest first. */
  collections: CollectionStatus[]
  holdDays: number
  olderThanDays: number
}

const DAY_MS = 24 * 3_600_000

/**
 * What the ledger and the locations do not agree on: rows without bytes, bytes without rows, and what was
 * decided of those. Asks the database alone. @throws AppError invalid for an unknown location
 */
export async function reconcileReport(placement: Placement, locationId?: string): Promise<ReconcileReport> {
  const wanted =
    locationId === undefined ? [...placement.locations.values()] : [requireLocation(placement, locationId)]
  const locations: CollectionPlan[] = []
  for (const location of wanted) locations.push(await planCollection(placement, location))
  return {
    locations,
    collections: await collectionStatuses(placement, locationId),
    holdDays: placement.settings.collectHoldMs / DAY_MS,
    olderThanDays: placement.settings.collectAgeMs / DAY_MS,
  }
}
