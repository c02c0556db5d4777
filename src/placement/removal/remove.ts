/**
 * Every removal of bytes at a location is decided here, and nowhere else. It needs one of three reasons: the
 * bytes were looked at now and are wrong; another verified copy was looked at now and holds them; the user
 * has decided so. And always: the location was confirmed to be the one that this ledger knows, and to know no
 * other ledger (`confirmLocation`).
 *
 * The ledger may be wrong about the world: it may be an older snapshot of itself, or a copy. So a row that
 * says "nobody finished this write" is no reason to remove anything. What turns out to be right is kept.
 */
import type { Removal } from '../../database/schema.ts'
import { AppError, isAppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError } from '../../storage/backend.ts'
import { longestBetween, type Moment } from '../../storage/moment.ts'
import { type PermitTerm, permitRemoval } from '../../storage/removal-permit.ts'
import { noteKeyToClear } from '../ledger/keys-to-clear.ts'
import { forgetRetention, knownRetention, noteRetention } from '../ledger/object-locks.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { type Leave, loadObject, noteClass, proveVerified } from '../ledger/replicas.ts'
import { whyReadOnly } from '../location.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { type Check, checkByReading, checkFully, type Different, type Same } from '../replica-io/verify.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from '../states.ts'
import { whyNotOpened } from './opens.ts'
import { noteRefusal, Retained, requireUnlocked } from './retained.ts'
import { findTwin, standingOf } from './twins.ts'
import { requireWaitIsOver, whyNotYet } from './waits.ts'

/** Bytes that may have to go, and the object that they were to be of. `uploadId`: as of `Replica`. */
export type RemovalCandidate = Pick<Replica, 'objectId' | 'locationId' | 'key'> & {
  uploadId?: string | null | undefined
}

export type Decision =
  | ({ do: 'remove' } & Leave)
  /** Right bytes that nothing else stands for. */
  | { do: 'keep'; check: Same }
  /** Nothing stands for them, and they were not asked about, or are wrong and all that there is. */
  | { do: 'stay'; why: string }

/**
 * What is to become of these bytes. `first`: what is looked at first. `own`, where a write was not finished:
 * right bytes are kept, also where there are others. `others`, where a copy is given up: only where no other
 * stands for it, the bytes themselves.
 * `only-others`: those are not looked at, for they are believed to be good.
 *
 * Throws `RetryLater` or `unavailable` where something can't be looked at now: then nothing is known, and
 * nothing goes; `conflict` where the location is another place, or has another ledger.
 */
