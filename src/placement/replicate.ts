/** Makes a verified replica at a location out of another one. */
import { commitLater } from '../database/commit-later.ts'
import { AppError } from '../errors.ts'
import { RetryLater } from '../queue/retry-later.ts'
import { type Body, type Digest, isStorageError } from '../storage/backend.ts'
import { fileBody } from '../storage/file-body.ts'
import { abandonWriting } from './abandon.ts'
import { attestsTo } from './change-class.ts'
import { evictReplica } from './evict.ts'
import { noteTrouble } from './health.ts'
import { freshKey } from './keys.ts'
import { confirmLocation, locationOf } from './locations.ts'
import type { Location, Placement } from './placement.ts'
import { proveByPut } from './prove-put.ts'
import { readReplica } from './read-replica.ts'
import {
  beginReplica,
  isReadableNow,
  loadObject,
  lockObject,
  proveReplica,
  type Replica,
  type StoredObject,
  suspectReplica,
} from './replicas.ts'
import { settle } from './settle.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER, PROOF } from './states.ts'
import { isArchiveClass, ORDINARY_CLASS, wantedClass } from './storage-classes.ts'
import { checkByHead, checkByReading } from './verify.ts'

const ACTOR = 'job replicate-object'
/** Another writer mostly ends, well or not, long before its lease; what it leaves is taken up soon. */
const LOOK_AGAIN_MS = 5_000

/**
 * Copies the object to the location, proves it there, and enqueues what follows. Run again after any interruption it goes
 * on: a half-written replica of a dead writer is removed and begun anew under a fresh key. Throws `RetryLater` while
 * another worker writes, `StorageError` when a place fails, `corrupt` when no intact source is left.
 */
export async function replicateObject(
  placement: Placement,
  { objectId, to }: { objectId: string; to: string },
  signal?: AbortSignal,
): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded || loaded.object.state === 'purging') return
  const { object, replicas } = loaded
  // Enqueued under another policy: what nobody wants there any more is not copied, let alone paid for.
  const isWanted = placement.policy[object.kind].includes(to)
  if (!isWanted && !replicas.some((replica) => replica.locationId === to)) {
    await settle(placement.db, placement, objectId)
    return
  }
  const target = locationOf(placement, to)
  await confirmLocation(placement, target)

  const existing = replicas.find((replica) => replica.locationId === to)
  if (existing?.state === 'verified') return raiseProof(placement, object, existing, signal)
  if (existing?.state === 'suspect') return settleSuspect(placement, object, existing, signal)
  if (existing?.state === 'evicting') {
    await evictReplica(placement, { objectId, from: to }, signal)
    return replicateObject(placement, { objectId, to }, signal)
  }
  if (existing?.state === 'writing') await abandonIfDead(placement, existing)

  const source = chooseSource(placement, replicas, to)
  if (source && !isReadableNow(placement, source)) {
    // Settled again when it was restored; until then no try could succeed.
    placement.log.info(
      { objectId, location: source.locationId },
      'the only source is archived: nothing is copied',
    )
    return
  }
  if (!source) throw new AppError('corrupt', `object ${objectId} has no verified replica to copy from`)
  await copy(placement, object, source, target, signal)
}

async function copy(
  placement: Placement,
  object: StoredObject,
  source: Replica,
  target: Location,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db, settings } = placement
  const key = freshKey(object)
  // Written down before the first part: a kill in the middle leaves parts that are paid for until somebody gives them up.
  const isInParts = object.size > (target.backend.multipart?.wholeBytes ?? Number.POSITIVE_INFINITY)
  const replica = { objectId: object.id, locationId: target.id, key, uploadId: isInParts ? '' : null }
  const storageClass = classForPut(placement, object, target)
  if (!(await beginReplica(db, { ...replica, actor: ACTOR, leaseMs: settings.writeLeaseMs, storageClass }))) {
    throw new RetryLater(`another worker writes to ${target.id}`, LOOK_AGAIN_MS)
  }

  try {
    const body = bodyOf(placement, object, source)
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
      await proveReplica(tx, replica, { level, proof, actor: ACTOR })
      await settle(tx, placement, object.id)
    })
  } catch (error) {
    await abandonOwn(placement, replica)
    await noteTrouble(placement, target.id, error)
    // Gone counts as well: chosen again and again, it would keep other sources from being tried.
    if (isStorageError(error, 'corrupt') || isStorageError(error, 'not-found'))
      await suspectIfBad(placement, object, source, signal)
    throw error
  }
}

