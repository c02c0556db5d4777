/**
 * Removes bytes that no row names, by a decision of an administrator. They are looked at once more: what is
 * another file by now was not meant. The location has to be ours now, as for every removal, and what is
 * locked there stays.
 */
import type { ObjectInfo, ObjectKey } from '../../storage/backend.ts'
import { isStorageError } from '../../storage/backend.ts'
import { noteRetention } from '../ledger/object-locks.ts'
import type { Location } from '../location.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { abortParts, removeDecided } from './remove.ts'
import { requireUnlocked } from './retained.ts'
import { requireOwnedForLong } from './waits.ts'

/**
 * As a listing showed them when it was decided. `uploadId`: of an upload that was not finished; '': a file.
 */
export type StrayBytes = {
  locationId: string
  key: ObjectKey
  uploadId: string
  size: number
  etag: string | null
  lastModified: Date
}

/**
 * `gone`: nothing is there. `changed`: something else is. `hidden`: somebody's delete marker hides it.
 * `refused`: by `claim`.
 */
export type StrayResult = 'removed' | 'gone' | 'changed' | 'hidden' | 'refused'

/**
 * `claim` is asked right before the removal, in whose transaction nobody may have begun to use the key.
 * @throws RetryLater, as `Retained` where it is locked; AppError or StorageError: nothing is known
 */
export async function removeStray(
  placement: Placement,
  stray: StrayBytes,
  claim: () => Promise<boolean>,
): Promise<StrayResult> {
  const location = locationOf(placement, stray.locationId)
  await requireOwnedForLong(placement, location.id)
  await confirmLocation(placement, location)
  if (stray.uploadId !== '') return removeUpload(placement, location, stray, claim)
  let held: ObjectInfo | null
  try {
    held = await location.backend.head(stray.key)
  } catch (error) {
    if (isStorageError(error, 'hidden')) return 'hidden'
    throw error
  }
  if (held === null) return 'gone'
  if (!isSame(location, stray, held)) return 'changed'
  if (held.retention) await noteRetention(placement.db, stray, held.retention)
  await requireUnlocked(placement, stray)
  const claimedAt = placement.clock()
  if (!(await claim())) return 'refused'
  await removeDecided(placement, { ...stray, versionId: held.versionId, claimedAt })
  return 'removed'
}

/** A HEAD tells times in whole seconds, a listing of some services in thousandths. */
function isSame({ kind }: Pick<Location, 'kind'>, stray: StrayBytes, held: ObjectInfo): boolean {
  const unitMs = kind === 'disk' ? 1 : 1_000
  const timeOf = (date: Date) => Math.floor(date.getTime() / unitMs)
  return (
    held.size === stray.size &&
    (held.etag ?? null) === stray.etag &&
    timeOf(held.modifiedAt) === timeOf(stray.lastModified)
  )
}

async function removeUpload(
  placement: Placement,
  { backend }: Location,
  { locationId, key, uploadId, lastModified }: StrayBytes,
  claim: () => Promise<boolean>,
): Promise<StrayResult> {
  let startedAt: Date | undefined
  for await (const begun of backend.multipart?.listUnfinished(key) ?? [])
    if (begun.key === key && begun.uploadId === uploadId) ({ startedAt } = begun)
  if (startedAt === undefined) return 'gone'
  if (startedAt.getTime() !== lastModified.getTime()) return 'changed'
  const claimedAt = placement.clock()
  if (!(await claim())) return 'refused'
  await abortParts(placement, { locationId, key, uploadId, claimedAt })
  return 'removed'
}
