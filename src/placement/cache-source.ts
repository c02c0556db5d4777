import type { CacheSource } from './cache-fill.ts'
import { keepPending } from './cache-pending.ts'
import { judgeReplica } from './judge.ts'
import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { readReplica } from './read-replica.ts'
import { isObjectLive, loadObject, type Replica, type StoredObject } from './replicas.ts'
import { settle } from './settle.ts'

/** Replicas that are being judged at the moment, by object and location. */
const underJudgement = new WeakMap<Placement, Set<string>>()

/**
 * What the cache fetches an object from. A chunk can't be compared with the SHA-256 of the whole; an answer whose ETag is
 * not the one that the replica was proven with is refused, which is more than a reading past the cache demands.
 */
export function cacheSource(placement: Placement, object: StoredObject, replica: Replica): CacheSource {
  const location = locationOf(placement, replica.locationId)
  return {
    id: object.id,
    size: object.size,
    sha256: object.sha256,
    open: (start, end) => readReplica(location, replica.key, { start, end }, undefined, replica.proof?.etag),
    async isLive() {
      try {
        return await isObjectLive(placement.db, object.id)
      } catch (error) {
        placement.log.warn(
          { objectId: object.id, error: (error as Error).message },
          'what was cached is not kept: whether it is still anybody’s could not be asked',
        )
        return false
      }
    },
    reportWrong() {
      const name = `${object.id} ${location.id}`
      const judged = underJudgement.get(placement) ?? new Set()
      underJudgement.set(placement, judged)
      // Every range of a film may come here, and judging reads all of it.
      if (judged.has(name)) return
      judged.add(name)
      const work = judgeAndSettle(placement, object, replica).finally(() => judged.delete(name))
      if (placement.cache) void keepPending(placement.cache, work)
    },
  }
}

/** In the background of a reading that has failed already. */
async function judgeAndSettle(placement: Placement, object: StoredObject, replica: Replica): Promise<void> {
  try {
    const now = await loadObject(placement.db, object.id)
    const held = now?.replicas.find(({ key }) => key === replica.key)
    // Given up or proven anew since whoever failed had looked.
    if (held?.state !== 'verified' || held.proof?.etag !== replica.proof?.etag) return
    const verdict = await judgeReplica(placement, object, held)
    if (verdict.code === 'corrupt') await settle(placement.db, placement, object.id)
    else placement.log.warn({ objectId: object.id, location: replica.locationId }, verdict.message)
  } catch (error) {
    placement.log.warn(
      { objectId: object.id, location: replica.locationId, error: (error as Error).message },
      'wrong bytes came, and the replica could not be looked at',
    )
  }
}
