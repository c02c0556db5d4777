import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { forgetReplica, type Replica } from './replicas.ts'

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
 * writing -> absent: a write that will not be finished. The bytes go first, so that none is left without a row, and before
 * them the parts, which might else become bytes under the key after it was cleared.
 */
export async function abandonWriting(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key' | 'uploadId'>,
): Promise<void> {
  await abortParts(placement, replica)
  await locationOf(placement, replica.locationId).backend.delete([replica.key])
  await forgetReplica(placement.db, replica, 'writing')
}
