/** The dry run: every object of a campaign is looked at in the ledger, and nothing is written elsewhere. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { belongingSql } from '../ledger/belonging-rows.ts'
import type { Placement } from '../placement.ts'
import type { Campaign } from './campaign-rows.ts'
import { type Candidate, type Places, whyUnfit } from './fitness.ts'

const BATCH = 500

/** Looks at the next ones. @returns false: all were looked at */
export async function checkNext(
  placement: Placement,
  campaign: Campaign,
): Promise<{ isMore: boolean; checkedTo: string | null }> {
  const { db } = placement
  const { rows: batch } = await sql<{ objectId: string }>`
    select object_id as "objectId" from campaign_object
    where campaign_id = ${campaign.id}::uuid
      and object_id > ${campaign.checkedTo ?? '00000000-0000-0000-0000-000000000000'}::uuid
    order by object_id limit ${BATCH}`.execute(db)
  const ids = batch.map(({ objectId }) => objectId)
  const checkedTo = ids.at(-1) ?? campaign.checkedTo
  if (ids.length > 0) {
    const found = await candidates(db, placement, campaign, ids)
    const unfit = ids.flatMap((id) => {
      const candidate = found.get(id)
      const cause = candidate ? whyUnfit(candidate, campaign, placesOf(placement)) : 'deleted'
      return cause === null ? [] : [{ id, cause }]
    })
    await sql`
      with unfit as (select id, cause from jsonb_to_recordset(${JSON.stringify(unfit)}::jsonb) as one (id uuid, cause text)),
      noted as (
        update campaign_object c set state = case when unfit.cause = 'deleted' then 'gone' else 'unfit' end, cause = unfit.cause
        from unfit where c.campaign_id = ${campaign.id}::uuid and c.object_id = unfit.id and c.state = 'pending')
      update campaign set checked_to = ${checkedTo}::uuid where id = ${campaign.id}::uuid`.execute(db)
  }
  return { isMore: ids.length === BATCH, checkedTo }
}

/** What the ledger knows of these objects now; without those that are gone. */
export async function candidates(
  db: Queryable,
  placement: Placement,
  campaign: Pick<Campaign, 'id'>,
  ids: readonly string[],
): Promise<Map<string, Candidate>> {
  const { rows } = await sql<Candidate & { id: string }>`
    select o.id, o.state = 'live' as "isLive", o.kind, o.size::float8 as size, belongs.wanted,
      coalesce((select jsonb_agg(jsonb_build_object('locationId', r.location_id, 'state', r.state,
          'storageClass', r.storage_class, 'isRestored', coalesce(a.available_until > now(), false)))
        from replica r left join replica_restore a using (object_id, location_id)
        where r.object_id = o.id), '[]') as replicas,
      exists (select from campaign_object c where c.object_id = o.id and c.campaign_id <> ${campaign.id}::uuid
        and c.state in ('moving', 'held', 'reclaiming', 'returning', 'kept')) as "isTaken"
    from stored_object o ${belongingSql(placement)}
    where o.id = any(${[...ids]}::uuid[])`.execute(db)
  return new Map(rows.map(({ id, ...candidate }) => [id, candidate]))
}

export function placesOf(placement: Placement): Places {
  return {
    minCopies: placement.minCopies,
    placeOf(locationId) {
      const location = placement.locations.get(locationId)
      if (!location) return undefined
      const { features, multipart } = location.backend
      const { partBytes, maxParts } = features.multipart ?? { partBytes: 0, maxParts: 0 }
      const inParts = multipart ? partBytes * maxParts : 0
      return { isReadOnly: location.isReadOnly === true, maxBytes: Math.max(features.maxPutBytes, inParts) }
    },
  }
}
