/**
 * Is anything left of an object? Asked before other bytes take its place, which ends it for good: there
 * "could not be looked at" must never pass for "is not there".
 */
import type { Tx } from '../../database/connect.ts'
import { isAppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError } from '../../storage/backend.ts'
import { type UnnamedKey, unnamedKeysOf } from '../classes/unnamed-keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { keepReplica, loadObject, lockObject } from '../ledger/replicas.ts'
import { whyReadOnly } from '../location.ts'
import { assertUnmovedIfReadOnly } from '../locations/counter/read-only-counter.ts'
import { locationOf } from '../locations/locations.ts'
import { orAborted } from '../or-aborted.ts'
import type { Placement } from '../placement.ts'
import { nameWhereItLies } from '../removal/clear-keys.ts'
import { asFound, putAnew } from '../removal/put-anew.ts'
import { asReplica } from '../removal/remove.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { type Check, checkByReading, type Same } from '../replica-io/verify.ts'

const ACTOR = 'look everywhere'

/**
 * `same`: a replica holds the right bytes, and is verified. `different`: every place was confirmed, every
 * replica and every other key that the ledger has noted of the object was looked at, and none of them does.
 * `reason` is for people.
 */
export type Look = { answer: 'same' | 'different' } | { answer: 'unknown'; reason: string }

/**
 * Confirms every place and reads every replica of the object, whatever its row says: an older ledger may know
 * one as suspect or unfinished that was proven since. Then what lies under the keys that a change of class or
 * a put anew has left. What it finds right is verified from then on, what it finds wrong is not. A read for
 * each of them, so it is for small objects, and for when there seems to be no copy. No request lasts longer
 * than `answerWithinMs`. An object that is gone, or on its way out, is `different`.
 */
export async function lookEverywhere(placement: Placement, objectId: string): Promise<Look> {
  // At a place with another ledger there may be a replica that this one knows nothing of.
  for (const id of placement.locations.keys()) {
    const reason = await whyNotOurs(placement, id)
    if (reason !== null) return { answer: 'unknown', reason }
  }
  const loaded = await loadObject(placement.db, objectId)
  if (loaded?.object.state !== 'live') return { answer: 'different' }
  const { object, replicas } = loaded
  let unknown: Look | undefined
  for (const replica of replicas) {
    const look = await lookAtReplica(placement, object, replica)
    if (look.answer === 'same') return look
    if (look.answer === 'unknown') unknown ??= look
  }
  for (const unnamed of await unnamedKeysOf(placement.db, objectId, replicas)) {
    const look = await lookAtUnnamed(placement, object, unnamed)
    if (look.answer === 'same') return look
    if (look.answer === 'unknown') unknown ??= look
  }
  return unknown ?? { answer: 'different' }
}

/** In the transaction that ends the object: whether it has got a copy since it was looked at. Locks it. */
export async function hasCopySince(tx: Tx, objectId: string): Promise<boolean> {
  const loaded = await lockObject(tx, objectId)
  return loaded?.replicas.some(({ state }) => state === 'verified') ?? false
}

async function whyNotOurs(placement: Placement, locationId: string): Promise<string | null> {
  const { answerWithinMs } = placement.settings
  try {
    const confirming = confirmLocationNow(placement, locationId).then(() =>
      assertUnmovedIfReadOnly(placement, locationOf(placement, locationId)),
    )
    await orAborted(confirming, AbortSignal.timeout(answerWithinMs))
    return null
  } catch (error) {
    if (isTimeout(error)) return `${locationId} gave no answer for ${answerWithinMs} ms`
    if (isAppError(error) || isStorageError(error)) return error.message
    throw error
  }
}

async function lookAtReplica(placement: Placement, object: StoredObject, replica: Replica): Promise<Look> {
  const { locationId } = replica
  // A replica keeps naming a place that the configuration names no more.
  if (!placement.locations.has(locationId))
    return { answer: 'unknown', reason: `location "${locationId}" is not configured any more` }
  if (replica.state === 'writing' && (replica.leaseLeftMs ?? 0) > 0)
    return { answer: 'unknown', reason: `the copy at ${locationId} is being written` }
  const signal = AbortSignal.timeout(placement.settings.answerWithinMs)
  const check: Check = await checkByReading(placement, object, replica, signal)
  if (check.answer === 'unknown') return { answer: 'unknown', reason: `${locationId}: ${check.reason}` }
  if (check.answer === 'different') {
    await noteBadReplica(placement, replica, { actor: ACTOR, reason: check.reason })
    return { answer: 'different' }
  }
  return (await keepRight(placement, replica, check))
    ? { answer: 'same' }
    : { answer: 'unknown', reason: `the copy at ${locationId} is being given up, or was written anew` }
}

/** False: somebody is at it, and may yet remove it. */
async function keepRight(placement: Placement, replica: Replica, check: Same): Promise<boolean> {
  if (replica.state === 'evicting') return false
  return placement.db.transaction().execute(async (tx) => {
    await lockObject(tx, replica.objectId)
    const { level, proof } = check
    if (!(await keepReplica(tx, replica, { level, proof, actor: ACTOR, onlyIfDead: true }))) return false
    await enqueueNextSteps(tx, placement, replica.objectId)
    return true
  })
}

async function lookAtUnnamed(placement: Placement, object: StoredObject, unnamed: UnnamedKey): Promise<Look> {
  const { locationId } = unnamed
  if (!placement.locations.has(locationId))
    return { answer: 'unknown', reason: `location "${locationId}" is not configured any more` }
  const signal = AbortSignal.timeout(placement.settings.answerWithinMs)
  const check = await checkByReading(placement, object, asReplica(placement, unnamed), signal)
  if (check.answer === 'unknown') return { answer: 'unknown', reason: `${locationId}: ${check.reason}` }
  if (check.answer === 'same') return nameRight(placement, object, unnamed, check)
  if (unnamed.mayComeForMs <= 0) return { answer: 'different' }
  const minutes = Math.ceil(unnamed.mayComeForMs / 60_000)
  return { answer: 'unknown', reason: `a copy may still come to ${locationId}, for ${minutes} min` }
}

/**
 * Right bytes that no replica names become one, in a bucket under a fresh key: those under this one may have
 * been asked to be removed.
 */
async function nameRight(
  placement: Placement,
  object: StoredObject,
  unnamed: UnnamedKey,
  check: Same,
): Promise<Look> {
  const { locationId } = unnamed
  const location = locationOf(placement, locationId)
  const notNow = (why: string): Look => ({ answer: 'unknown', reason: `${locationId} holds it, and ${why}` })
  if (location.isReadOnly) return notNow(whyReadOnly(location))
  try {
    const signal = AbortSignal.timeout(placement.settings.answerWithinMs)
    const result = await putAnew(placement, object, asFound(placement, unnamed, check), {
      actor: ACTOR,
      signal,
    })
    if (result === 'done') return { answer: 'same' }
    if (result === 'settled-meanwhile') return notNow('it changed at this moment')
    // A bucket may have been asked to remove it where it lies: the sweep decides when that is over.
    if (location.kind !== 'disk') return notNow('takes no further copy now')
    return (await nameWhereItLies(placement, unnamed, check)) === 'adopted'
      ? { answer: 'same' }
      : notNow('it changed at this moment')
  } catch (error) {
    const isExpected =
      isAppError(error) || isStorageError(error) || error instanceof RetryLater || isTimeout(error)
    if (!isExpected) throw error
    return notNow(`it could not be kept now: ${error.message}`)
  }
}

function isTimeout(error: unknown): error is DOMException {
  return error instanceof DOMException && error.name === 'TimeoutError'
}
