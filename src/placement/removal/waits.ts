/**
 * The waits after a start, for what a comparison of the counter can't see: when something old may be removed,
 * and when another copy can be relied on.
 */
import { isAppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError } from '../../storage/backend.ts'
import { isBornAfter } from '../ledger/history.ts'
import type { Replica } from '../ledger/objects.ts'
import type { ReplicaName } from '../ledger/replicas.ts'
import { whyReadOnly } from '../location.ts'
import { owningOf } from '../locations/counter/confirmations.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

/**
 * After a start, or when it was taken over, a location may just have been in use by another ledger: one that
 * this one was copied or restored from. That one stops when its comparison is no longer good. Until then
 * nothing goes that both may know of; what was begun since is ours alone. @throws RetryLater
 */
export async function requireWaitIsOver(placement: Placement, doomed: ReplicaName): Promise<void> {
  const { ownedMs, isYounger } = await standingSinceStart(placement, doomed)
  const leftMs = placement.settings.removalWaitMs - ownedMs
  if (leftMs > 0 && !isYounger)
    throw new RetryLater(`nothing old is removed at ${doomed.locationId} right after a start`, leftMs)
}

/**
 * As `requireWaitIsOver`, of bytes that the ledger does not know: nothing says that they are younger.
 * @throws RetryLater
 */
export async function requireOwnedForLong(placement: Placement, locationId: string): Promise<void> {
  const leftMs = placement.settings.removalWaitMs - ((await owningOf(placement, locationId))?.forMs ?? 0)
  if (leftMs > 0) throw new RetryLater(`nothing is removed at ${locationId} right after a start`, leftMs)
}

/**
 * Why another copy can't be relied on yet, or null. Its location must be ours as well; and in a bucket, a key
 * from before our start may have a deletion on its way, sent by a process that died, in a later state of this
 * ledger than the present one. A key is used once, so one from after our start can't.
 */
export async function whyNotYet(placement: Placement, copy: Replica): Promise<string | null> {
  const location = locationOf(placement, copy.locationId)
  if (location.isReadOnly)
    return `the copy at ${copy.locationId} does not count: the place ${whyReadOnly(location)}`
  await confirmLocation(placement, location)
  const { ownedMs, isYounger } = await standingSinceStart(placement, copy)
  const waitMs =
    location.kind === 'disk' ? placement.settings.removalWaitMs : placement.settings.lateRequestMs
  return !isYounger && ownedMs < waitMs
    ? `the copy at ${copy.locationId} is older than this start, and not relied on for ${Math.ceil((waitMs - ownedMs) / 60_000)} min`
    : null
}

/** Whether another copy can be relied on now; also false where its location can't be confirmed. */
export async function isReliable(placement: Placement, copy: Replica): Promise<boolean> {
  try {
    return (await whyNotYet(placement, copy)) === null
  } catch (error) {
    if (!isAppError(error) && !isStorageError(error)) throw error
    placement.log.info({ location: copy.locationId, error: error.message }, 'a twin can not be relied on now')
    return false
  }
}

/**
 * Whether the ledger may be older than these bytes: they have been in it since before this process owned
 * their location, so a later state of it, which a backup replaced, may have acknowledged them.
 */
export async function mayBeAcknowledgedSince(placement: Placement, replica: ReplicaName): Promise<boolean> {
  return !(await standingSinceStart(placement, replica)).isYounger
}

/**
 * How long this process has owned the location, and whether the replica came into the ledger since. Where
 * there is no replica, nothing is known: it is not younger. Nor is what was adopted, for its bytes are older
 * than its row. The order is that of the ledger's history, for a clock that was set back shows an old replica
 * younger than this start. An adoption begins the owning anew, whichever process has made it, from when this
 * one has seen its end.
 */
async function standingSinceStart(
  placement: Placement,
  replica: ReplicaName,
): Promise<{ ownedMs: number; isYounger: boolean }> {
  const owning = await owningOf(placement, replica.locationId)
  if (owning === null) return { ownedMs: 0, isYounger: false }
  return { ownedMs: owning.forMs, isYounger: await isBornAfter(placement.db, replica, owning.lastEventId) }
}
