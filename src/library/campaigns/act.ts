/** The words that people have for what a campaign is to do. */
import {
  actOnCampaign,
  pauseCampaign,
  resumeCampaign,
  rollBackCampaign,
} from '../../placement/migration/actions.ts'
import type { Placement } from '../../placement/placement.ts'

export const CAMPAIGN_ACTIONS = [
  ...(['check', 'rehearse', 'start', 'retry', 'reclaim', 'rollback'] as const),
  ...(['pause', 'resume', 'cancel'] as const),
] as const
export type CampaignAction = (typeof CAMPAIGN_ACTIONS)[number]

/**
 * @returns the campaign in the other direction, where a rollback has proposed one; else null
 * @throws AppError conflict, with what can be asked for now
 */
export async function askCampaign(
  placement: Placement,
  id: string,
  action: CampaignAction,
  actor: string,
): Promise<string | null> {
  if (action === 'rollback') return (await rollBackCampaign(placement, id, actor)).reverseId
  if (action === 'pause') await pauseCampaign(placement, id)
  else if (action === 'resume') await resumeCampaign(placement, id)
  else await actOnCampaign(placement, id, action)
  return null
}
