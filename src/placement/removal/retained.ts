/** What waits because a location refuses to remove it before its time (Object Lock). */
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError, type Retention } from '../../storage/backend.ts'
import { knownRetention, noteRetention } from '../ledger/object-locks.ts'
import type { ReplicaName } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

/** A hold has no end; somebody may take it away at any time. Nothing is asked more often than that. */
const LOOK_AGAIN_MS = 24 * 3_600_000
/** A lock that is known to end later is looked up in the ledger again by then. */
const LONGEST_WAIT_MS = 7 * LOOK_AGAIN_MS
/** After the end of a lock, for the clock of the location may be behind ours. */
const CLOCKS_DIFFER_MS = 60_000

/** `objectId`: absent of bytes that the ledger does not know. */
type LockedBytes = Pick<ReplicaName, 'locationId' | 'key'> & { objectId?: string }

/** Locked until then: no failure, and nothing that trying again would change. */
export class Retained extends RetryLater {
  constructor(what: LockedBytes, { until, isOnHold }: Retention, now: Date) {
    const why = isOnHold
      ? 'it is on legal hold there'
      : `it is locked there until ${until?.toISOString() ?? 'a time that is not known'}`
    const leftMs = (until?.getTime() ?? 0) + CLOCKS_DIFFER_MS - now.getTime()
    super(
      `${what.objectId ?? what.key} can't be removed from ${what.locationId} yet: ${why}`,
      isOnHold ? LOOK_AGAIN_MS : Math.min(Math.max(leftMs, CLOCKS_DIFFER_MS), LONGEST_WAIT_MS),
    )
    this.name = 'Retained'
  }
}

/**
 * Asked before a removal is begun, so that nothing is taken for gone that is not. The location is asked where
 * it has never said; afterwards the ledger knows, also where nothing more is locked there by the
 * configuration. @throws Retained
 */
export async function requireUnlocked(placement: Placement, doomed: LockedBytes): Promise<void> {
  const location = locationOf(placement, doomed.locationId)
  if (location.kind === 'disk') return
  const { locks } = location.backend
  let known = await knownRetention(placement.db, doomed)
  // A hold may have been taken away, which nobody tells; a row without an end may tell of a failure alone.
  if (locks && (known === null || known.isOnHold || known.until === null)) {
    known = await locks.look(doomed.key)
    if (known !== null) await noteRetention(placement.db, doomed, known)
  }
  if (known !== null && isLocked(known, placement.now())) throw new Retained(doomed, known, placement.now())
}

/**
 * The location refused: it knows of a lock that the ledger does not. @throws Retained instead of that error
 */
export async function noteRefusal(placement: Placement, doomed: LockedBytes, error: unknown): Promise<never> {
  if (!isStorageError(error, 'retained') || error.retention === undefined) throw error
  await noteRetention(placement.db, doomed, error.retention)
  throw new Retained(doomed, error.retention, placement.now())
}

function isLocked({ until, isOnHold }: Retention, now: Date): boolean {
  return isOnHold || (until !== null && until.getTime() + CLOCKS_DIFFER_MS > now.getTime())
}
