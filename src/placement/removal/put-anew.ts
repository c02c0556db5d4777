import type { Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import { freshKey } from '../keys.ts'
import { noteKeyToClear, takeKeyBack } from '../ledger/keys-to-clear.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { doubtReplica, isReadableNow, lockObject } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { adoptBytes } from '../replica-io/adopt-bytes.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { checkNow, type Same } from '../replica-io/verify.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from '../states.ts'
import { ORDINARY_CLASS } from '../storage-classes.ts'
import { asReplica, type RemovalCandidate } from './remove.ts'

/** A put is over by then, or a later look finds what it left. */
const INTENT_MS = 10 * 60_000

export type PutAnewOptions = {
  actor: string
  signal?: AbortSignal | undefined
  /** What was found stays where it lies, as a file that nothing names; else its key is cleared in time. */
  leavesFound?: boolean
  /** What becomes true together with the replica's new key. */
  alongside?: (tx: Tx) => Promise<void>
}

/**
 * Right bytes whose removal may have been asked for, and that nothing else stands for, become the replica
 * under a fresh key. `found`: a replica whose eviction was cut short, or bytes that no replica names
 * (`asFound`). A deletion whose answer got lost may still be carried out at the old key; a key that nobody
 * asked to be removed is safe from it. `settled-meanwhile`: the replica is another one by now, and nothing
 * has changed. `not-now`: the location takes no further put of them, or they are archived, or on a disk,
 * where a deletion is over when its process is; so that they can, or may, only stay where they are.
 * @throws AppError or StorageError: `unavailable`, to be tried again; `not-found`: they have just gone
 */
export async function putAnew(
  placement: Placement,
  object: StoredObject,
  found: Replica,
  { actor, signal, leavesFound = false, alongside }: PutAnewOptions,
): Promise<'done' | 'settled-meanwhile' | 'not-now'> {
  const { db } = placement
  const location = locationOf(placement, found.locationId)
  if (object.state !== 'live' || location.kind === 'disk' || !isReadableNow(placement, found))
    return 'not-now'
  const fresh = { objectId: object.id, locationId: location.id, key: freshKey(object) }
  await noteKeyToClear(db, fresh, INTENT_MS)
  if (!(await copyTo(placement, object, { location, from: found, to: fresh.key, signal }))) return 'not-now'
  const check = await checkNow(placement, object, asReplica(placement, fresh), signal)
  if (check.answer === 'unknown') throw new AppError('unavailable', `${location.id}: ${check.reason}`)
  if (check.answer === 'different' || check.level < LEVEL_TO_GIVE_UP_ANOTHER) return 'not-now'
  const { level, proof, held } = check
  return db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, object.id)
    const here = now?.replicas.find(({ locationId }) => locationId === location.id)
    const isOfFound = here?.key === found.key
    const isAsFound = isOfFound ? here.state === 'evicting' : found.state !== 'evicting'
    if (now?.object.state !== 'live' || !isAsFound) return 'settled-meanwhile'
    if (!isOfFound && (here?.state === 'verified' || here?.state === 'evicting')) return 'settled-meanwhile'
    if (!(await takeKeyBack(tx, fresh))) return 'settled-meanwhile'
    if (isOfFound) await doubtReplica(tx, found, actor)
    await adoptBytes(tx, fresh, { level, proof, held, actor })
    if (!leavesFound) await noteKeyToClear(tx, found, placement.settings.lateRequestMs)
    await alongside?.(tx)
    await enqueueNextSteps(tx, placement, object.id)
    return 'done'
  })
}

/** Bytes that no replica names, as they were found to be right. */
export function asFound(placement: Placement, candidate: RemovalCandidate, { held }: Same): Replica {
  const heldIn = held?.storageClass ?? ORDINARY_CLASS
  return { ...asReplica(placement, candidate), storageClass: heldIn === ORDINARY_CLASS ? null : heldIn }
}

/** False: the location takes no further put. */
async function copyTo(
  { log }: Pick<Placement, 'log'>,
  object: StoredObject,
  {
    location,
    from,
    to,
    signal,
  }: { location: Location; from: Replica; to: Replica['key']; signal: AbortSignal | undefined },
): Promise<boolean> {
  try {
    await location.backend.put(
      to,
      {
        size: object.size,
        digests: [{ algorithm: 'sha256', value: object.sha256 }],
        open: (range) =>
          readReplica(location, from.key, {
            start: range?.start ?? 0,
            end: range?.end ?? object.size - 1,
          }),
      },
      {
        contentType: object.contentType,
        ...(signal && { signal }),
        ...(from.storageClass !== null && { storageClass: from.storageClass }),
      },
    )
    return true
  } catch (error) {
    if (!isStorageError(error, 'denied') && !isStorageError(error, 'too-large')) throw error
    log.warn(
      { objectId: object.id, location: location.id, error: error.message },
      'the last copy stays under a key that a late deletion may still concern',
    )
    return false
  }
}
