/** The old copy of a moved object is given up, or the new one: both only after a look at what stays. */
import { loadObject } from '../ledger/replicas.ts'
import { evictReplica } from '../lifecycle/evict.ts'
import { assignAsBefore, assignNew, changeLive, keepBoth, stopReclaiming } from './assignments.ts'
import { endClaim } from './claims.ts'
import { requireGone, type Step } from './move-object.ts'
import { placesAfter } from './object-states.ts'
import { proveCopies } from './prove-copies.ts'

/**
 * Gives up the old copies. What stays is looked at now, here and once more by what removes the bytes; where
 * it is not right, both are kept. @throws RetryLater where a hold, a lock or a lease keeps the old copy
 */
export async function reclaimObject({ placement, campaign, claimed, signal }: Step): Promise<void> {
  const { objectId } = claimed
  const stays = placesAfter(claimed.belongedAt, campaign)
  const { copies, missing } = await proveCopies(placement, objectId, stays, { signal })
  if (missing.length > 0) {
    const { locationId, why } = missing[0]!
    return keepBoth(placement, campaign, claimed, {
      cause: 'new-copy-wrong',
      error: `the copy at ${locationId} is not right: ${why}`,
    })
  }
  if (!(await assignNew(placement, campaign, claimed, copies))) return requireGone(placement, claimed)
  const leaves = campaign.fromIds.filter((id) => !campaign.toIds.includes(id))
  for (const from of leaves) await evictReplica(placement, { objectId, from }, signal)

  const left = (await loadObject(placement.db, objectId))?.replicas ?? []
  const still = left.find(({ locationId }) => leaves.includes(locationId))
  if (still)
    return keepBoth(placement, campaign, claimed, {
      cause: 'not-given-up',
      error: `the copy at ${still.locationId} could not be given up: too few others could be confirmed, or it is in use`,
    })
  await changeLive(placement, claimed, async (tx) => {
    await endClaim(tx, claimed, 'freed')
    return true
  })
}

/**
 * What was about to be reclaimed goes back where that is still possible, and else is reclaimed to the end.
 */
export async function returnOrReclaim(step: Step): Promise<void> {
  const { placement, campaign, claimed } = step
  if (await stopReclaiming(placement, campaign, claimed))
    return returnObject({ ...step, claimed: { ...claimed, state: 'returning' } })
  const loaded = await loadObject(placement.db, claimed.objectId)
  if (loaded?.object.state === 'live') await reclaimObject(step)
}

/**
 * Back to where it belonged. The old copies are looked at first; where one of them is not right, both are
 * kept, and it is made anew out of the new one.
 */
export async function returnObject({ placement, campaign, claimed, signal }: Step): Promise<void> {
  const { objectId, belongedAt, isAssigned } = claimed
  if (!isAssigned) {
    await assignAsBefore(placement, claimed, { move: 'returned' })
    return
  }
  const { copies, missing } = await proveCopies(placement, objectId, belongedAt, { signal })
  if (missing.length > 0) {
    const { locationId, why } = missing[0]!
    return keepBoth(placement, campaign, claimed, {
      cause: 'old-copy-wrong',
      error: `the old copy at ${locationId} is not right: ${why}`,
    })
  }
  if (!(await assignAsBefore(placement, claimed, { move: 'returned' }, copies)))
    await requireGone(placement, claimed)
}
