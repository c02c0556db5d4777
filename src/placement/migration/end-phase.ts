import { sql } from 'kysely'
import { endHeld } from '../ledger/belonging-rows.ts'
import { applyDrains } from '../locations/drains.ts'
import type { Placement } from '../placement.ts'
import { type Campaign, lockCampaign, setPhase } from './campaign-rows.ts'
import { waitingIn } from './claims.ts'
import type { CampaignObjectState } from './object-states.ts'
import { afterEnd } from './phases.ts'

type Work = { from: CampaignObjectState | null; working: CampaignObjectState; onlySamples?: boolean }

/**
 * Ends the phase where nothing of it is left. @returns in how many ms something can be done that has to wait
 * until then; null: the phase has ended, or is another one by now
 */
export async function endPhase(
  placement: Placement,
  { id, phase }: Pick<Campaign, 'id' | 'phase'>,
  work: readonly Work[],
): Promise<number | null> {
  const states = work.flatMap(({ from, working }) => (from === null ? [working] : [from, working]))
  const isEnded = await placement.db.transaction().execute(async (tx) => {
    const campaign = await lockCampaign(tx, id)
    if (campaign.phase !== phase || campaign.pausedAt !== null) return null
    const onlySamples = work.some((one) => one.onlySamples)
    if (states.length > 0) {
      const { count, dueInMs } = await waitingIn(tx, campaign, states, { onlySamples })
      if (count > 0) return dueInMs
    }
    const { rows } = await sql<{ failedSamples: number; kept: number }>`
      select count(*) filter (where state = 'failed' and is_sample)::float8 as "failedSamples",
        count(*) filter (where state = 'kept')::float8 as kept
      from campaign_object where campaign_id = ${id}::uuid`.execute(tx)
    const next = afterEnd(phase, rows[0]!)
    if (next === null) return null
    await setPhase(tx, campaign, next)
    // Everything has gone where the configuration says: nothing has to be asked any more.
    if (next === 'done') await endHeld(tx, campaign.kinds)
    return null
  })
  if (isEnded === null) await applyDrains(placement)
  return isEnded
}
