import { AppError } from '../errors.ts'
import type { Placement } from './placement.ts'
import { type Replica, type StoredObject, suspectReplica } from './replicas.ts'
import { checkByReading } from './verify.ts'

/** Other bytes arrived: were they damaged on the way, or are they so over there? Only the latter makes a replica suspect. */
export async function judgeReplica(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
): Promise<AppError> {
  const check = await checkByReading(placement, object, replica)
  if (check.answer !== 'different') {
    return new AppError(
      'unavailable',
      `the bytes from ${replica.locationId} were damaged on the way; try again`,
    )
  }
  await suspectReplica(placement.db, replica, 'recall')
  placement.log.error({ objectId: object.id, location: replica.locationId }, 'a replica holds other bytes')
  return new AppError('corrupt', `${replica.locationId} holds other bytes than those of object ${object.id}`)
}
