import { RetryLater } from '../../queue/retry-later.ts'
import { noteRemovalBegun } from '../ledger/keys-to-clear.ts'
import { areStillVerified, type Leave, lockObject } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'
import { isNamed } from '../replica-io/adopt-bytes.ts'
import { type RemovalCandidate, removeCandidate } from './remove.ts'

/**
 * Removes bytes that no replica names, by a decision of `remove.ts`. Under the object's lock it is asked once
 * more whether that is so, and whether what stands for them still does: in another process somebody may have
 * adopted them, or found out about the others.
 * @throws RetryLater where it is otherwise by now; AppError or StorageError as `removeCandidate`
 */
export async function removeUnnamed(
  placement: Placement,
  candidate: RemovalCandidate,
  decision: Leave,
): Promise<void> {
  const leaseMs = placement.settings.writeLeaseMs * 2
  const isAsDecided = await placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, candidate.objectId)
    if (await isNamed(tx, candidate)) return false
    if (!areStillVerified(decision.confirmed, now?.replicas ?? [])) return false
    if (decision.permit !== null)
      await noteRemovalBegun(tx, candidate, { removal: decision.removal, leaseMs })
    return true
  })
  if (!isAsDecided)
    throw new RetryLater(`the copies of ${candidate.objectId} changed while they were looked at`, 1_000)
  await removeCandidate(placement, candidate, decision)
}
