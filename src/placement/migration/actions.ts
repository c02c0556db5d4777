/** What an administrator asks of campaigns. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { AppError } from '../../errors.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { whyReadOnly } from '../location.ts'
import { requireLocation } from '../locations/locations.ts'
import { KINDS_WITHOUT_CAMPAIGNS, OBJECT_KINDS } from '../object-kinds.ts'
import type { Placement } from '../placement.ts'
import {
  type Campaign,
  type CampaignPlan,
  campaignsIn,
  insertCampaign,
  type Limits,
  limitColumns,
  lockCampaign,
  setPhase,
} from './campaign-rows.ts'
import { actionsIn, afterAction, isRunning, type PhaseAction, RUNNING } from './phases.ts'

/**
 * Proposes a campaign; nothing is looked at or moved yet. @returns its id
 * @throws AppError invalid or conflict, which names the field and the remedy
 */
export async function proposeCampaign(
  placement: Placement,
  plan: CampaignPlan,
  { actor, reason }: Pick<Campaign, 'actor' | 'reason'>,
): Promise<string> {
  requirePossible(placement, plan)
  const id = randomUUID()
  await placement.db.transaction().execute((tx) => insertCampaign(tx, id, plan, { actor, reason }))
  await publish(placement.db, { type: 'storage-changed' })
  return id
}

/** @throws AppError */
export function requirePossible(placement: Placement, plan: CampaignPlan): void {
  requireCampaigns(placement)
  const { fromIds, toIds, kinds } = plan
  if (toIds.length === 0) throw new AppError('invalid', 'to: name at least one location')
  const both = fromIds.find((id) => toIds.includes(id))
  if (both !== undefined)
    throw new AppError(
      'invalid',
      `from, to: ${both} is in both; name it in "to" alone if copies are to stay there`,
    )
  const stays = kinds.find((kind) => KINDS_WITHOUT_CAMPAIGNS.includes(kind))
  if (stays !== undefined)
    throw new AppError(
      'invalid',
      `kinds: ${OBJECT_KINDS[stays].configKey} lie where storage.locations says, and are not moved by campaigns`,
    )
  for (const id of [...fromIds, ...toIds]) requireLocation(placement, id)
  for (const id of toIds) {
    const location = requireLocation(placement, id)
    if (location.isReadOnly)
      throw new AppError(
        'conflict',
        `to: nothing can be written there: ${location.label} ${whyReadOnly(location)}`,
      )
    if (placement.belonging.drained.includes(id))
      throw new AppError(
        'conflict',
        `to: ${id} is being drained; cancel that first: npx glassine storage drain ${id} --cancel`,
      )
  }
  for (const id of fromIds) {
    const location = requireLocation(placement, id)
    if (location.isReadOnly)
      throw new AppError('conflict', `from: nothing can leave it: ${location.label} ${whyReadOnly(location)}`)
    if (location === placement.local && !placement.settings.deleteLocalAfterUpload)
      throw new AppError(
        'conflict',
        'from: files stay on the media volume by storage.upload.deleteLocalAfterUpload: false; set it to true, or name no "from" to copy only',
      )
  }
}

function requireCampaigns({ settings }: Placement): void {
  if (!settings.campaigns)
    throw new AppError(
      'conflict',
      'campaigns are switched off: set storage.campaigns to true, and run "npx glassine storage reload"',
    )
}

/**
 * Goes on with the next step. Asked again while it runs, it changes nothing.
 * @throws AppError conflict, with what can be asked for now
 */
export async function actOnCampaign(placement: Placement, id: string, action: PhaseAction): Promise<void> {
  requireCampaigns(placement)
  await placement.db.transaction().execute(async (tx) => {
    const campaign = await lockCampaign(tx, id)
    const next = afterAction(campaign.phase, action)
    if (next === null) {
      const possible = actionsIn(campaign.phase)
      throw new AppError(
        'conflict',
        `"${action}" is not possible while the campaign is "${campaign.phase}"; possible now: ${possible.length === 0 ? 'nothing' : possible.join(', ')}`,
      )
    }
    if (action === 'reclaim') await requireHoldIsOver(tx, campaign)
    if (action === 'check') await tx.deleteFrom('campaign_object').where('campaign_id', '=', id).execute()
    if (action === 'retry') await tryAgain(tx, campaign)
    // What could not be given up is looked at once more.
    if (action === 'reclaim' || action === 'roll-back')
      await sql`update campaign_object set state = 'held', cause = null, error = null
        where campaign_id = ${id}::uuid and state = 'kept'`.execute(tx)
    // A hold or a lock that reclaim waits for is none for the way back.
    if (action === 'roll-back') await forgetWaits(tx, id)
    await setPhase(tx, campaign, next)
    await tx.updateTable('campaign').set({ paused_at: null, paused_why: null }).where('id', '=', id).execute()
    if (isRunning(next)) await enqueueWorkers(tx, campaign)
  })
  await publish(placement.db, { type: 'storage-changed' })
}

