/**
 * A replica gets into another storage class: a copy in that class under a fresh key, proven, and only then the old bytes go.
 * The ledger keeps its one row for the object and location: it names the old key until, in one transaction, it names the
 * new one. `class_change` is the intent before the copy, and says afterwards which bytes are to go. A kill at any point
 * leaves one of these: the replica at the old key and a copy to remove, or at the proven new one and the old bytes to remove.
 */
import { AppError } from '../errors.ts'
import { RetryLater } from '../queue/retry-later.ts'
import type { StorageBackend } from '../storage/backend.ts'
import { abortParts } from './abandon.ts'
import {
  beginClassChange,
  type ClassChange,
  doomKey,
  findClassChange,
  forgetClassChange,
  renewClassLease,
  type StandingClassChange,
  turnToCopy,
} from './class-changes.ts'
import { noteTrouble } from './health.ts'
import { freshKey } from './keys.ts'
import { confirmLocation, locationOf } from './locations.ts'
import type { Location, Placement } from './placement.ts'
import { isReadableNow, loadObject, lockObject, type Replica, type StoredObject } from './replicas.ts'
import { settle } from './settle.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from './states.ts'
import { classStep, isArchiveClass, ORDINARY_CLASS } from './storage-classes.ts'
import { type Check, checkByHead, checkByReading } from './verify.ts'

const ACTOR = 'job change-class'

/**
 * Does what the class rules ask for the replica at `at`, as they and it stand now; a no-op when that is nothing. Costs a
 * copy, a HEAD and a delete; where the location attests to nothing that can be compared, the copy is read back. Throws
 * `RetryLater` while another worker is at it, `corrupt` when the copy is not what was asked for (the old bytes stay).
 */
export async function changeClass(
  placement: Placement,
  { objectId, at }: { objectId: string; at: string },
  signal?: AbortSignal,
): Promise<void> {
  const location = locationOf(placement, at)
  await confirmLocation(placement, location)
  const unfinished = await findClassChange(placement.db, objectId, at)
  if (unfinished) await finishClassChange(placement, unfinished)

  const loaded = await loadObject(placement.db, objectId)
  if (loaded?.object.state !== 'live') return
  const { object } = loaded
  const replica = loaded.replicas.find((one) => one.locationId === at && one.state === 'verified')
  if (!replica) return
  const isReadable = isReadableNow(placement, replica)
  const step = classStep(placement.classes[object.kind], object, { ...replica, isReadable }, placement.now())
  if (step.do !== 'change') return
  const why = whyNoCopy(location.backend, replica, step.to)
  if (why !== null) throw new AppError('unavailable', `${objectId} can't go to ${step.to} at ${at}: ${why}`)
  await copyAndTurn(placement, object, replica, step.to, signal)
}

/** Why a copy in that class could not be made and proven, or null. Asks nobody. */
export function whyNoCopy(
  backend: StorageBackend,
  replica: Pick<Replica, 'proof'>,
  to: string,
): string | null {
  if (!backend.copies) return 'the location makes no copies of its own'
  // What is archived can't be read back: then the location's own word is all there will be.
  if (isArchiveClass(to) && !attestsTo(backend, replica.proof?.partBytes !== undefined)) {
    return 'the location attests to no digest, and what is archived can not be read back to prove it'
  }
  return null
}

/** Does the location report a digest of the whole, of an object that came in one piece or in parts? */
export function attestsTo({ features }: StorageBackend, isInParts: boolean): boolean {
  if (features.attestedDigests.includes('crc64nvme') && isInParts) return true
  return isInParts ? features.multipartEtagIsMd5OfParts === true : features.attestedDigests.length > 0
}

async function copyAndTurn(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  toClass: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db, settings } = placement
  const location = locationOf(placement, replica.locationId)
  const change: ClassChange = {
    objectId: object.id,
    locationId: location.id,
    fromKey: replica.key,
    toKey: freshKey(object),
    toClass,
    doomedKey: null,
  }
  if (!(await beginClassChange(db, change, { actor: ACTOR, leaseMs: settings.writeLeaseMs })))
    throw new RetryLater(`another worker changes the class at ${location.id}`, 5_000)

  const stop = new AbortController()
  const signals = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const renewal = setInterval(() => {
    renewClassLease(db, change, settings.writeLeaseMs).then(
      (isOurs) => isOurs || stop.abort(new AppError('conflict', 'the lease of a class change was lost')),
      (error: Error) => placement.log.warn({ error: error.message }, 'a class lease could not be renewed'),
    )
  }, settings.writeLeaseMs / 4)
  try {
    const partBytes = replica.proof?.partBytes
    await location.backend.copies!.copy(change.fromKey, change.toKey, {
      storageClass: toClass,
      size: object.size,
      contentType: object.contentType,
      ...(partBytes !== undefined && { partBytes }),
      signal: signals,
    })
    const check = await proveCopy(placement, location, object, replica, change, signals)
    await db.transaction().execute(async (tx) => {
      await lockObject(tx, object.id)
      await turnToCopy(tx, change, { level: check.level, proof: check.proof, actor: ACTOR })
      await doomKey(tx, change, change.fromKey)
    })
  } catch (error) {
    await noteTrouble(placement, location.id, error)
    await giveUpCopy(placement, change)
    throw error
  } finally {
    clearInterval(renewal)
  }
  await clear(placement, { ...change, doomedKey: change.fromKey })
  await settle(db, placement, object.id)
}

