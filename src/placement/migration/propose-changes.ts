import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { isAppError } from '../../errors.ts'
import { type ConfiguredChange, endHeld } from '../ledger/belonging-rows.ts'
import { applyDrains } from '../locations/drains.ts'
import type { Placement } from '../placement.ts'
import { proposeCampaign } from './actions.ts'
import type { CampaignPlan } from './campaign-rows.ts'

const LIMITS = { bytesPerSecond: null, hours: null, workers: 2, holdHours: 168 }
const EVERYTHING = {
  ownerIds: null,
  albumIds: null,
  olderThanDays: null,
  youngerThanDays: null,
  reverseOf: null,
}

/**
 * For each change of `storage.locations` that waits for an answer, one campaign, of all kinds that change
 * alike. Proposals for an earlier change that nobody has taken up are withdrawn.
 */
export async function proposeCampaigns(
  placement: Placement,
  changes: readonly ConfiguredChange[],
): Promise<void> {
  if (changes.length === 0) return
  const { db, log } = placement
  const kinds = changes.map(({ kind }) => kind)
  await sql`update campaign set phase = 'cancelled', phase_since = now()
    where reason = 'configuration' and phase in ('proposed', 'checked', 'rehearsed')
      and kinds && ${kinds}::text[]`.execute(db)
  // Where nothing is there yet, nothing has to be asked.
  await endHeld(db, kinds)
  const { rows } = await sql<{ kind: ObjectKind }>`
    select kind from home where held_ids is not null and kind = any(${kinds}::text[])`.execute(db)
  await applyDrains(placement)
  const asked = changes.filter(({ kind }) => rows.some((row) => row.kind === kind))
  for (const plan of plansOf(asked)) {
    try {
      const id = await proposeCampaign(placement, plan, { actor: 'configuration', reason: 'configuration' })
      log.warn(
        { campaign: id, kinds: plan.kinds, from: plan.fromIds, to: plan.toIds },
        'storage.locations has changed: what is there already stays until somebody agrees to the campaign',
      )
    } catch (error) {
      if (!isAppError(error)) throw error
      log.error(
        { kinds: plan.kinds, error: error.message },
        'no campaign can be proposed for storage.locations',
      )
    }
  }
}

/** Those of the same way together. */
export function plansOf(changes: readonly ConfiguredChange[]): CampaignPlan[] {
  const byWay = new Map<string, CampaignPlan & { kinds: ObjectKind[] }>()
  for (const { kind, before, now } of changes) {
    const fromIds = before.filter((id) => !now.includes(id))
    const way = JSON.stringify([fromIds, now])
    const plan = byWay.get(way) ?? { ...EVERYTHING, ...LIMITS, kinds: [], fromIds, toIds: now }
    // Backups and the catalogue go by the configuration alone.
    if (kind !== 'database-backup' && kind !== 'catalogue') plan.kinds.push(kind)
    byWay.set(way, plan)
  }
  return [...byWay.values()].filter(({ kinds }) => kinds.length > 0)
}