export async function decideRemoval(
  placement: Placement,
  candidate: RemovalCandidate,
  {
    first,
    actor,
    signal,
  }: { first: 'own' | 'others' | 'only-others'; actor: string; signal?: AbortSignal | undefined },
): Promise<Decision> {
  const location = locationOf(placement, candidate.locationId)
  if (!location.isReadOnly) await confirmLocation(placement, location)
  const loaded = await loadObject(placement.db, candidate.objectId)
  const standing = await standingOf(placement, candidate.objectId)
  // The original's: this copy of it forgets where they were. What is ours goes when we may write there again.
  if (location.isReadOnly)
    return loaded?.object.state === 'live' || !location.isOfOriginal
      ? { do: 'stay', why: `the place ${whyReadOnly(location)}` }
      : { do: 'remove', removal: 'decided', permit: null, confirmed: [] }
  // Only objects whose deletion was decided lose their row.
  if (!loaded || !standing) return remove(placement, candidate, 'decided')
  const { object, replicas } = loaded
  if (object.state === 'purging' && standing.purgeReason !== 'duplicate')
    return remove(placement, candidate, 'decided')

  let own: Check | undefined
  if (first === 'own') {
    const hasRow = replicas.some(
      (one) => one.locationId === candidate.locationId && one.key === candidate.key,
    )
    own = await (hasRow ? lookTwice : lookAt)(placement, object, candidate, replicas, signal)
    if (own.answer === 'different' && own.isAbsent)
      return { do: 'remove', removal: 'nothing-there', permit: null, confirmed: [] }
    if (own.answer === 'same' && object.state === 'live') return { do: 'keep', check: own }
    if (own.answer === 'unknown' && own.couldNotAsk)
      throw new AppError('unavailable', `${candidate.locationId}: ${own.reason}`)
  }
  const confirmed = await confirmOthers(placement, object, replicas, { besides: candidate, actor, signal })
  if (!confirmed.isEnough && confirmed.failure !== null) throw confirmed.failure.error
  const twin = confirmed.isEnough ? null : await findTwin(placement, object, standing, signal)
  if (confirmed.isEnough || twin) {
    try {
      return await remove(
        placement,
        candidate,
        own?.answer === 'different' ? 'wrong-bytes' : 'other-copy',
        confirmed.copies,
        { isSuspect: isSuspect(replicas, candidate) },
      )
    } catch (error) {
      const isBegun = replicaOf(placement, candidate, replicas).state === 'evicting'
      if (!(error instanceof Retained) || !isBegun || own !== undefined) throw error
      // Its removal was begun before the lock was known. Wrong bytes must not keep the place until their end.
      own = await lookTwice(placement, object, candidate, replicas, signal)
      if (own.answer !== 'different') throw error
      if (own.isAbsent) return { do: 'remove', removal: 'nothing-there', permit: null, confirmed: [] }
      return remove(placement, candidate, 'wrong-bytes', confirmed.copies)
    }
  }
  if (first === 'only-others') return notEnough(confirmed.doubt)

  own ??= await lookTwice(placement, object, candidate, replicas, signal)
  if (own.answer === 'different' && own.isAbsent)
    return { do: 'remove', removal: 'nothing-there', permit: null, confirmed: [] }
  if (own.answer === 'same') return { do: 'keep', check: own }
  if (own.answer === 'unknown') throw new AppError('unavailable', `${candidate.locationId}: ${own.reason}`)
  // An upload that was not acknowledged, and is not whole; or what another object stands for by now.
  if (!standing.isLinked || object.state === 'purging')
    return removeWrong(own, placement, object, candidate, replicas, signal)
  if (confirmed.copies.length > 0) return remove(placement, candidate, 'wrong-bytes', confirmed.copies)
  return notEnough(confirmed.doubt)
}

/** Where another copy could not be looked at, the answer may be another one soon. */
function notEnough(doubt: string | null): Decision {
  if (doubt !== null) throw new RetryLater(`another copy can't be confirmed now: ${doubt}`, 30_000)
  return { do: 'stay', why: 'no other verified copy holds the bytes' }
}

async function remove(
  placement: Placement,
  candidate: RemovalCandidate,
  removal: Exclude<Removal, 'nothing-there'>,
  confirmed: readonly Replica[] = [],
  { isSuspect = false } = {},
): Promise<Decision> {
  await requireWaitIsOver(placement, candidate)
  try {
    await requireUnlocked(placement, candidate)
  } catch (error) {
    const isBad = removal === 'wrong-bytes' || isSuspect
    if (!isBad || !(error instanceof Retained)) throw error
    // They stand for nothing: the place under a fresh key is not to wait for their end.
    return { do: 'remove', removal, permit: null, isSetAside: true, confirmed }
  }
  return {
    do: 'remove',
    removal,
    permit: permitRemoval([candidate.key], removal, termOf(placement)),
    confirmed,
  }
}

/**
 * Removes what the decision was about: parts under way, and bytes. Nothing where there was nothing. What was
 * looked at may have taken hours to read: the location is confirmed once more. @throws AppError as
 * `confirmLocation`
 */
export async function removeCandidate(
  placement: Placement,
  candidate: RemovalCandidate,
  { permit, isSetAside }: Leave,
): Promise<void> {
  await abortParts(placement, candidate)
  // Nothing comes there any more; nobody looks before the lock ends.
  if (isSetAside) await noteKeyToClear(placement.db, candidate, 0)
  if (permit === null) return
  const location = locationOf(placement, candidate.locationId)
  // Without `objectLock`, a deletion that names no version would only hide what was locked.
  const known = location.kind === 'disk' ? null : await knownRetention(placement.db, candidate)
  const versionId = known?.versionId
  await confirmLocation(placement, location)
  try {
    await location.backend.delete(permit, versionId === undefined ? {} : { versionId })
  } catch (error) {
    await noteRefusal(placement, candidate, error)
  }
  if (known !== null || location.backend.locks) await forgetRetention(placement.db, candidate)
}

/**
 * Removes bytes that nothing in the ledger names, since the user has decided so; `remove-stray.ts` has looked
 * at them now. `versionId`: of what was looked at, and nothing else under the key. `claimedAt`: as of
 * `requireClaimed`. @throws AppError as `confirmLocation`; Retained; RetryLater
 */
