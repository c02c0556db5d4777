import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { forgetReplica, type Replica } from './replicas.ts'

/** writing -> absent: a write that will not be finished. The bytes go first, so that none is left without a row. */
export async function abandonWriting(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key'>,
): Promise<void> {
  await locationOf(placement, replica.locationId).backend.delete([replica.key])
  await forgetReplica(placement.db, replica, 'writing')
}
