/**
 * What a changed `storage.locations` asks: whether the files that are there already are to move. Derived from
 * the rows of `home` and `campaign` alone, at the start, at a reload and by the sweep: whatever is cut short
 * or fails in between, the question comes back.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { isAppError } from '../../errors.ts'
import { endHeld, type HeldChange, heldChanges } from '../ledger/belonging-rows.ts'
import { applyDrains } from '../locations/drains.ts'
import type { Placement } from '../placement.ts'
import { requirePossible } from './actions.ts'
import { type CampaignPlan, insertCampaign } from './campaign-rows.ts'
import { afterAction, type Phase } from './phases.ts'

const LIMITS = { bytesPerSecond: null, hours: null, workers: 2, holdHours: 168 }
const EVERYTHING = {
  ownerIds: null,
  albumIds: null,
  olderThanDays: null,
  youngerThanDays: null,
  reverseOf: null,
}
const ACTOR = 'configuration'

/** From where and to where the files of a kind are to move; `since`: the change that asks for it. */
type Way = { kind: ObjectKind; fromIds: string[]; toIds: string[]; since: Date }

/** A campaign for a change that was not withdrawn and is not done. */
type Proposed = {
  id: string
  kinds: ObjectKind[]
  fromIds: string[]
  toIds: string[]
  phase: Phase
  createdAt: Date
}

/**
 * For each change of `storage.locations` that waits for an answer and has no campaign, one campaign, of all
 * kinds that change alike. Proposals for another change that nobody has taken up are withdrawn. What somebody
 * has cancelled or rolled back is not proposed again, as long as it is the same change. Asked again, it
 * changes nothing.
 */
export async function proposeCampaigns(placement: Placement): Promise<void> {
  if (!placement.settings.campaigns) return
  const { db, log } = placement
  const { plans, isChanged, refused } = await db.transaction().execute(async (tx) => {
    // Of two processes that start at a time the second one finds what the first one has proposed.
    await sql`select pg_advisory_xact_lock(hashtextextended('propose campaigns', 0))`.execute(tx)
    const proposed = await proposedCampaigns(tx)
    const held = waysOf(placement, await heldChanges(tx))
    const withdrawn = await withdraw(tx, proposed, held)
    const standing = proposed.filter(({ id }) => !withdrawn.has(id))
    const unanswered = held.filter((way) => !standing.some((one) => answers(one, way)))
    // Where nothing is there yet, nothing has to be asked.
    const ended = await endHeld(
      tx,
      unanswered.map(({ kind }) => kind),
    )
    const plans: (CampaignPlan & { id: string })[] = []
    const refused: { kinds: readonly string[]; error: string }[] = []
    for (const plan of plansOf(unanswered.filter(({ kind }) => !ended.includes(kind))))
      try {
        requirePossible(placement, plan)
        const id = randomUUID()
        await insertCampaign(tx, id, plan, { actor: ACTOR, reason: 'configuration' })
        plans.push({ ...plan, id })
      } catch (error) {
        if (!isAppError(error)) throw error
        refused.push({ kinds: plan.kinds, error: error.message })
      }
    return { plans, refused, isChanged: withdrawn.size + ended.length + plans.length > 0 }
  })
  for (const { id, kinds, fromIds, toIds } of plans)
    log.warn(
      { campaign: id, kinds, from: fromIds, to: toIds },
      'storage.locations has changed: what is there already stays until somebody agrees to the campaign',
    )
  for (const one of refused) log.error(one, 'no campaign can be proposed for storage.locations')
  if (!isChanged) return
  await applyDrains(placement)
  await publish(db, { type: 'storage-changed' })
}

async function proposedCampaigns(tx: Queryable): Promise<Proposed[]> {
  const { rows } = await sql<Proposed>`
    select id, kinds, from_ids as "fromIds", to_ids as "toIds", phase, created_at as "createdAt" from campaign
    where reason = 'configuration' and not is_withdrawn and phase <> 'done'
    order by id for update`.execute(tx)
  return rows
}

/** What can't leave, or is not there any more, is left out: then files get a copy at the new place. */
function waysOf({ settings, local, locations }: Placement, changes: readonly HeldChange[]): Way[] {
  const mayLeave = (id: string) => {
    const location = locations.get(id)
    return (
      location !== undefined &&
      !location.isReadOnly &&
      (location !== local || settings.deleteLocalAfterUpload)
    )
  }
  return changes.map(({ kind, before, now, since }) => ({
    ...{ kind, since, toIds: now },
    fromIds: before.filter((id) => !now.includes(id) && mayLeave(id)),
  }))
}

/** @returns the ids */
async function withdraw(
  tx: Queryable,
  proposed: readonly Proposed[],
  held: readonly Way[],
): Promise<Set<string>> {
  const ids = proposed
    .filter((one) => afterAction(one.phase, 'cancel') !== null)
    .filter(
      ({ kinds, ...way }) =>
        !kinds.every((kind) => held.some((one) => one.kind === kind && isSame(one, way))),
    )
    .map(({ id }) => id)
  if (ids.length > 0)
    await sql`update campaign set phase = 'cancelled', phase_since = now(), is_withdrawn = true
      where id = any(${ids}::uuid[])`.execute(tx)
  return new Set(ids)
}

/** Whether the campaign asks this, or is under way, or somebody has said no to exactly this. */
function answers({ kinds, phase, createdAt, ...campaign }: Proposed, way: Way): boolean {
  if (!kinds.includes(way.kind)) return false
  const isOver = phase === 'cancelled' || phase === 'rolled-back'
  return !isOver || (createdAt >= way.since && isSame(campaign, way))
}

type Ends = Pick<Way, 'fromIds' | 'toIds'>
function isSame(one: Ends, other: Ends): boolean {
  return JSON.stringify([one.fromIds, one.toIds]) === JSON.stringify([other.fromIds, other.toIds])
}

/** Those of the same way together. */
function plansOf(ways: readonly Way[]): CampaignPlan[] {
  const plans: (CampaignPlan & { kinds: ObjectKind[] })[] = []
  for (const { kind, fromIds, toIds } of ways) {
    const plan = plans.find((one) =>
      isSame({ fromIds: [...one.fromIds], toIds: [...one.toIds] }, { fromIds, toIds }),
    )
    if (plan) plan.kinds.push(kind)
    else plans.push({ ...EVERYTHING, ...LIMITS, kinds: [kind], fromIds, toIds })
  }
  return plans
}