export async function removeDecided(
  placement: Placement,
  {
    locationId,
    key,
    versionId,
    claimedAt,
  }: Pick<Replica, 'locationId' | 'key'> & { versionId: string | undefined; claimedAt: Moment },
): Promise<void> {
  const location = locationOf(placement, locationId)
  await confirmLocation(placement, location)
  requireClaimed(placement, claimedAt)
  const permit = permitRemoval([key], 'decided', termOf(placement))
  const version = versionId === undefined ? {} : { versionId, isOnlyVersion: true }
  try {
    await location.backend.delete(permit, version)
  } catch (error) {
    await noteRefusal(placement, { locationId, key }, error)
  }
  await forgetRetention(placement.db, { locationId, key })
}

/**
 * A claim is good for two leases of a writer, and a permit for one. After a pause (a stopped process, a
 * machine that slept) somebody else may have settled what was claimed, and the key may be a replica's.
 * `claimedAt`: right before it was claimed. To be asked after the location, which may take long.
 * @throws RetryLater
 */
function requireClaimed({ settings, clock }: Placement, claimedAt: Moment): void {
  if (longestBetween(claimedAt, clock()) > settings.writeLeaseMs)
    throw new RetryLater('giving up a file took too long to be safe', settings.writeLeaseMs)
}

/**
 * Ends a write in parts that was not finished: the parts are billed until then, and were never an object. Its
 * URLs are good for nothing afterwards. An upload that became an object meanwhile stays one. `claimedAt`: as
 * of `requireClaimed`; absent where nothing was claimed.
 */
export async function abortParts(
  placement: Placement,
  {
    locationId,
    key,
    uploadId,
    claimedAt,
  }: Pick<RemovalCandidate, 'locationId' | 'key' | 'uploadId'> & { claimedAt?: Moment },
): Promise<void> {
  const location = locationOf(placement, locationId)
  const { multipart } = location.backend
  if (uploadId == null || !multipart) return
  await confirmLocation(placement, location)
  if (claimedAt !== undefined) requireClaimed(placement, claimedAt)
  const abort = (id: string) =>
    multipart.abort(permitRemoval([key], 'unfinished-parts', termOf(placement)), id)
  if (uploadId !== '') return abort(uploadId)
  for await (const begun of multipart.listUnfinished(key)) {
    if (begun.key === key) await abort(begun.uploadId)
  }
}

/**
 * As long as a writer counts as alive: a process that was stopped for longer than that, between a look and
 * the removal that rests on it, looks again.
 */
function termOf({ settings, clock }: Placement): PermitTerm {
  return { goodForMs: settings.writeLeaseMs, clock }
}

/**
 * Looks at the bytes under a key, by HEAD and, where that is no word about the bytes, by reading. What can't
 * be read is `unknown`.
 */
async function lookAt(
  placement: Placement,
  object: StoredObject,
  candidate: RemovalCandidate,
  replicas: readonly Replica[],
  signal: AbortSignal | undefined,
): Promise<Check> {
  return checkFully(placement, object, replicaOf(placement, candidate, replicas), signal)
}

/**
 * As `lookAt`, where nobody looks again afterwards: one answer "not found" may be older than the bytes, so
 * the place is confirmed and asked for the bytes themselves.
 */
async function lookTwice(...given: Parameters<typeof lookAt>): Promise<Check> {
  const first = await lookAt(...given)
  if (first.answer !== 'different' || !first.isAbsent) return first
  const [placement, object, candidate, replicas, signal] = given
  await confirmLocationNow(placement, candidate.locationId)
  return checkByReading(placement, object, replicaOf(placement, candidate, replicas), signal)
}

/**
 * Before bytes go that nothing else stands for: the ledger may be older than their acknowledgement, and one
 * reading may be wrong (memory, a cable, a proxy). Wrong is what two looks found so; where both have read it,
 * they found the same bytes. @throws RetryLater
 */
