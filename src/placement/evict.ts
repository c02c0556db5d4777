/** The only way a replica of a live object is given up. */
import { RetryLater } from '../queue/retry-later.ts'
import { removeBytes } from './abandon.ts'
import { keepInCache } from './cache-keep.ts'
import type { Placement } from './placement.ts'
import {
  beginEviction,
  type EvictionPermit,
  forgetReplica,
  loadObject,
  lockObject,
  noteClass,
  proveReplica,
  type Replica,
  type StoredObject,
  suspectReplica,
} from './replicas.ts'
import { isLeased, settle, stepsOf } from './settle.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER, mayEvict } from './states.ts'
import { checkNow } from './verify.ts'

const ACTOR = 'job evict-replica'

/**
 * Gives up the replica at `from`, if it is not wanted there, nobody holds a lease on it, its hold is over, and enough
 * others, looked at now, hold the same bytes. A no-op when any of that has changed since the job was enqueued; throws
 * `RetryLater` or `unavailable` when it can't be known yet. Run again after any interruption it goes on.
 */
export async function evictReplica(
  placement: Placement,
  { objectId, from }: { objectId: string; from: string },
  signal?: AbortSignal,
): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded) return
  const { object, replicas } = loaded
  const replica = replicas.find((candidate) => candidate.locationId === from)
  if (!replica || replica.state === 'writing') return
  if (replica.state !== 'evicting') {
    if (replica.state === 'verified' && !isUnwanted(placement, object, from)) {
      // Enqueued under another policy: what is wanted instead may have waited for this job.
      await settle(placement.db, placement, objectId)
      return
    }
    const confirmed = await confirmOthers(placement, object, replicas, from, signal)
    if (!confirmed) {
      await settle(placement.db, placement, objectId)
      return
    }
    if (!(await turnToEvicting(placement, object, replica, confirmed))) return
  }
  await keepInCache(placement, object, replica)
  await removeBytes(placement, replica)
  await forgetAndSettle(placement, object, replicas, replica)
}

/** Settling is left out where, by all that is known, nothing follows; should that be old news, the sweep settles. */
async function forgetAndSettle(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  gone: Replica,
): Promise<void> {
  const left = replicas.filter((replica) => replica !== gone)
  if (stepsOf(placement, object, left).length === 0) {
    await forgetReplica(placement.db, gone)
    return
  }
  await placement.db.transaction().execute(async (tx) => {
    await forgetReplica(tx, gone)
    await settle(tx, placement, object.id)
  })
}

function isUnwanted(placement: Placement, object: StoredObject, locationId: string): boolean {
  if (placement.policy[object.kind].includes(locationId)) return false
  return placement.settings.deleteLocalAfterUpload || locationId !== placement.local.id
}

/**
 * Looks at the other verified replicas now. Null: too few hold the bytes, and those that don't are suspect. Throws when
 * one can't be looked at and the rest don't suffice.
 */
async function confirmOthers(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  from: string,
  signal?: AbortSignal,
): Promise<Replica[] | null> {
  const confirmed: Replica[] = []
  let doubt: string | null = null
  for (const other of replicas) {
    if (other.locationId === from || other.state !== 'verified') continue
    const check = await checkNow(placement, object, other, signal)
    if (check.held) await noteClass(placement.db, other, check.held.storageClass)
    if (check.answer === 'same' && check.level >= LEVEL_TO_GIVE_UP_ANOTHER) {
      if (check.level > (other.proofLevel ?? 0)) {
        await proveReplica(placement.db, other, { level: check.level, proof: check.proof, actor: ACTOR })
      }
      confirmed.push(other)
    } else if (check.answer === 'different') {
      await suspectReplica(placement.db, other, ACTOR)
      placement.log.error(
        { objectId: object.id, location: other.locationId, reason: check.reason },
        'a replica is bad',
      )
    } else {
      doubt = `${other.locationId}: ${check.reason}`
    }
  }
  if (confirmed.length >= object.minCopies) return confirmed
  if (doubt !== null) throw new RetryLater(`another copy can't be confirmed now: ${doubt}`, 30_000)
  return null
}

async function turnToEvicting(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  confirmed: readonly Replica[],
): Promise<boolean> {
  return placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, object.id)
    if (!now || now.object.state === 'purging') return false
    if (await isLeased(tx, placement, object.id, replica.locationId)) return false
    const others = now.replicas.filter(
      (other) => other.state === 'verified' && confirmed.some((seen) => seen.key === other.key),
    )
    if (!mayEvict(now.object.state, others.length, now.object.minCopies)) return false
    const holdOverAt =
      Math.max(...others.map((other) => other.verifiedAt?.getTime() ?? 0)) + placement.settings.holdMs
    const holdLeftMs = holdOverAt - placement.now().getTime()
    if (replica.state === 'verified' && holdLeftMs > 0)
      throw new RetryLater('the hold is not over', holdLeftMs)
    return beginEviction(tx, permit(replica))
  })
}

/** The one place where a permit to evict from a live object is made: the others were looked at, under the object's lock. */
function permit(replica: Replica): EvictionPermit {
  return { replica, actor: ACTOR } as unknown as EvictionPermit
}
