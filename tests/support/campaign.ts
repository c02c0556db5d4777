/** Campaigns in tests: one after another, without a queue. */
import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { actOnCampaign, proposeCampaign } from '../../src/placement/migration/actions.ts'
import { type CampaignPlan, loadCampaign } from '../../src/placement/migration/campaign-rows.ts'
import type { PhaseAction } from '../../src/placement/migration/phases.ts'
import { runCampaign } from '../../src/placement/migration/run-campaign.ts'
import type { Reach } from '../../src/placement/migration/selection.ts'
import type { Placement } from '../../src/placement/placement.ts'
import { RetryLater } from '../../src/queue/retry-later.ts'

export const EVERYBODY: Reach = { ownerIds: null, isInAlbums: () => sql<boolean>`false` }

export const PLAN: CampaignPlan = {
  kinds: ['original'],
  ownerIds: null,
  albumIds: null,
  olderThanDays: null,
  youngerThanDays: null,
  reverseOf: null,
  fromIds: ['a'],
  toIds: ['b'],
  bytesPerSecond: null,
  hours: null,
  workers: 1,
  holdHours: 0,
}

export function propose(placement: Placement, plan: Partial<CampaignPlan> = {}): Promise<string> {
  return proposeCampaign(placement, { ...PLAN, ...plan }, { actor: 'test', reason: 'asked' })
}

/** Works until nothing is left to do now. @returns the phase it is in then */
export async function work(placement: Placement, campaignId: string, worker = 0): Promise<string> {
  await runCampaign(placement, { campaignId, worker }, EVERYBODY).catch((error: unknown) => {
    if (!(error instanceof RetryLater)) throw error
  })
  return (await loadCampaign(placement.db, campaignId)).phase
}

export async function ask(placement: Placement, id: string, action: PhaseAction): Promise<string> {
  await actOnCampaign(placement, id, action)
  return work(placement, id)
}

/** Looked at, rehearsed and copied. */
export async function upToHold(placement: Placement, plan: Partial<CampaignPlan> = {}): Promise<string> {
  const id = await propose(placement, plan)
  assert.equal(await ask(placement, id, 'check'), 'checked')
  assert.equal(await ask(placement, id, 'rehearse'), 'rehearsed')
  assert.equal(await ask(placement, id, 'start'), 'holding')
  return id
}

/** The states of its objects, and why, by their ids. */
export async function journal(placement: Placement, id: string): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; state: string }>`
    select object_id as id, concat_ws(' ', state, cause, case when state in ('moving', 'pending', 'reclaiming', 'returning') then error end) as state from campaign_object
    where campaign_id = ${id}::uuid`.execute(placement.db)
  return new Map(rows.map(({ id, state }) => [id, state]))
}
