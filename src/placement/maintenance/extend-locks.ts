/**
 * While a file is wanted at a bucket with Object Lock, its lock is prolonged long before it ends: when half
 * of its days are over. One PutObjectRetention for each file in that time; where nobody has seen the lock
 * that the put asked for, a HEAD before.
 */
import type { ObjectKind } from '../../database/schema.ts'
import { isStorageError, type Locks } from '../../storage/backend.ts'
import {
  type DueLock,
  dueLocks,
  forgetRetention,
  noteRetention,
  postponeLock,
} from '../ledger/object-locks.ts'
import type { Location } from '../location.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

const DAY_MS = 24 * 3_600_000
/** Of one kind in one run; the next run goes on. */
const MOST_IN_A_RUN = 5_000
const AT_ONCE = 4
const RETRY_MS = 6 * 3_600_000
/** So many in a row fail for a reason that all the others share, such as a permission. */
const MOST_FAILURES = 20

export type ExtendReport = { extended: number; seen: number; failed: number }

/**
 * What is due at one location. Throws where the location can't be used now; a failure of one kind is thrown
 * when the others had their turn.
 */
export async function extendLocks(
  placement: Placement,
  location: Location,
  { signal, most = MOST_IN_A_RUN }: { signal?: AbortSignal | undefined; most?: number } = {},
): Promise<ExtendReport> {
  const report: ExtendReport = { extended: 0, seen: 0, failed: 0 }
  const { lock } = location
  const { locks } = location.backend
  if (lock === undefined || !locks || location.isReadOnly) return report
  let failure: { error: unknown } | undefined
  for (const [kind, days] of Object.entries(lock.days) as [ObjectKind, number][]) {
    // What belongs elsewhere by now is let go.
    const due = await dueLocks(
      placement.db,
      { placement, locationId: location.id, kind, days, now: placement.now() },
      most,
    )
    try {
      if (due.length > 0) await extendEach(placement, location, locks, { due, days, report, signal })
    } catch (error) {
      if (!isStorageError(error)) throw error
      failure ??= { error }
    }
  }
  if (failure) throw failure.error
  return report
}

async function extendEach(
  placement: Placement,
  location: Location,
  locks: Locks,
  {
    due,
    days,
    report,
    signal,
  }: { due: DueLock[]; days: number; report: ExtendReport; signal: AbortSignal | undefined },
): Promise<void> {
  const waiting = due.values()
  const retryAt = () => new Date(placement.now().getTime() + RETRY_MS)
  let failuresInARow = 0
  const work = async () => {
    for (const one of waiting) {
      signal?.throwIfAborted()
      // Asks the place once a minute at most.
      await confirmLocation(placement, location)
      try {
        const done = await extendOne(placement, locks, one, { days, signal })
        if (done === 'nothing-there') await postponeLock(placement.db, one, retryAt())
        else {
          report[done] += 1
          failuresInARow = 0
        }
      } catch (error) {
        if (!isStorageError(error)) throw error
        report.failed += 1
        failuresInARow += 1
        await postponeLock(placement.db, one, retryAt())
        const facts = { objectId: one.objectId, location: location.id, error: error.message }
        placement.log.error(facts, "the lock of a file can't be prolonged")
        if (failuresInARow >= MOST_FAILURES) throw error
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function extendOne(
  placement: Placement,
  locks: Locks,
  one: DueLock,
  { days, signal }: { days: number; signal: AbortSignal | undefined },
): Promise<'extended' | 'seen' | 'nothing-there'> {
  const options = signal ? { signal } : {}
  // Without its version, a lock would be that of the newest one, which a stranger may have put.
  const isKnown = one.retention?.versionId !== undefined
  const known = isKnown ? one.retention : await locks.look(one.key, options)
  // What is missing there is for the listing to find.
  if (known === null) return 'nothing-there'
  const now = placement.now().getTime()
  if (known.until !== null && known.until.getTime() >= now + (days * DAY_MS) / 2) {
    await noteRetention(placement.db, one, known)
    return 'seen'
  }
  const until = new Date(Math.ceil(now / 1_000) * 1_000 + days * DAY_MS)
  const { versionId } = known
  try {
    await locks.extend(one.key, until, { ...options, ...(versionId !== undefined && { versionId }) })
  } catch (error) {
    if (!isKnown || !isStorageError(error, 'not-found')) throw error
    await forgetRetention(placement.db, one)
    return extendOne(placement, locks, { ...one, retention: null }, { days, signal })
  }
  await noteRetention(placement.db, one, { ...known, until })
  return 'extended'
}
