/** Makes a verified replica at a location out of another one. */
import { commitLater } from '../../database/statements/commit-later.ts'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { attestsTo } from '../../storage/attests-to.ts'
import { type Body, type Digest, isStorageError } from '../../storage/backend.ts'
import { fileBody } from '../../storage/bytes/file-body.ts'
import { pacedBody } from '../../storage/bytes/paced-body.ts'
import { wantedPlaces } from '../belonging.ts'
import { freshKey } from '../keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import {
  beginReplica,
  endWriteLease,
  isDoubted,
  isReadableNow,
  loadObject,
  lockObject,
  lockObjectRow,
  proveReplica,
} from '../ledger/replicas.ts'
import { classesAt, type Location } from '../location.ts'
import { noteTrouble } from '../locations/health.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { abandonWriting } from '../removal/abandon.ts'
import { bringBack } from '../replica-io/bring-back.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { proveByPut } from '../replica-io/prove-put.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { checkByHead, checkByReading } from '../replica-io/verify.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER, PROOF } from '../states.ts'
import { isArchiveClass, ORDINARY_CLASS, wantedClass } from '../storage-classes.ts'
import { evictReplica } from './evict.ts'

const ACTOR = 'job replicate-object'
/** Another writer mostly ends, well or not, long before its lease; what it leaves is taken up soon. */
const LOOK_AGAIN_MS = 5_000

/** `bytesPerSecond`: no faster than that; null: as fast as can be. */
export type Copying = { objectId: string; to: string; bytesPerSecond?: number | null }

/**
 * Copies the object to the location, proves it there, and enqueues what follows. Run again after any
 * interruption it goes on: a half-written replica of a dead writer is removed and begun anew under a fresh
 * key. Throws `RetryLater` while another worker writes, `StorageError` when a place fails, `corrupt` when no
 * intact source is left.
 */
export async function replicateObject(
  placement: Placement,
  { objectId, to, bytesPerSecond = null }: Copying,
  signal?: AbortSignal,
): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded || loaded.object.state === 'purging') return
  const { object, replicas } = loaded
  // Enqueued under another policy: what nobody wants there any more is not copied, let alone paid for.
  const isWanted = wantedPlaces(object, placement).includes(to)
  if (!isWanted && !replicas.some((replica) => replica.locationId === to)) {
    await enqueueNextSteps(placement.db, placement, objectId)
    return
  }
  const target = locationOf(placement, to)
  const existing = replicas.find((replica) => replica.locationId === to)
  // Nothing is written at a read-only place, but what was taken for bad there may be right.
  if (existing && target.isReadOnly && (existing.state === 'suspect' || isDoubted(existing)))
    return recheckAndRecord(placement, object, existing, signal)
  // Begun before the place became read-only: it is gone on with when that ends.
  if (target.isReadOnly && !target.isOfOriginal) return enqueueNextSteps(placement.db, placement, objectId)
  await confirmLocation(placement, target)

  if (existing?.state === 'verified') return raiseProof(placement, object, existing, signal)
  if (existing?.state === 'suspect') return recheckAndRecord(placement, object, existing, signal)
  if (existing?.state === 'evicting') {
    await evictReplica(placement, { objectId, from: to }, signal)
    return replicateObject(placement, { objectId, to, bytesPerSecond }, signal)
  }
  if (existing?.state === 'writing' && (await abandonIfDead(placement, existing)) === 'there') return

  const source = chooseSource(placement, replicas, to)
  if (source && !isReadableNow(placement, source)) {
    // The next steps are enqueued when it was restored; until then no try could succeed.
    placement.log.info(
      { objectId, location: source.locationId },
      'the only source is archived: nothing is copied',
    )
    return
  }
  if (!source) throw new AppError('corrupt', `object ${objectId} has no verified replica to copy from`)
  await copy(placement, object, { source, target, bytesPerSecond }, signal)
}

async function copy(
  placement: Placement,
  object: StoredObject,
  { source, target, bytesPerSecond }: { source: Replica; target: Location; bytesPerSecond: number | null },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db, settings } = placement
  const key = freshKey(object)
  // Written down before the first part: a kill in the middle leaves parts that are paid for until somebody
  // gives them up.
  const isInParts = object.size > (target.backend.multipart?.wholeBytes ?? Number.POSITIVE_INFINITY)
  const replica = { objectId: object.id, locationId: target.id, key, uploadId: isInParts ? '' : null }
  const storageClass = classForPut(placement, object, target)
  if (!(await beginReplica(db, { ...replica, actor: ACTOR, leaseMs: settings.writeLeaseMs, storageClass }))) {
    throw new RetryLater(`another worker writes to ${target.id}`, LOOK_AGAIN_MS)
  }

  try {
    const whole = bodyOf(placement, object, source)
    const body = bytesPerSecond === null ? whole : pacedBody(whole, bytesPerSecond)
    const { level, proof } = await proveByPut(
      placement,
      object,
      replica,
      (signals) =>
        target.backend.put(key, body, {
          contentType: object.contentType,
          signal: signals,
          ...(storageClass !== null && { storageClass }),
        }),
      signal,
    )
    await db.transaction().execute(async (tx) => {
      await commitLater(tx)
      await lockObjectRow(tx, object.id)
      await proveReplica(tx, replica, { level, proof, actor: ACTOR })
      await enqueueNextSteps(tx, placement, object.id)
    })
  } catch (error) {
    const isThere = await abandonOwn(placement, replica)
    await noteTrouble(placement, target.id, error)
    // Only the answer was lost.
    if (isThere) return
    // Gone counts as well: chosen again and again, it would keep other sources from being tried.
    if (isStorageError(error, 'corrupt') || isStorageError(error, 'not-found'))
      await suspectIfBad(placement, object, source, signal)
    throw error
  }
}