async function removeWrong(first: Different, ...given: Parameters<typeof lookAt>): Promise<Decision> {
  const [placement, object, candidate, replicas, signal] = given
  await confirmLocationNow(placement, candidate.locationId)
  const again = await checkByReading(placement, object, replicaOf(placement, candidate, replicas), signal)
  const isSame = first.sha256 === undefined || again.answer !== 'different' || first.sha256 === again.sha256
  if (again.answer !== 'different' || again.isAbsent || !isSame)
    throw new RetryLater(
      `${candidate.locationId}: what lies there was another thing at the second look`,
      60_000,
    )
  return remove(placement, candidate, 'wrong-bytes')
}

function replicaOf(placement: Placement, candidate: RemovalCandidate, replicas: readonly Replica[]): Replica {
  const known = replicas.find((one) => one.locationId === candidate.locationId && one.key === candidate.key)
  return known ?? asReplica(placement, candidate)
}

/** Bytes of which nothing was ever proven. */
export function asReplica(
  { now }: Pick<Placement, 'now'>,
  { objectId, locationId, key }: RemovalCandidate,
): Replica {
  return {
    objectId,
    locationId,
    key,
    state: 'writing',
    proofLevel: null,
    proof: null,
    verifiedAt: null,
    leaseLeftMs: null,
    storageClass: null,
    classSince: now(),
    restore: null,
  }
}

/**
 * How many other verified copies must stay where this one goes. What counts as no copy leaves as many as
 * there were: one is enough to make it anew from.
 */
export function requiredCopies(
  { minCopies }: Pick<Placement, 'minCopies'>,
  { kind }: Pick<StoredObject, 'kind'>,
  own: Pick<Replica, 'state'> | undefined,
): number {
  return own?.state === 'verified' || own?.state === 'evicting' ? minCopies[kind] : 1
}

/** It was looked at before, and found wrong, perhaps before its removal was begun. */
function isSuspect(replicas: readonly Replica[], { locationId, key }: RemovalCandidate): boolean {
  const known = replicas.find((one) => one.locationId === locationId && one.key === key)
  return known?.state === 'suspect' || (known?.state === 'evicting' && known.proof?.doubt !== undefined)
}

/** `failure`: why a place could not be asked at all. */
type Confirmed = {
  copies: Replica[]
  isEnough: boolean
  doubt: string | null
  failure: { error: Error } | null
}

/**
 * Looks at the other verified replicas now; what is found bad stops counting. `doubt`: one could not be
 * looked at.
 */
async function confirmOthers(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  { besides, actor, signal }: { besides: RemovalCandidate; actor: string; signal: AbortSignal | undefined },
): Promise<Confirmed> {
  const own = replicas.find(({ locationId, key }) => locationId === besides.locationId && key === besides.key)
  const copies: Replica[] = []
  let doubt: string | null = null
  let failure: Confirmed['failure'] = null
  for (const other of replicas) {
    if (other === own || other.state !== 'verified') continue
    let wait: string | null
    try {
      wait = await whyNotYet(placement, other)
    } catch (error) {
      if (!isAppError(error) && !isStorageError(error)) throw error
      // A place that is away, or is configured no more, keeps nothing where enough others are right.
      failure ??= { error }
      continue
    }
    if (wait !== null) {
      doubt = wait
      continue
    }
    const check = await checkFully(placement, object, other, signal)
    if (check.held) await noteClass(placement.db, other, check.held.storageClass)
    // That of other bytes would be prolonged and waited for in place of the copy's.
    if (check.answer === 'same' && check.held?.retention)
      await noteRetention(placement.db, other, check.held.retention)
    if (check.answer === 'same' && check.level >= LEVEL_TO_GIVE_UP_ANOTHER) {
      const closed = await whyNotOpened(locationOf(placement, other.locationId), other, check, object.size)
      if (closed !== null) {
        doubt = `${other.locationId}: ${closed}`
        continue
      }
      const { level, proof } = check
      const isNews = level > (other.proofLevel ?? 0) || proof.etag !== other.proof?.etag
      if (isNews && !(await proveVerified(placement.db, other, { level, proof, actor })))
        doubt = `${other.locationId}: the copy was found bad or given up meanwhile`
      else copies.push(other)
    } else if (check.answer === 'different') {
      // At another bucket of that name everything is otherwise.
      await confirmLocationNow(placement, other.locationId)
      await noteBadReplica(placement, other, { actor, reason: check.reason })
    } else {
      doubt = `${other.locationId}: ${check.reason}`
    }
  }
  return { copies, isEnough: copies.length >= requiredCopies(placement, object, own), doubt, failure }
}
