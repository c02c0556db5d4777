import { AppError } from '../../errors.ts'
import type { Location } from '../location.ts'
import { markerOf, readMarker } from '../locations/counter/record.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow } from '../replica-io/mark-bad.ts'

/**
 * Whether what the location lists can be believed to be what it holds: it is the one that the ledger knows,
 * and its listing shows the marker that a read of the same place gives. Another prefix, bucket or region, or
 * a cache in between that lists nothing, does not. Up to three requests.
 * @throws AppError conflict where the place is another one, or has another ledger; what the place throws
 */
export async function listsItsMarker(placement: Placement, location: Location): Promise<boolean> {
  await confirmLocationNow(placement, location.id)
  const recorded = await markerOf(placement, location.id)
  const held = await readMarker(location)
  if (held !== recorded)
    throw new AppError('conflict', `${location.label} does not hold the marker of location "${location.id}"`)
  return location.backend.listsMarker()
}
