/**
 * Where an object of a campaign belongs meanwhile: at both places, then at the new one, or as before. Each
 * change is committed together with the journal's, under the object's lock.
 */
import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import { wantedPlaces } from '../belonging.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { LoadedObject } from '../ledger/object-rows.ts'
import type { Replica } from '../ledger/objects.ts'
import { areStillVerified, lockObject } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'
import type { Campaign } from './campaign-rows.ts'
import { candidates, placesOf } from './check-objects.ts'
import { type Claimed, endClaim, requireClaim, turnClaim } from './claims.ts'
import { whyUnfit } from './fitness.ts'
import { placesAfter, placesMeanwhile } from './object-states.ts'

type Change = (tx: Tx, loaded: LoadedObject) => Promise<boolean>

/**
 * Runs the change where the object is live; one that was deleted meanwhile ends its claim. False in that
 * case, and where the change says so. @throws RetryLater where another worker has taken the object over: one
 * that stood still for longer than its lease changes nothing any more
 */
export async function changeLive(placement: Placement, claimed: Claimed, change: Change): Promise<boolean> {
  return placement.db.transaction().execute(async (tx) => {
    const loaded = await lockObject(tx, claimed.objectId)
    await requireClaim(tx, claimed)
    if (loaded?.object.state === 'live') return change(tx, loaded)
    await endClaim(tx, claimed, 'deleted', { assigned: null })
    return false
  })
}

/**
 * From now on it belongs at both. What can't move ends as unfit.
 * @returns the claim as it is now; null: there is nothing to do any more
 */
export async function assignBoth(
  placement: Placement,
  campaign: Campaign,
  claimed: Claimed,
): Promise<Claimed | null> {
  if (claimed.isAssigned) return claimed
  let now: Claimed | null = null
  await changeLive(placement, claimed, async (tx, { object, replicas }) => {
    const candidate = (await candidates(tx, placement, campaign, [object.id])).get(object.id)
    const cause = candidate ? whyUnfit(candidate, campaign, placesOf(placement)) : 'deleted'
    if (cause !== null) {
      await endClaim(tx, claimed, 'refuse', { cause })
      return false
    }
    const belongedAt = [...wantedPlaces(object, placement)]
    const madeIds = campaign.toIds.filter((id) => !replicas.some(({ locationId }) => locationId === id))
    const before = { beforeIds: object.assigned?.to ?? null, beforeAt: object.assigned?.at ?? null }
    await setPlaces(tx, object.id, { to: placesMeanwhile(belongedAt, campaign), readFirst: null })
    await sql`
      update campaign_object set is_assigned = true, before_ids = ${before.beforeIds}::text[],
        before_at = ${before.beforeAt}, belonged_at = ${belongedAt}::text[], made_ids = ${madeIds}::text[]
      where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
        and claim = ${claimed.claim}::uuid`.execute(tx)
    now = {
      ...claimed,
      isAssigned: true,
      ...before,
      beforeIds: before.beforeIds && [...before.beforeIds],
      belongedAt,
      madeIds,
    }
    return true
  })
  return now
}

/**
 * It is read from the new place, and both copies are kept. False where one of the copies that were proven
 * counts no more, or it was deleted.
 */
export async function switchReads(
  placement: Placement,
  campaign: Campaign,
  claimed: Claimed,
  proven: readonly Replica[],
): Promise<boolean> {
  return changeLive(placement, claimed, async (tx, { object, replicas }) => {
    if (!areStillVerified(proven, replicas)) return false
    const to = [...placesAfter(claimed.belongedAt, campaign), ...leaving(claimed, campaign)]
    await setPlaces(tx, object.id, { to, readFirst: campaign.toIds[0] ?? null })
    await endClaim(tx, claimed, 'proven')
    return true
  })
}

/** It belongs at the new place alone: what removes the old copy looks at the new one first. */
export async function assignNew(
  placement: Placement,
  campaign: Campaign,
  claimed: Claimed,
  proven: readonly Replica[],
): Promise<boolean> {
  return changeLive(placement, claimed, async (tx, { object, replicas }) => {
    if (!areStillVerified(proven, replicas)) return false
    await setPlaces(tx, object.id, { to: placesAfter(claimed.belongedAt, campaign), readFirst: null })
    await enqueueNextSteps(tx, placement, object.id)
    return true
  })
}

/**
 * A rollback was asked for: it belongs at both again, and the claim goes on as one that returns. False where
 * an old copy has begun to go, or the object was deleted.
 */
export async function stopReclaiming(
  placement: Placement,
  campaign: Campaign,
  claimed: Claimed,
): Promise<boolean> {
  return changeLive(placement, claimed, async (tx, { object, replicas }) => {
    const isThere = (id: string) =>
      replicas.some(({ locationId, state }) => locationId === id && state === 'verified')
    if (!leaving(claimed, campaign).every(isThere)) return false
    await setPlaces(tx, object.id, { to: placesMeanwhile(claimed.belongedAt, campaign), readFirst: null })
    await turnClaim(tx, claimed, 'return')
    return true
  })
}

/** Both copies are kept after all: one of them is not what it should be. */
export async function keepBoth(
  placement: Placement,
  campaign: Campaign,
  claimed: Claimed,
  why: { cause: string; error: string },
): Promise<void> {
  await changeLive(placement, claimed, async (tx, { object }) => {
    await setPlaces(tx, object.id, { to: placesMeanwhile(claimed.belongedAt, campaign), readFirst: null })
    await endClaim(tx, claimed, 'keep', why)
    // The copy that is missing or wrong is made anew out of the other one.
    await enqueueNextSteps(tx, placement, object.id)
    return true
  })
}

/** As before the campaign: what it has made there goes as all that belongs nowhere does. */
export async function assignAsBefore(
  placement: Placement,
  claimed: Claimed,
  end: { move: 'fail' | 'returned'; cause?: string; error?: string } | { turn: 'return' } | null,
  proven: readonly Replica[] = [],
): Promise<boolean> {
  return changeLive(placement, claimed, async (tx, { object, replicas }) => {
    if (!areStillVerified(proven, replicas)) return false
    if (claimed.isAssigned) {
      const { beforeIds: to, beforeAt: at } = claimed
      await tx
        .updateTable('stored_object')
        .set({ assigned_to: to, assigned_at: at, read_first: null })
        .where('id', '=', object.id)
        .execute()
    }
    if (end !== null && 'turn' in end) await turnClaim(tx, claimed, end.turn)
    else if (end !== null) {
      const { move, cause = null, error = null } = end
      await endClaim(tx, claimed, move, { cause, error, assigned: null })
    }
    await enqueueNextSteps(tx, placement, object.id)
    return true
  })
}

function leaving({ belongedAt }: Claimed, { fromIds, toIds }: Campaign): string[] {
  return belongedAt.filter((id) => fromIds.includes(id) && !toIds.includes(id))
}

async function setPlaces(
  tx: Queryable,
  objectId: string,
  { to, readFirst }: { to: readonly string[]; readFirst: string | null },
): Promise<void> {
  await tx
    .updateTable('stored_object')
    .set({ assigned_to: [...to], assigned_at: sql<Date>`now()`, read_first: readFirst })
    .where('id', '=', objectId)
    .execute()
}
