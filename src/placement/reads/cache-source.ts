import type { CacheSource } from '../cache/cache.ts'
import { keepPending } from '../cache/pending.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isStillProven } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { expectedOf } from '../replica-io/expected.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { recheckReplica } from '../replica-io/recheck-replica.ts'

/**
 * What the cache fetches an object from. A chunk can't be compared with the SHA-256 of the whole; an answer
 * whose ETag is not the one that the replica was proven with is refused, as by a reading past the cache. What
 * has rotted keeps its ETag: so nothing is kept that came from a replica which was found bad since.
 */
export function cacheSource(placement: Placement, object: StoredObject, replica: Replica): CacheSource {
  const location = locationOf(placement, replica.locationId)
  const expected = expectedOf(location, object, replica, false)
  return {
    id: object.id,
    size: object.size,
    sha256: object.sha256,
    open: (start, end) => readReplica(location, replica.key, { start, end }, undefined, expected),
    async isGood() {
      try {
        return await isStillProven(placement.db, replica)
      } catch (error) {
        placement.log.warn(
          { objectId: object.id, error: (error as Error).message },
          'what was cached is not kept: whether it is still good could not be asked',
        )
        return false
      }
    },
    reportWrong() {
      const judging = recheckReplica(placement, object, replica, 'cache').then(() => undefined)
      if (placement.cache) void keepPending(placement.cache, judging)
    },
  }
}
