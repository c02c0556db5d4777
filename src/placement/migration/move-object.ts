/** One object of a campaign: copied, proven, and then read from there; in a rehearsal taken back again. */
import { AppError } from '../../errors.ts'
import { isLeased } from '../ledger/next-steps.ts'
import type { Replica } from '../ledger/objects.ts'
import { loadObject } from '../ledger/replicas.ts'
import { evictReplica } from '../lifecycle/evict.ts'
import { replicateObject } from '../lifecycle/replicate.ts'
import type { Placement } from '../placement.ts'
import { assignAsBefore, assignBoth, switchReads } from './assignments.ts'
import type { Campaign } from './campaign-rows.ts'
import { type Claimed, endClaim, turnClaim } from './claims.ts'
import { proveCopies } from './prove-copies.ts'

/** A copy that is found wrong is made anew so many times. */
const ROUNDS = 3

export type Step = {
  placement: Placement
  campaign: Campaign
  claimed: Claimed
  signal?: AbortSignal | undefined
}
/** `bytes`: put to the new place. */
export type Moved = { bytes: number }

/** @throws RetryLater where it has to wait; StorageError or AppError where it fails */
export async function moveObject({ placement, campaign, claimed, signal }: Step): Promise<Moved> {
  const ours = await assignBoth(placement, campaign, claimed)
  if (ours === null) return { bytes: 0 }
  const { copies, bytes } = await copyAndProve({ placement, campaign, claimed: ours, signal })
  if (!(await isAllThere(placement, ours))) return { bytes }
  if (!(await switchReads(placement, campaign, ours, copies))) await requireGone(placement, ours)
  return { bytes }
}

/**
 * As `moveObject` up to the proof; then the old copy is proven, and what was made is given up. Where that has
 * to wait for the end of a hold, a lock or a lease, the job that evicts sees to it.
 */
export async function rehearseObject(step: Step): Promise<Moved> {
  const { placement, campaign, claimed } = step
  if (claimed.state === 'returning') {
    await takeBack(step)
    return { bytes: 0 }
  }
  const ours = await assignBoth(placement, campaign, claimed)
  if (ours === null) return { bytes: 0 }
  const { bytes } = await copyAndProve({ ...step, claimed: ours })
  if (!(await isAllThere(placement, ours))) return { bytes }
  await turnClaim(placement.db, ours, 'return')
  await takeBack({ ...step, claimed: ours })
  return { bytes }
}

async function takeBack({ placement, campaign, claimed, signal }: Step): Promise<void> {
  const stays = claimed.belongedAt.filter((id) => !claimed.madeIds.includes(id))
  const { copies, missing } = await proveCopies(placement, claimed.objectId, stays, { signal })
  if (missing.length > 0)
    throw new AppError(
      'corrupt',
      `the old copy at ${missing[0]!.locationId} is not right: ${missing[0]!.why}`,
    )
  if (!(await assignAsBefore(placement, claimed, null, copies))) return requireGone(placement, claimed)
  for (const from of claimed.madeIds) {
    if (placement.settings.holdMs > 0 || (await isLeased(placement.db, placement, claimed.objectId, from)))
      continue
    await evictReplica(placement, { objectId: claimed.objectId, from }, signal)
  }
  await endClaim(placement.db, claimed, 'rehearsed', { assigned: null, isRehearsed: true })
  placement.log.debug({ campaign: campaign.id, objectId: claimed.objectId }, 'a move was rehearsed')
}

/** What lies there already counts for nothing before it was looked at; what is wrong is made anew. */
async function copyAndProve({
  placement,
  campaign,
  claimed,
  signal,
}: Step): Promise<{ copies: Replica[]; bytes: number }> {
  const { objectId, size } = claimed
  const bytesPerSecond =
    campaign.bytesPerSecond === null
      ? null
      : Math.max(1, Math.floor(campaign.bytesPerSecond / campaign.workers))
  let bytes = 0
  let why = ''
  for (let round = 0; round < ROUNDS; round++) {
    for (const to of campaign.toIds) {
      const before = await keyAt(placement, objectId, to)
      await replicateObject(placement, { objectId, to, bytesPerSecond }, signal)
      if ((await keyAt(placement, objectId, to)) !== before) bytes += size
    }
    const proven = await proveCopies(placement, objectId, campaign.toIds, {
      since: claimed.claimedAt,
      signal,
    })
    if (proven.missing.length === 0) return { copies: proven.copies, bytes }
    const { locationId, why: reason } = proven.missing[0]!
    why = `${locationId}: ${reason}`
    if (!(await isAllThere(placement, claimed))) return { copies: [], bytes }
  }
  throw new AppError('corrupt', `the copy can't be proven at ${why}`)
}

async function keyAt({ db }: Placement, objectId: string, locationId: string): Promise<string | null> {
  const loaded = await loadObject(db, objectId)
  return loaded?.replicas.find((one) => one.locationId === locationId)?.key ?? null
}

/** False, and the claim is ended, where the object was deleted meanwhile. */
async function isAllThere(placement: Placement, claimed: Claimed): Promise<boolean> {
  const loaded = await loadObject(placement.db, claimed.objectId)
  if (loaded?.object.state === 'live') return true
  await endClaim(placement.db, claimed, 'deleted', { assigned: null })
  return false
}

/** A change was not made: the object is gone, which has ended the claim, or a copy was found bad just now. */
export async function requireGone(placement: Placement, { objectId }: Claimed): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  if (loaded?.object.state === 'live')
    throw new AppError('unavailable', `the copies of ${objectId} changed while they were looked at`)
}