async function requireHoldIsOver(tx: Tx, { id }: Campaign): Promise<void> {
  const { rows } = await sql<{ until: Date }>`
    select hold_until as until from campaign where id = ${id}::uuid and hold_until > now()`.execute(tx)
  if (rows[0])
    throw new AppError(
      'conflict',
      `both copies are kept until ${rows[0].until.toISOString()} (holdHours); roll back until then, or wait`,
    )
}

async function tryAgain(tx: Tx, { id }: Campaign): Promise<void> {
  const { numAffectedRows } = await sql`
    update campaign_object set state = 'pending', cause = null, error = null, attempts = 0, not_before = null
    where campaign_id = ${id}::uuid and state in ('failed', 'unfit')`.execute(tx)
  if (numAffectedRows === 0n) throw new AppError('conflict', 'nothing has failed in this campaign')
}

/** What is under way at this moment is ended; nothing else is begun. */
export async function pauseCampaign(placement: Placement, id: string): Promise<void> {
  await changeRunning(placement, id, async (tx) => {
    await sql`update campaign set paused_at = coalesce(paused_at, now()), paused_why = null
      where id = ${id}::uuid`.execute(tx)
  })
}

export async function resumeCampaign(placement: Placement, id: string): Promise<void> {
  requireCampaigns(placement)
  await changeRunning(placement, id, async (tx, campaign) => {
    await tx
      .updateTable('campaign')
      .set({ paused_at: null, paused_why: null, failures_in_a_row: 0 })
      .where('id', '=', id)
      .execute()
    await forgetWaits(tx, id)
    await enqueueWorkers(tx, campaign)
  })
}

async function forgetWaits(tx: Tx, id: string): Promise<void> {
  await sql`update campaign_object set not_before = null
    where campaign_id = ${id}::uuid and not_before is not null`.execute(tx)
}

/** Holds from the next object on. */
export async function limitCampaign(placement: Placement, id: string, limits: Limits): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    const campaign = await lockCampaign(tx, id)
    await tx.updateTable('campaign').set(limitColumns(limits)).where('id', '=', id).execute()
    if (isRunning(campaign.phase) && campaign.pausedAt === null)
      await enqueueWorkers(tx, { ...campaign, ...limits })
  })
  await publish(placement.db, { type: 'storage-changed' })
}

/**
 * Until reclaim has given up the old copies: back to them. What was reclaimed comes back by a campaign in the
 * other direction, which is proposed here. @returns its id; null: there is nothing to bring back like that
 */
export async function rollBackCampaign(
  placement: Placement,
  id: string,
  actor: string,
): Promise<{ reverseId: string | null }> {
  const campaign = await placement.db.transaction().execute((tx) => lockCampaign(tx, id))
  if (afterAction(campaign.phase, 'roll-back') !== null) await actOnCampaign(placement, id, 'roll-back')
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from campaign_object
    where campaign_id = ${id}::uuid and state = 'reclaimed'`.execute(placement.db)
  if (rows[0]!.count === 0) {
    if (afterAction(campaign.phase, 'roll-back') === null) await actOnCampaign(placement, id, 'roll-back')
    return { reverseId: null }
  }
  const known = await placement.db
    .selectFrom('campaign')
    .select('id')
    .where('reverse_of', '=', id)
    .where('phase', 'not in', ['cancelled', 'rolled-back'])
    .executeTakeFirst()
  if (known) return { reverseId: known.id }
  const plan = {
    ...campaign,
    fromIds: campaign.toIds,
    toIds: campaign.fromIds,
    olderThanDays: null,
    youngerThanDays: null,
    albumIds: null,
    reverseOf: id,
  }
  return { reverseId: await proposeCampaign(placement, plan, { actor, reason: 'rollback' }) }
}

async function changeRunning(
  placement: Placement,
  id: string,
  change: (tx: Tx, campaign: Campaign) => Promise<void>,
): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    const campaign = await lockCampaign(tx, id)
    if (!isRunning(campaign.phase))
      throw new AppError('conflict', `nothing runs: the campaign is "${campaign.phase}"`)
    await change(tx, campaign)
  })
  await publish(placement.db, { type: 'storage-changed' })
}

async function enqueueWorkers(
  tx: Queryable,
  { id, workers }: Pick<Campaign, 'id' | 'workers'>,
): Promise<void> {
  for (let worker = 0; worker < workers; worker++)
    await enqueue(tx, 'run-campaign', { campaignId: id, worker })
}

/** The workers of campaigns that run, where there are none: after a restored backup, say. */
export async function enqueueCampaigns(placement: Placement): Promise<number> {
  if (!placement.settings.campaigns) return 0
  const running = await campaignsIn(placement.db, RUNNING)
  for (const { id, workers } of running) {
    for (let worker = 0; worker < workers; worker++)
      await enqueue(placement.db, 'run-campaign', { campaignId: id, worker }, { onlyIfNone: true })
  }
  return running.length
}
