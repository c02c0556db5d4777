/**
 * A replica gets into another storage class: a copy in that class under a fresh key, proven, and only then
 * the old bytes go. The ledger keeps its one row for the object and location: it names the old key until, in
 * one transaction, it names the new one. `class_change` is the intent before the copy, and says afterwards
 * which bytes are to go. A kill at any point leaves one of these: the replica at the old key and a copy to
 * remove, or at the proven new one and the old bytes to remove.
 */
import type { Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { attestsTo } from '../../storage/attests-to.ts'
import type { ObjectKey, StorageBackend } from '../../storage/backend.ts'
import { longestRedirectMs } from '../delivery-rules.ts'
import { freshKey } from '../keys.ts'
import { noteKeyToClear } from '../ledger/keys-to-clear.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isObjectLive, isReadableNow, loadObject, lockObject, noteDoubt } from '../ledger/replicas.ts'
import { classesAt } from '../location.ts'
import { noteTrouble } from '../locations/health.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { asFound, putAnew } from '../removal/put-anew.ts'
import { type Decision, decideRemoval } from '../removal/remove.ts'
import { removeUnnamed } from '../removal/remove-unnamed.ts'
import { Retained } from '../removal/retained.ts'
import { adoptBytes, isNamed } from '../replica-io/adopt-bytes.ts'
import { noteBadReplica } from '../replica-io/mark-bad.ts'
import { checkAsCopy, proveCopy } from '../replica-io/prove-copy.ts'
import { classOf, classStep, isArchiveClass } from '../storage-classes.ts'
import {
  beginClassChange,
  type ClassChange,
  endClassChange,
  findClassChange,
  forgetClassChange,
  renewClassLease,
  type StandingClassChange,
  scheduleDelete,
  turnToCopy,
} from './class-changes.ts'
import { classRefusal, refuseClass } from './class-refusals.ts'

const ACTOR = 'job change-class'
/**
 * A copy that was asked for and given up may still be made: the request timed out here, and goes on there.
 */
const LATE_COPY_MS = 3_600_000
/** Downloads that began at the old key go on there, and may be taken up again after a broken connection. */
const READERS_MS = 3_600_000
/** A copy that failed would fail again; one into an archive is billed for months each time. */
const REFUSED_DAYS = 30

/**
 * Does what the class rules ask for the replica at `at`, as they and it stand now; a no-op when that is
 * nothing, or was tried in vain not long ago. Costs a copy, a HEAD (into an archive two) and later a delete;
 * where the location attests to nothing that can be compared, the copy is read back. Throws `RetryLater`
 * while another worker is at it or bytes of the change before wait for their end, `corrupt` when the copy is
 * not what was asked for (the old bytes stay).
 */
export async function changeClass(
  placement: Placement,
  { objectId, at }: { objectId: string; at: string },
  signal?: AbortSignal,
): Promise<void> {
  const { db } = placement
  const location = locationOf(placement, at)
  // Enqueued before the place became read-only; the daily look asks again when that ends.
  if (location.isReadOnly) return
  await confirmLocation(placement, location)
  const unfinished = await findClassChange(db, objectId, at)
  if (unfinished) await finishClassChange(placement, unfinished)

  const loaded = await loadObject(db, objectId)
  if (loaded?.object.state !== 'live') return
  const { object } = loaded
  const replica = loaded.replicas.find((one) => one.locationId === at && one.state === 'verified')
  if (!replica) return
  const isReadable = isReadableNow(placement, replica)
  const step = classStep(
    classesAt(placement, at)[object.kind],
    object,
    { ...replica, isReadable },
    placement.now(),
  )
  if (step.do !== 'change' || (await classRefusal(db, replica, step.to)) !== null) return
  const why = whyNoCopy(location.backend, replica, step.to)
  if (why !== null)
    throw new AppError('unavailable', `${objectId} can't go to ${step.to} at ${at}: ${WHY[why]}`)
  const standing = await findClassChange(db, objectId, at)
  if (standing) {
    const message = `the bytes of an earlier class change at ${at} are not removed yet`
    throw new RetryLater(message, Math.max(1_000, standing.leftMs))
  }
  if (isArchiveClass(step.to) && !(await isProvableUnread(placement, object, replica, step.to))) return
  await copyAndTurn(placement, object, replica, step.to, signal)
}

export type NoCopy = 'no-copies' | 'unprovable'
const WHY: Record<NoCopy, string> = {
  'no-copies': 'the location makes no copies of its own objects',
  unprovable: 'the location attests to no digest, and what is archived can not be read back to prove it',
}

/** Why a copy in that class could not be made and proven, or null. Asks nobody. */
export function whyNoCopy(
  backend: StorageBackend,
  replica: Pick<Replica, 'proof'>,
  to: string,
): NoCopy | null {
  if (!backend.copies || backend.features.copies === false) return 'no-copies'
  // What is archived can't be read back: then the location's own word is all there will be.
  const isProvable = !isArchiveClass(to) || attestsTo(backend, replica.proof?.partBytes !== undefined)
  return isProvable ? null : 'unprovable'
}

/**
 * Asked before a copy goes where it can't be read: does the location report a digest of this very object that
 * is known here? Where it doesn't, that is written down, and the object stays where it is.
 */
async function isProvableUnread(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  toClass: string,
): Promise<boolean> {
  const seen = await checkAsCopy(placement, object, replica)
  if (seen.answer === 'same') return true
  if (seen.answer === 'different' && seen.isByEtag) {
    await noteDoubt(placement.db, replica, seen.reason)
    return false
  }
  if (seen.answer === 'different') {
    await noteBadReplica(placement, replica, { reason: seen.reason, actor: ACTOR })
    return false
  }
  if (!seen.held) throw new AppError('unavailable', `${replica.locationId}: ${seen.reason}`)
  const reason = 'the location reports no digest of it that is known, so that a copy could not be proven'
  await refuseClass(placement.db, replica, { toClass, reason, days: REFUSED_DAYS })
  placement.log.warn({ objectId: object.id, location: replica.locationId, toClass, reason }, 'not archived')
  return false
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
    keyToDelete: null,
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
    const verdict = await proveCopy(placement, object, replica, change, signals)
    if ('failure' in verdict) {
      if (!signals.aborted) await refuse(placement, change, verdict)
      throw verdict.failure
    }
    const { level, proof } = verdict.check
    const readersMs = Math.max(READERS_MS, longestRedirectMs(placement.delivery, object.kind))
    await db.transaction().execute(async (tx) => {
      await lockObject(tx, object.id)
      await turnToCopy(tx, change, { level, proof, actor: ACTOR })
      await scheduleDelete(tx, change, change.fromKey, readersMs)
    })
  } catch (error) {
    await noteTrouble(placement, location.id, error)
    await giveUpCopy(placement, change)
    throw error
  } finally {
    clearInterval(renewal)
  }
  await enqueueNextSteps(db, placement, object.id)
}

