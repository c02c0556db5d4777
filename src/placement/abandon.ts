import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { abandonReplica, forgetReplica, type Replica } from './replicas.ts'

/** Ends a write in parts that was not finished: the parts are billed until then. Its URLs are good for nothing afterwards. */
export async function abortParts(
  placement: Placement,
  { locationId, key, uploadId }: Pick<Replica, 'locationId' | 'key' | 'uploadId'>,
): Promise<void> {
  const { multipart } = locationOf(placement, locationId).backend
  if (uploadId == null || !multipart) return
  if (uploadId !== '') return multipart.abort(key, uploadId)
  for await (const begun of multipart.listUnfinished(key)) {
    if (begun.key === key) await multipart.abort(key, begun.uploadId)
  }
}

/**
 * Ends a write that nobody will finish: first no one can prove it any more, then its parts go, which might else become bytes,
 * then its bytes, then its row. False: it was proven or given up meanwhile, or (where `onlyIfDead`) its writer is alive;
 * then nothing is touched. A commit that this process believes failed may have happened, and what it proved may be the
 * last copy by now.
 */
export async function abandonWriting(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key' | 'uploadId'>,
  what: { actor: string; onlyIfDead: boolean },
): Promise<boolean> {
  if (!(await abandonReplica(placement.db, replica, what))) return false
  await removeBytes(placement, replica)
  await forgetReplica(placement.db, replica)
  return true
}

/** What an evicting replica still has at its location: parts under way, and bytes. */
export async function removeBytes(
  placement: Placement,
  replica: Pick<Replica, 'locationId' | 'key' | 'uploadId'>,
): Promise<void> {
  await abortParts(placement, replica)
  await locationOf(placement, replica.locationId).backend.delete([replica.key])
}
