/**
 * Proving a copy in another class: by what the location says of it or, where that is nothing, by reading it.
 */
import { AppError } from '../../errors.ts'
import type { StorageBackend } from '../../storage/backend.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from '../states.ts'
import { isArchiveClass, ORDINARY_CLASS } from '../storage-classes.ts'
import { type Check, checkByHead, checkByReading, type Same } from './verify.ts'

/** `isLasting`: another copy would fare no better. */
export type CopyVerdict = { check: Same } | { failure: AppError; isLasting: boolean }

/**
 * Whether the copy of `source` is in the class, and its bytes are the object's at the level that gives up
 * another copy.
 */
export async function proveCopy(
  placement: Placement,
  object: StoredObject,
  source: Replica,
  { toKey, toClass }: { toKey: Replica['key']; toClass: string },
  signal: AbortSignal,
): Promise<CopyVerdict> {
  const at = source.locationId
  const copy = asItsCopy(placement, source, toKey)
  const seen = await checkByHead(placement, object, copy)
  const heldIn = seen.held?.storageClass ?? ORDINARY_CLASS
  if (seen.held && heldIn !== toClass) {
    const message = `${at} copied to class ${heldIn} instead of ${toClass}`
    return { failure: new AppError('conflict', message), isLasting: true }
  }
  const isDoubtful = seen.answer === 'unknown' && seen.held !== undefined && !isArchiveClass(toClass)
  const check = isDoubtful ? await checkByReading(placement, object, copy, signal) : seen
  if (check.answer === 'different') {
    const failure = new AppError('corrupt', `${at} made a copy of other bytes: ${check.reason}`)
    return { failure, isLasting: true }
  }
  if (check.answer === 'unknown' || check.level < LEVEL_TO_GIVE_UP_ANOTHER) {
    const failure = new AppError('unavailable', `the copy at ${at} can't be proven: ${check.reason}`)
    return { failure, isLasting: seen.held !== undefined }
  }
  return { check }
}

/**
 * Looks at a replica, by one HEAD, as at a copy of it: `same` says that the location reports of this object
 * what a copy can be proven by without reading.
 */
export function checkAsCopy(placement: Placement, object: StoredObject, replica: Replica): Promise<Check> {
  return checkByHead(placement, object, asItsCopy(placement, replica, replica.key))
}

/** A replica under another key, with what is known of the one that it may be a copy of. */
export function asItsCopy(placement: Placement, source: Replica, key: Replica['key']): Replica {
  const { backend } = locationOf(placement, source.locationId)
  return { ...source, key, proof: comparableProof(backend, source) }
}

/**
 * What is known of the source, as far as it must hold for the copy too. An ETag does where it names the
 * content: the MD5 is compared by itself, that of parts is the same for a copy that is cut alike.
 */
function comparableProof({ features }: StorageBackend, { proof }: Replica): Replica['proof'] {
  if (proof === null) return null
  const { etag, ...rest } = proof
  const isOfParts = proof.partBytes !== undefined && features.multipartEtagIsMd5OfParts === true
  return isOfParts && etag !== undefined ? { ...rest, etag } : rest
}