/** The copy was made, and is billed for as long as its class says: the next one is not for tomorrow. */
async function refuse(
  placement: Pick<Placement, 'db'>,
  change: ClassChange,
  { failure, isLasting }: { failure: AppError; isLasting: boolean },
): Promise<void> {
  const { toClass } = change
  if (!isLasting && !isArchiveClass(toClass)) return
  const days = isLasting ? Math.max(REFUSED_DAYS, classOf(toClass).minDays) : 1
  await refuseClass(placement.db, change, { toClass, reason: failure.message, days })
}

/** Our own failed attempt: the copy goes. What can't be done now, the sweep does after the lease. */
async function giveUpCopy(placement: Placement, change: ClassChange): Promise<void> {
  try {
    const { key } = await decideCandidate(placement, change)
    if (key === change.toKey) await removeOldOrCopy(placement, change, key)
  } catch (error) {
    placement.log.warn(
      { objectId: change.objectId, location: change.locationId, error: (error as Error).message },
      'a failed class change is left to the sweep',
    )
  }
}

/**
 * Ends a class change that nobody works on any more: removes whichever bytes the replica does not name. A
 * copy that was given up is removed twice, at once and when it can't be made any more; only then its row
 * goes. Throws `RetryLater` while its writer's lease stands, and for an object that is being purged until no
 * bytes of it can come any more.
 */
export async function finishClassChange(placement: Placement, change: StandingClassChange): Promise<void> {
  if (change.keyToDelete !== null && change.leftMs <= 0) {
    await removeOldOrCopy(placement, change, change.keyToDelete)
    await forgetClassChange(placement.db, change)
    return
  }
  if (change.keyToDelete === null && change.leftMs > 0) {
    const message = `a class change at ${change.locationId} is under way`
    throw new RetryLater(message, Math.min(change.leftMs, 5_000))
  }
  const isDecided = change.keyToDelete !== null
  const { key, leftMs, isLive } = isDecided
    ? {
        key: change.keyToDelete,
        leftMs: change.leftMs,
        isLive: await isObjectLive(placement.db, change.objectId),
      }
    : await decideCandidate(placement, change)
  // Of a purged object nobody reads any more.
  if (key !== null && (!isLive || (key === change.toKey && !isDecided)))
    await removeOldOrCopy(placement, change, key)
  if (!isLive && leftMs > 0)
    throw new RetryLater(`bytes of a class change at ${change.locationId} may still come`, leftMs)
}

