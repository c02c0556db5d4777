/** A campaign brings an original back from the bucket: each of its steps, cut anywhere. */
import assert from 'node:assert/strict'
import { sql } from 'kysely'
import {
  actOnCampaign,
  proposeCampaign,
  rollBackCampaign,
} from '../../../../src/placement/migration/actions.ts'
import { loadCampaign } from '../../../../src/placement/migration/campaign-rows.ts'
import type { Phase, PhaseAction } from '../../../../src/placement/migration/phases.ts'
import { PLAN } from '../../../support/campaign.ts'
import type { Around, Given, Scenario } from '../scenario.ts'
import { BUCKET } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { acknowledgedObject, SMALL_BYTES, settle } from './files.ts'

const ACTOR = 'test'

/** `before`: asked and done before the step that is cut. */
function campaignStep(
  name: string,
  before: readonly PhaseAction[],
  step: PhaseAction,
  end: { phase: Phase; state: string },
): Scenario {
  return {
    name,
    role: 'worker',
    options: { campaigns: true },
    async prepare(around) {
      const { placement } = around.site
      await acknowledgedObject(around, SMALL_BYTES)
      await settle(around)
      const plan = { ...PLAN, fromIds: [BUCKET], toIds: ['local'] }
      const campaign = await proposeCampaign(placement, plan, { actor: ACTOR, reason: 'asked' })
      for (const action of before) {
        await actOnCampaign(placement, campaign, action)
        await settle(around)
      }
      return { campaign }
    },
    async run(site, { given, mediaTools }) {
      const id = given.campaign!
      if (step === 'roll-back') await rollBackCampaign(site.placement, id, ACTOR)
      else await actOnCampaign(site.placement, id, step)
      await workOffWell(site, mediaTools, { isTimeOver: true })
    },
    // Whoever asked and got no answer looks how it stands, and asks again where nothing has begun.
    async again(around, given) {
      const { placement } = around.site
      if ((await phaseOf(around, given)) === end.phase) return
      await actOnCampaign(placement, given.campaign!, step)
      await settle(around)
    },
    async check(around, given) {
      assert.equal(await phaseOf(around, given), end.phase)
      const { rows } = await sql<{ state: string }>`select state from campaign_object`.execute(around.site.db)
      assert.deepEqual(rows, [{ state: end.state }])
    },
  }
}

async function phaseOf({ site }: Around, given: Given): Promise<Phase> {
  return (await loadCampaign(site.db, given.campaign!)).phase
}

export const CAMPAIGNS: Scenario[] = [
  campaignStep('campaign-rehearsal', ['check'], 'rehearse', { phase: 'rehearsed', state: 'pending' }),
  campaignStep('campaign', ['check', 'rehearse'], 'start', { phase: 'holding', state: 'held' }),
  campaignStep('campaign-reclaim', ['check', 'rehearse', 'start'], 'reclaim', {
    phase: 'done',
    state: 'reclaimed',
  }),
  campaignStep('campaign-rollback', ['check', 'rehearse', 'start'], 'roll-back', {
    phase: 'rolled-back',
    state: 'returned',
  }),
]