/**
 * The class of a fresh replica, null for the ordinary one. An archive only where the location attests to what it holds:
 * what is archived could not be read back.
 */
function classForPut(placement: Placement, object: StoredObject, target: Location): string | null {
  const rules = placement.classes[object.kind]
  if (rules === undefined || target.kind === 'disk') return null
  const canProve = attestsTo(target.backend, false) && attestsTo(target.backend, true)
  const wanted = wantedClass(rules, object, placement.now(), (name) => canProve || !isArchiveClass(name))
  return wanted === ORDINARY_CLASS ? null : wanted
}

/** A verified replica whose proof is too weak to give up another for: read it back. */
async function raiseProof(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<void> {
  if ((replica.proofLevel ?? PROOF.exists) >= LEVEL_TO_GIVE_UP_ANOTHER) {
    await settle(placement.db, placement, object.id)
    return
  }
  await settleSuspect(placement, object, replica, signal)
}

/** Decides by a full check: found good, or bad, and then it goes, as far as the last-copy rule allows, to be made anew. */
async function settleSuspect(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<void> {
  // What is archived has no bytes to read; what the location attests to must do.
  const check = isReadableNow(placement, replica)
    ? await checkByReading(placement, object, replica, signal)
    : await checkByHead(placement, object, replica)
  if (check.answer === 'unknown') throw new AppError('unavailable', `${replica.locationId}: ${check.reason}`)
  if (check.answer === 'same') {
    await placement.db.transaction().execute(async (tx) => {
      // The object before its replicas, as an eviction does that may come at the same time: else each waits for the other.
      await lockObject(tx, object.id)
      await proveReplica(tx, replica, { level: check.level, proof: check.proof, actor: ACTOR })
      await settle(tx, placement, object.id)
    })
    return
  }
  await suspectReplica(placement.db, replica, ACTOR)
  placement.log.error(
    { objectId: object.id, location: replica.locationId, reason: check.reason },
    'a replica is bad',
  )
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
  await suspectReplica(placement.db, source, ACTOR)
  placement.log.error(
    { objectId: object.id, location: source.locationId, reason: check.reason },
    'a replica is bad',
  )
}

/** A verified replica elsewhere, a local file before a download. */
function chooseSource(placement: Placement, replicas: readonly Replica[], to: string): Replica | undefined {
  const sources = replicas.filter((replica) => replica.state === 'verified' && replica.locationId !== to)
  return (
    sources.find((replica) => locationOf(placement, replica.locationId).kind === 'disk') ??
    sources.find((replica) => isReadableNow(placement, replica)) ??
    sources[0]
  )
}

async function abandonIfDead(placement: Placement, replica: Replica): Promise<void> {
  if (await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: true })) return
  const leaseLeftMs = Math.max(replica.leaseLeftMs ?? 0, 1_000)
  throw new RetryLater(`another worker writes to ${replica.locationId}`, Math.min(leaseLeftMs, LOOK_AGAIN_MS))
}

/** Our own failed attempt. What can't be done now, the next attempt or the sweep does. */
async function abandonOwn(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key' | 'uploadId'>,
): Promise<void> {
  try {
    await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: false })
  } catch (error) {
    const { objectId, locationId } = replica
    placement.log.warn(
      { objectId, location: locationId, error: (error as Error).message },
      'a failed write is left to the next attempt',
    )
  }
}
