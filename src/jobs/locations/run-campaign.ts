import { campaignReach } from '../../library/campaigns/campaign-reach.ts'
import { runCampaign } from '../../placement/migration/run-campaign.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function runCampaignJob({ placement, announceStorage }: JobParts): JobHandlers['run-campaign'] {
  return async (payload, { signal }) => {
    const reach = await campaignReach(placement)
    try {
      await runCampaign(placement, payload, reach, { signal, onProgress: announceStorage })
    } finally {
      await announceStorage()
    }
  }
}
