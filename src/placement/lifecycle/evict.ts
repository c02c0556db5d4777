/** The only way a replica of a live object is given up. */
import { RetryLater } from '../../queue/retry-later.ts'
import { longestBetween } from '../../storage/moment.ts'
import { wantedPlaces } from '../belonging.ts'
import { enqueueNextSteps, isLeased, stepsOf } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import {
  areStillVerified,
  beginEviction,
  doubtReplica,
  forgetReplica,
  keepReplica,
  type Leave,
  loadObject,
  lockObject,
  renewEviction,
} from '../ledger/replicas.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { putAnew } from '../removal/put-anew.ts'
import { type Decision, decideRemoval, removeCandidate, requiredCopies } from '../removal/remove.ts'
import { mayEvict } from '../states.ts'
import { keepInCache } from './keep-in-cache.ts'

const ACTOR = 'job evict-replica'

/**
 * Gives up the replica at `from`, if it is not wanted there, nobody holds a lease on it, its hold is over,
 * and enough others, looked at now, hold the same bytes. A no-op when any of that has changed since the job
 * was enqueued; throws
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
  // Left by a purge that was cut short, which goes on by itself.
  if (object.state === 'purging') return
  if (replica.state === 'evicting') return resume(placement, object, replicas, replica, signal)
  if (replica.state === 'verified' && !isUnwanted(placement, object, from)) {
    // Enqueued under another policy: what is wanted instead may have waited for this job.
    await enqueueNextSteps(placement.db, placement, objectId)
    return
  }
  const decision = await decideRemoval(placement, replica, { first: 'only-others', actor: ACTOR, signal })
  if (decision.do !== 'remove') {
    await enqueueNextSteps(placement.db, placement, objectId)
    return
  }
  if (!(await turnToEvicting(placement, object, replica, decision))) return
  await giveUp(placement, object, replicas, replica, decision)
}

/**
 * An eviction that was cut short, by a kill or in a snapshot of the ledger from before its end: what stood
 * for the bytes then is looked at again. Where nothing does, they stay: in a bucket under a fresh key, for
 * their deletion may be on its way to the old one.
 */
async function resume(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  replica: Replica,
  signal: AbortSignal | undefined,
): Promise<void> {
  const decision = await decideRemoval(placement, replica, { first: 'others', actor: ACTOR, signal })
  if (decision.do !== 'remove' && (replica.leaseLeftMs ?? 0) > 0)
    throw new RetryLater(`a copy at ${replica.locationId} is being given up`, replica.leaseLeftMs ?? 0)
  if (decision.do === 'remove') {
    await turnAgain(placement, replica, decision)
    return giveUp(placement, object, replicas, replica, decision)
  }
  const isPut =
    decision.do === 'keep' &&
    (await putAnew(placement, object, replica, { actor: ACTOR, signal })) !== 'not-now'
  if (!isPut) await stayWhereItLies(placement, replica, decision)
  placement.log.warn(
    { objectId: object.id, location: replica.locationId },
    'a copy that was being given up stays: nothing else stands for it now',
  )
}

/**
 * As `turnToEvicting`, of a replica that was turned before: while this process looked, somebody else may have
 * kept the bytes, or found out about those that stand for them. @throws RetryLater
 */
async function turnAgain(placement: Placement, replica: Replica, decision: Leave): Promise<void> {
  const leaseMs = placement.settings.writeLeaseMs * 2
  const isTurned = await placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, replica.objectId)
    if (!now || now.object.state === 'purging') return false
    if (!areStillVerified(decision.confirmed, now.replicas)) return false
    return renewEviction(tx, replica, { decision, actor: ACTOR, leaseMs })
  })
  if (!isTurned)
    throw new RetryLater(`the copies of ${replica.objectId} changed while they were looked at`, 1_000)
}

/**
 * @throws RetryLater where somebody else has taken the eviction up meanwhile, and may be removing the bytes
 */
async function stayWhereItLies(
  placement: Placement,
  replica: Replica,
  decision: Exclude<Decision, { do: 'remove' }>,
): Promise<void> {
  const { objectId, locationId, key } = replica
  await placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, objectId)
    const here = now?.replicas.find((one) => one.locationId === locationId && one.key === key)
    const leftMs = here?.state === 'evicting' ? (here.leaseLeftMs ?? 0) : 0
    if (leftMs > 0) throw new RetryLater(`a copy at ${locationId} is being given up`, leftMs)
    if (decision.do === 'keep') {
      const { level, proof } = decision.check
      await keepReplica(tx, replica, { level, proof, actor: ACTOR })
    } else {
      await doubtReplica(tx, replica, ACTOR)
    }
    await enqueueNextSteps(tx, placement, objectId)
  })
}

async function giveUp(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  replica: Replica,
  leave: Leave,
): Promise<void> {
  const turnedAt = placement.clock()
  await keepInCache(placement, object, replica)
  // Before the time is looked at, for it may ask the place.
  await confirmLocation(placement, locationOf(placement, replica.locationId))
  // After a pause (a stopped process, a machine that slept) somebody else may have taken this up, and kept
  // the bytes.
  if (longestBetween(turnedAt, placement.clock()) > placement.settings.writeLeaseMs)
    throw new RetryLater('giving up a copy took too long to be safe', placement.settings.writeLeaseMs)
  await removeCandidate(placement, replica, leave)
  await forgetAndEnqueueNext(placement, object, replicas, replica)
}

/**
 * The next steps are left out where, by all that is known, nothing follows; should that be old news, the
 * sweep enqueues them.
 */
async function forgetAndEnqueueNext(
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
    await enqueueNextSteps(tx, placement, object.id)
  })
}

function isUnwanted(placement: Placement, object: StoredObject, locationId: string): boolean {
  if (wantedPlaces(object, placement).includes(locationId)) return false
  return placement.settings.deleteLocalAfterUpload || locationId !== placement.local.id
}

async function turnToEvicting(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  decision: Leave,
): Promise<boolean> {
  return placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, object.id)
    if (!now || now.object.state === 'purging') return false
    // A campaign that is rolled back may have put it back here while the others were looked at.
    if (replica.state === 'verified' && !isUnwanted(placement, now.object, replica.locationId)) {
      await enqueueNextSteps(tx, placement, object.id)
      return false
    }
    if (await isLeased(tx, placement, object.id, replica.locationId)) return false
    const others = now.replicas.filter(
      (other) =>
        other.state === 'verified' &&
        decision.confirmed.some(
          // Of two buckets, one of which was copied key by key, one may be right and the other not.
          (seen) => seen.key === other.key && seen.locationId === other.locationId,
        ),
    )
    const required = requiredCopies(placement, object, replica)
    if (!mayEvict(now.object.state, others.length, required)) return false
    const holdOverAt =
      Math.max(...others.map((other) => other.verifiedAt?.getTime() ?? 0)) + placement.settings.holdMs
    const holdLeftMs = holdOverAt - placement.now().getTime()
    if (replica.state === 'verified' && holdLeftMs > 0)
      throw new RetryLater('the hold is not over', holdLeftMs)
    const leaseMs = placement.settings.writeLeaseMs * 2
    return beginEviction(tx, replica, { decision, actor: ACTOR, leaseMs })
  })
}