/**
 * The class of a fresh replica, null for the ordinary one. An archive only where the location attests to what
 * it holds: what is archived could not be read back.
 */
function classForPut(placement: Placement, object: StoredObject, target: Location): string | null {
  const rules = classesAt(placement, target.id)[object.kind]
  if (rules === undefined || target.kind === 'disk') return null
  const canProve = attestsTo(target.backend, false) && attestsTo(target.backend, true)
  const wanted = wantedClass(rules, object, placement.now(), (name) => canProve || !isArchiveClass(name))
  return wanted === ORDINARY_CLASS ? null : wanted
}

/** A verified replica whose proof is too weak to give up another for, or is doubted: read it back. */
async function raiseProof(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<void> {
  if ((replica.proofLevel ?? PROOF.exists) >= LEVEL_TO_GIVE_UP_ANOTHER && !isDoubted(replica)) {
    await enqueueNextSteps(placement.db, placement, object.id)
    return
  }
  await recheckAndRecord(placement, object, replica, signal)
}

/**
 * Decides by a full check: found good, or bad, and then it goes, as far as the last-copy rule allows, to be
 * made anew.
 */
async function recheckAndRecord(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<void> {
  // What is archived has no bytes to read; what the location attests to must do.
  const look = () =>
    isReadableNow(placement, replica)
      ? checkByReading(placement, object, replica, signal)
      : checkByHead(placement, object, replica)
  let check = await look()
  if (check.answer === 'unknown' && check.isHidden && (await bringBack(placement, replica)))
    check = await look()
  // An ETag alone tells nothing of what is archived either: that waits for a restore.
  if (check.answer === 'unknown' || (check.answer === 'different' && check.isByEtag))
    throw new AppError('unavailable', `${replica.locationId}: ${check.reason}`)
  if (check.answer === 'same') {
    await placement.db.transaction().execute(async (tx) => {
      // The object before its replicas, as an eviction does that may come at the same time: else each waits
      // for the other.
      await lockObject(tx, object.id)
      await proveReplica(tx, replica, { level: check.level, proof: check.proof, actor: ACTOR })
      await enqueueNextSteps(tx, placement, object.id)
    })
    return
  }
  await confirmLocationNow(placement, replica.locationId)
  await noteBadReplica(placement, replica, { actor: ACTOR, reason: check.reason })
  await evictReplica(placement, { objectId: object.id, from: replica.locationId }, signal)
}

/** A body whose SHA-256 the backend compares with what it reads, so that a damaged source is never copied. */
function bodyOf(placement: Placement, object: StoredObject, source: Replica): Body {
  const location = locationOf(placement, source.locationId)
  const digests: Digest[] = [{ algorithm: 'sha256', value: object.sha256 }]
  const files = location.backend.localFiles
  if (files) return fileBody(files.path(source.key), object.size, digests)
  return {
    size: object.size,
    digests,
    open: (range) =>
      readReplica(location, source.key, { start: range?.start ?? 0, end: range?.end ?? object.size - 1 }),
  }
}

/** The put read bytes that are not the object's: was it the source? Then it stops counting as a copy. */
async function suspectIfBad(
  placement: Placement,
  object: StoredObject,
  source: Replica,
  signal?: AbortSignal,
): Promise<void> {
  const check = await checkByReading(placement, object, source, signal)
  if (check.answer !== 'different') return
  // Another bucket of that name holds none of it.
  await confirmLocationNow(placement, source.locationId)
  await noteBadReplica(placement, source, { actor: ACTOR, reason: check.reason })
}

/** A verified replica elsewhere, at a place that is configured; a local file before a download. */
function chooseSource(placement: Placement, replicas: readonly Replica[], to: string): Replica | undefined {
  const { locations } = placement
  const verified = replicas.filter((replica) => replica.state === 'verified' && replica.locationId !== to)
  const sources = verified.filter(({ locationId }) => locations.has(locationId))
  // Throws, and names the place: the object is not lost.
  if (sources.length === 0 && verified[0]) locationOf(placement, verified[0].locationId)
  return (
    sources.find(({ locationId }) => locationId === placement.local.id) ??
    sources.find(({ locationId }) => locations.get(locationId)?.kind === 'disk') ??
    sources.find((replica) => isReadableNow(placement, replica)) ??
    sources[0]
  )
}

/** Whether what a dead writer left is gone, or turned out to be the replica that is wanted. */
async function abandonIfDead(placement: Placement, replica: Replica): Promise<'absent' | 'there'> {
  const result = await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: true })
  if (result === 'ended') return 'absent'
  if (result === 'kept') return 'there'
  if (result === 'stays')
    throw new AppError(
      'corrupt',
      `what was written at ${replica.locationId} is wrong, and no other copy is verified`,
    )
  const leaseLeftMs = Math.max(replica.leaseLeftMs ?? 0, 1_000)
  throw new RetryLater(`another worker writes to ${replica.locationId}`, Math.min(leaseLeftMs, LOOK_AGAIN_MS))
}

/**
 * Our own failed attempt. What can't be done now, the next attempt or the sweep does. True when it had worked
 * after all, and is verified.
 */
async function abandonOwn(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key' | 'uploadId'>,
): Promise<boolean> {
  try {
    return (await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: false })) === 'kept'
  } catch (error) {
    const { objectId, locationId } = replica
    placement.log.warn(
      { objectId, location: locationId, error: (error as Error).message },
      'a failed write is left to the next attempt',
    )
    // Which is not to wait for a writer that has ended.
    await endWriteLease(placement.db, replica)
    return false
  }
}
