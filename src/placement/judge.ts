import { AppError } from '../errors.ts'
import type { Placement } from './placement.ts'
import { proveReplica, type Replica, type StoredObject, suspectReplica } from './replicas.ts'
import { settle } from './settle.ts'
import { checkByReading } from './verify.ts'

/** A verified replica was looked at and does not hold its bytes: it counts no more, and what that makes necessary is enqueued. */
export async function foundBad(
  placement: Placement,
  replica: Replica,
  { reason, actor }: { reason: string; actor: string },
): Promise<void> {
  const { objectId, locationId } = replica
  if (!(await suspectReplica(placement.db, replica, actor))) return
  placement.log.error({ objectId, location: locationId, reason }, 'a replica is bad')
  await settle(placement.db, placement, objectId)
}

/**
 * Other bytes arrived: were they damaged on the way, or are they so over there? Only the latter makes a replica suspect. Where
 * only the ETag is another one (a bucket that was copied or encrypted anew), the replica is proven with that from now on.
 */
export async function judgeReplica(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
): Promise<AppError> {
  const check = await checkByReading(placement, object, replica)
  if (check.answer === 'same' && check.proof.etag !== replica.proof?.etag) {
    const { level, proof } = check
    await proveReplica(placement.db, replica, { level, proof, actor: 'recall' })
    return new AppError(
      'unavailable',
      `${replica.locationId} holds the right bytes under a new ETag; try again`,
    )
  }
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