/** The copy is in the class, and its bytes are the object's at the level that gives up another copy. */
async function proveCopy(
  placement: Placement,
  location: Location,
  object: StoredObject,
  replica: Replica,
  change: ClassChange,
  signal: AbortSignal,
): Promise<Check> {
  const copy: Replica = { ...replica, key: change.toKey, proof: comparableProof(location.backend, replica) }
  const seen = await checkByHead(placement, object, copy)
  const heldIn = seen.held?.storageClass ?? ORDINARY_CLASS
  if (seen.held && heldIn !== change.toClass) {
    throw new AppError('conflict', `${location.id} copied to class ${heldIn} instead of ${change.toClass}`)
  }
  const isDoubtful = seen.answer === 'unknown' && seen.held !== undefined && !isArchiveClass(change.toClass)
  const check = isDoubtful ? await checkByReading(placement, object, copy, signal) : seen
  if (check.answer === 'different')
    throw new AppError('corrupt', `${location.id} made a copy of other bytes: ${check.reason}`)
  if (check.answer === 'unknown' || check.level < LEVEL_TO_GIVE_UP_ANOTHER)
    throw new AppError('unavailable', `the copy at ${location.id} can't be proven: ${check.reason}`)
  return check
}

/**
 * What is known of the source, as far as it must hold for the copy too. An ETag does where it names the content: the MD5 is
 * compared by itself, that of parts is the same for a copy that is cut alike.
 */
function comparableProof({ features }: StorageBackend, { proof }: Replica): Replica['proof'] {
  if (proof === null) return null
  const { etag, ...rest } = proof
  const isOfParts = proof.partBytes !== undefined && features.multipartEtagIsMd5OfParts === true
  return isOfParts && etag !== undefined ? { ...rest, etag } : rest
}

/** Our own failed attempt: the copy goes. What can't be done now, the sweep does after the lease. */
async function giveUpCopy(placement: Placement, change: ClassChange): Promise<void> {
  try {
    const doomed = await decideDoomed(placement, change)
    if (doomed) await clear(placement, doomed)
  } catch (error) {
    placement.log.warn(
      { objectId: change.objectId, location: change.locationId, error: (error as Error).message },
      'a failed class change is left to the sweep',
    )
  }
}

/**
 * Ends a class change that nobody works on any more: removes whichever bytes the replica does not name. Throws `RetryLater`
 * while its writer's lease stands.
 */
export async function finishClassChange(placement: Placement, change: StandingClassChange): Promise<void> {
  if (change.doomedKey === null) {
    const leftMs = change.leaseLeftMs
    if (leftMs > 0)
      throw new RetryLater(`a class change at ${change.locationId} is under way`, Math.min(leftMs, 5_000))
  }
  const doomed = await decideDoomed(placement, change)
  if (doomed) await clear(placement, doomed)
}

/** Under the object's lock, so that the copy can't become the replica any more. Null: the row is gone. */
async function decideDoomed(placement: Placement, change: ClassChange): Promise<ClassChange | null> {
  if (change.doomedKey !== null) return change
  return placement.db.transaction().execute(async (tx) => {
    const loaded = await lockObject(tx, change.objectId)
    const now = await findClassChange(tx, change.objectId, change.locationId)
    if (now?.toKey !== change.toKey) return null
    if (now.doomedKey !== null) return now
    const replica = loaded?.replicas.find((one) => one.locationId === change.locationId)
    // The turn and its verdict are one transaction: without a verdict, the replica never was the copy.
    if (replica?.key === change.toKey) throw new AppError('conflict', 'a copy became the replica unnoticed')
    await doomKey(tx, change, change.toKey)
    return { ...change, doomedKey: change.toKey }
  })
}

async function clear(placement: Placement, change: ClassChange): Promise<void> {
  if (change.doomedKey === null) return
  // A large copy goes in parts, and what of them was not made an object is paid for, too.
  if (change.doomedKey === change.toKey)
    await abortParts(placement, { locationId: change.locationId, key: change.toKey, uploadId: '' })
  await locationOf(placement, change.locationId).backend.delete([change.doomedKey])
  await forgetClassChange(placement.db, change)
}