/**
 * Which bytes go, and in how many milliseconds for good; null: none that are known here. Under the object's
 * lock, so that the copy can't become the replica any more.
 */
async function decideCandidate(
  placement: Pick<Placement, 'db'>,
  change: ClassChange,
): Promise<{ key: ObjectKey | null; leftMs: number; isLive: boolean }> {
  return placement.db.transaction().execute(async (tx) => {
    const loaded = await lockObject(tx, change.objectId)
    const isLive = loaded?.object.state === 'live'
    const now = await findClassChange(tx, change.objectId, change.locationId)
    const replica = loaded?.replicas.find((one) => one.locationId === change.locationId)
    const isTurned = replica?.key === change.toKey
    // Forgotten: a process that regarded the writer as dead has removed the copy, perhaps before it was made.
    if (now?.toKey !== change.toKey) return { key: isTurned ? null : change.toKey, leftMs: 0, isLive }
    if (now.keyToDelete === change.fromKey) return { key: now.keyToDelete, leftMs: now.leftMs, isLive }
    // The turn and its verdict are one transaction: without a verdict, the copy was found and adopted.
    if (isTurned) {
      await endTurned(tx, change, change.toKey)
      return { key: null, leftMs: 0, isLive }
    }
    await scheduleDelete(tx, change, change.toKey, LATE_COPY_MS)
    return { key: change.toKey, leftMs: LATE_COPY_MS, isLive }
  })
}

/**
 * The bytes that the replica does not name, if those that it names are there, which is looked at now. If they
 * are not, these are what there is: right ones become the replica, under a fresh key, for they may have been
 * asked to be removed before. Of a copy in parts, what is under way goes as well.
 */
async function removeOldOrCopy(placement: Placement, change: ClassChange, key: ObjectKey): Promise<void> {
  const { objectId, locationId, toKey } = change
  const doomed = { objectId, locationId, key, uploadId: key === toKey ? '' : null }
  if (await isNamed(placement.db, doomed)) return endTurned(placement.db, change, key)
  let decision: Decision
  try {
    decision = await decideRemoval(placement, doomed, { first: 'others', actor: ACTOR })
  } catch (error) {
    if (!(error instanceof Retained) || !(await isObjectLive(placement.db, objectId))) throw error
    // The replica has its new class; the bytes in the old one go when their lock ends.
    return noteKeyToClear(placement.db, doomed, 0)
  }
  if (decision.do === 'remove') return removeUnnamed(placement, doomed, decision)
  if (decision.do === 'stay')
    throw new AppError('unavailable', `${key} at ${locationId} stays: ${decision.why}`)
  const taken = () =>
    new AppError('unavailable', `what ${locationId} holds instead of ${key} can't be looked at now`)
  const loaded = await loadObject(placement.db, objectId)
  const here = loaded?.replicas.find((one) => one.locationId === locationId)
  if (!loaded || here?.state === 'verified' || here?.state === 'evicting') throw taken()
  const found = asFound(placement, doomed, decision.check)
  const alongside = (tx: Tx) => endTurned(tx, change, key)
  const result = await putAnew(placement, loaded.object, found, { actor: ACTOR, alongside })
  if (result === 'settled-meanwhile') throw taken()
  if (result === 'not-now') {
    const { level, proof, held } = decision.check
    await placement.db.transaction().execute(async (tx) => {
      await lockObject(tx, objectId)
      if ((await adoptBytes(tx, doomed, { level, proof, held, actor: ACTOR })) === 'taken') throw taken()
      await endTurned(tx, change, key)
      await enqueueNextSteps(tx, placement, objectId)
    })
  }
  placement.log.warn(
    { objectId, location: locationId },
    'the other bytes of a class change became the replica',
  )
}

/**
 * Bytes were adopted, by us or by an administrator: they are the replica's, and those under the other key are
 * left to be looked at.
 */
async function endTurned(db: Queryable, change: ClassChange, keptKey: ObjectKey): Promise<void> {
  const key = keptKey === change.toKey ? change.fromKey : change.toKey
  await noteKeyToClear(db, { ...change, key }, Math.max(READERS_MS, LATE_COPY_MS))
  await endClassChange(db, change)
}
