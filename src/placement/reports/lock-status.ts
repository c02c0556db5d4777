import type { ObjectKind } from '../../database/schema.ts'
import { lockCounts, waitingRemovals } from '../ledger/object-locks.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'

export type LockStatus = {
  /**
   * Null: nothing more is locked there by the configuration, but something still waits for its lock to end.
   */
  mode: 'governance' | 'compliance' | null
  /** Files whose lock is to be prolonged, or was never seen; `failed`: that was tried in vain lately. */
  due: number
  failed: number
  /** When the first file that is wanted there could be removed, if nothing prolonged its lock. */
  firstEndsAt: string | null
  /** Files that were deleted and lie there until their lock ends; `until`: the last of them. */
  waiting: { count: number; bytes: number; onHold: number; until: string | null }
}

/** Null: nothing is locked there. */
export async function lockStatus(placement: Placement, { id, lock }: Location): Promise<LockStatus | null> {
  const { until, ...waiting } = await waitingRemovals(placement.db, id, placement.now())
  if (lock === undefined && waiting.count === 0) return null
  let due = 0
  let failed = 0
  let firstEnd: Date | null = null
  for (const [kind, days] of Object.entries(lock?.days ?? {}) as [ObjectKind, number][]) {
    const { db } = placement
    const counts = await lockCounts(db, { placement, locationId: id, kind, days, now: placement.now() })
    due += counts.due
    failed += counts.failed
    if (counts.firstEnd !== null && (firstEnd === null || counts.firstEnd < firstEnd))
      firstEnd = counts.firstEnd
  }
  return {
    mode: lock?.mode ?? null,
    due,
    failed,
    firstEndsAt: firstEnd?.toISOString() ?? null,
    waiting: { ...waiting, until: until?.toISOString() ?? null },
  }
}
