/**
 * Carries out what administrators have decided, once its hold time has passed: batch after batch, and before
 * each of them the location must be ours and list its own marker. Killed at any point, it goes on: a row says
 * of each file whether its removal was begun.
 */
import { isClockInDoubt } from '../../database/clock.ts'
import { AppError, isAppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError, type StorageError } from '../../storage/backend.ts'
import { listsItsMarker } from '../listing/sentinel.ts'
import { type Location, whyReadOnly } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { removeStray } from '../removal/remove-stray.ts'
import { Retained } from '../removal/retained.ts'
import { adoptWhereNeeded } from './adopt-needed.ts'
import {
  claimItem,
  dueItems,
  finishCollections,
  forgetOldCollections,
  type Item,
  isUndone,
  keepTakenOver,
  locationsWithDecisions,
  noteError,
  postponeItem,
  settleItem,
  settleRefused,
} from './items.ts'

/** Files between two looks at the place; a permit for one is good for less. */
const BATCH = 100
/** What the location refuses by itself is tried again, and keeps no other one waiting. */
const RETRY_MS = 3_600_000
/** After so many in a row it is the location that refuses, and not the file. */
const MAX_FAILURES = 10

export type CollectReport = { removed: number; adopted: number; kept: number }
type Options = {
  signal?: AbortSignal | undefined
  onProgress?: (() => Promise<void>) | undefined
}

/** What is due at all locations. One that fails waits for the next time, with its reason written down. */
export async function collectDue(placement: Placement, options: Options = {}): Promise<CollectReport> {
  const report = { removed: 0, adopted: 0, kept: 0 }
  await forgetOldCollections(placement)
  for (const locationId of await locationsWithDecisions(placement)) {
    if (options.signal?.aborted) break
    try {
      await collectAt(placement, locationOf(placement, locationId), report, options)
      await noteError(placement, locationId, null)
    } catch (error) {
      if (!isAppError(error) && !isStorageError(error) && !(error instanceof RetryLater)) throw error
      await noteError(placement, locationId, error.message)
      placement.log.warn({ location: locationId, error: error.message }, 'files are given up later')
    }
    await finishCollections(placement, locationId)
  }
  return report
}

async function collectAt(
  placement: Placement,
  location: Location,
  report: CollectReport,
  { signal, onProgress }: Options,
): Promise<void> {
  if (location.isReadOnly) throw new AppError('conflict', `${location.label} ${whyReadOnly(location)}`)
  await keepTakenOver(placement, location.id)
  // What can help a photo does not wait.
  report.adopted += await adoptWhereNeeded(placement, location, { signal })
  let failures = 0
  for (;;) {
    if (signal?.aborted) return
    const batch = await dueItems(placement, location.id, BATCH)
    if (batch.length === 0) return
    await assertTrusted(placement, location)
    report.adopted += await adoptWhereNeeded(placement, location, { among: batch, signal })
    for (const item of batch) {
      if (signal?.aborted) return
      const failure = await collectOne(placement, item, report)
      failures = failure === null ? 0 : failures + 1
      if (failure !== null && failures === MAX_FAILURES) throw failure
    }
    await onProgress?.()
  }
}

/** @throws AppError where nothing that is said of the location, or of time, can be relied on now */
async function assertTrusted(placement: Placement, location: Location): Promise<void> {
  if (await isClockInDoubt(placement.db))
    throw new AppError('unavailable', 'the clock has jumped: nothing is given up for two days')
  if (!(await listsItsMarker(placement, location)))
    throw new AppError('conflict', `${location.label} does not list its own marker: nothing is removed there`)
}

/** What the location refused of this one; null: it is settled, or waits. */
async function collectOne(
  placement: Placement,
  item: Item,
  report: CollectReport,
): Promise<StorageError | null> {
  // Its process died before it could settle it, and somebody has thought better of it since.
  const isOver = item.wasClaimed && (await isUndone(placement, item))
  try {
    const result = await removeStray(placement, item, async () => !isOver && claimItem(placement, item))
    if (result === 'refused') {
      await (isOver ? settleItem(placement, item, 'undone') : settleRefused(placement, item))
      return null
    }
    const isAway = result === 'removed' || result === 'gone'
    await settleItem(placement, item, isAway ? 'removed' : 'kept', isAway ? null : result)
    report[isAway ? 'removed' : 'kept'] += 1
    placement.log.info(
      { location: item.locationId, key: item.key, collection: item.collectionId, result },
      'a file that belongs to nothing was looked at',
    )
    return null
  } catch (error) {
    if (error instanceof Retained) {
      await postponeItem(placement, item, 'locked', error.delayMs)
      return null
    }
    if (!isStorageError(error) || (error.kind === 'unavailable' && !error.isOfOneObject)) throw error
    await postponeItem(placement, item, error.message, RETRY_MS)
    return error
  }
}
