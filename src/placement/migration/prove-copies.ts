/** The copies that a step of a campaign rests on, looked at now. */
import { AppError } from '../../errors.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject, proveVerified } from '../ledger/replicas.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { checkFully } from '../replica-io/verify.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from '../states.ts'
import { isArchiveClass } from '../storage-classes.ts'

const ACTOR = 'campaign'

/** `missing`: locations where it is not, or holds other bytes. */
export type Proven = { copies: Replica[]; missing: { locationId: string; why: string }[] }

/**
 * Looks at the copies of a live object at these locations: by HEAD and, where that tells nothing of the
 * bytes, by reading them. `since`: what was proven after that is not looked at again. What is found wrong
 * counts no more. @throws AppError unavailable where a copy can't be looked at now: then nothing is known
 */
export async function proveCopies(
  placement: Placement,
  objectId: string,
  locationIds: readonly string[],
  { since, signal }: { since?: Date; signal?: AbortSignal | undefined },
): Promise<Proven> {
  const loaded = await loadObject(placement.db, objectId)
  const proven: Proven = { copies: [], missing: [] }
  if (!loaded) return proven
  for (const locationId of locationIds) {
    const replica = loaded.replicas.find((one) => one.locationId === locationId)
    const why =
      replica?.state === 'verified'
        ? await whyNot(placement, loaded.object, replica, { since, signal })
        : 'there is no verified copy'
    if (replica && why === null) proven.copies.push(replica)
    else proven.missing.push({ locationId, why: why ?? '' })
  }
  return proven
}

async function whyNot(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  { since, signal }: { since: Date | undefined; signal: AbortSignal | undefined },
): Promise<string | null> {
  const level = replica.proofLevel ?? 0
  const isFresh = since !== undefined && replica.verifiedAt !== null && replica.verifiedAt >= since
  if (isFresh && level >= LEVEL_TO_GIVE_UP_ANOTHER && replica.proof?.doubt === undefined) return null
  const location = locationOf(placement, replica.locationId)
  if (!location.isReadOnly) await confirmLocation(placement, location)
  const check = await checkFully(placement, object, replica, signal)
  if (check.answer === 'unknown') {
    if (isArchiveClass(replica.storageClass) && !check.couldNotAsk)
      return 'it is archived, and nothing tells its bytes'
    throw new AppError('unavailable', `${replica.locationId}: ${check.reason}`)
  }
  if (check.answer === 'different') {
    // At another bucket of that name everything is otherwise.
    await confirmLocationNow(placement, replica.locationId)
    await noteBadReplica(placement, replica, { actor: ACTOR, reason: check.reason })
    return check.reason
  }
  if (check.level < LEVEL_TO_GIVE_UP_ANOTHER) return 'its bytes were never proven'
  const { proof } = check
  if (!(await proveVerified(placement.db, replica, { level: check.level, proof, actor: ACTOR })))
    return 'it was given up, or found bad, meanwhile'
  return null
}
