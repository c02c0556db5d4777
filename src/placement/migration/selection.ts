/** Which objects a campaign is about. */
import { type RawBuilder, sql } from 'kysely'
import { belongingSql } from '../ledger/belonging-rows.ts'
import type { Placement } from '../placement.ts'
import type { Campaign, CampaignPlan } from './campaign-rows.ts'

/** What only the library knows. */
export type Reach = {
  /** The users whose files campaigns may move; null: everybody's. */
  ownerIds: readonly string[] | null
  /** Whether an object is of an asset in one of the albums. */
  isInAlbums(objectId: RawBuilder<string>, albumIds: readonly string[]): RawBuilder<boolean>
}

const BATCH = 2_000

/**
 * The condition, of `stored_object o` joined with `belongingSql`: what belongs where the campaign takes it
 * from or, where it takes it from nowhere, is not yet everywhere where it brings it to.
 */
export function isSelected(
  { kinds, ownerIds, albumIds, olderThanDays, youngerThanDays, reverseOf, fromIds, toIds }: CampaignPlan,
  reach: Reach,
): RawBuilder<boolean> {
  const parts: RawBuilder<unknown>[] = [
    sql`o.state = 'live' and o.is_linked and o.kind = any(${[...kinds]}::text[])`,
    fromIds.length > 0
      ? sql`belongs.wanted && ${[...fromIds]}::text[]`
      : sql`not belongs.wanted @> ${[...toIds]}::text[]`,
  ]
  for (const owners of [ownerIds, reach.ownerIds])
    if (owners !== null) parts.push(sql`o.owner_id = any(${[...owners]}::uuid[])`)
  if (olderThanDays !== null) parts.push(sql`o.created_at <= now() - ${olderThanDays} * interval '1 day'`)
  if (youngerThanDays !== null) parts.push(sql`o.created_at > now() - ${youngerThanDays} * interval '1 day'`)
  if (albumIds !== null) parts.push(reach.isInAlbums(sql<string>`o.id`, albumIds))
  if (reverseOf !== null)
    parts.push(sql`exists (select from campaign_object moved where moved.campaign_id = ${reverseOf}::uuid
      and moved.object_id = o.id and moved.state = 'reclaimed')`)
  return sql<boolean>`(${sql.join(parts, sql` and `)})`
}

/**
 * Writes the next objects into the journal, by their ids. What is added after the campaign was proposed
 * belongs where the policy says. @returns false: all were looked at
 */
export async function scanNext(
  placement: Placement,
  campaign: Campaign,
  reach: Reach,
): Promise<{ isMore: boolean; scannedTo: string | null }> {
  const after = campaign.scannedTo ?? '00000000-0000-0000-0000-000000000000'
  const { rows } = await sql<{ last: string | null; count: number }>`
    with found as (
      select o.id, o.kind, o.size from stored_object o
      ${belongingSql(placement)}
      where o.id > ${after}::uuid
        and o.created_at <= (select created_at from campaign where id = ${campaign.id}::uuid)
        and ${isSelected(campaign, reach)}
      order by o.id limit ${BATCH}),
    noted as (
      insert into campaign_object (campaign_id, object_id, kind, size)
      select ${campaign.id}::uuid, id, kind, size from found
      on conflict do nothing returning object_id),
    turned as (
      update campaign set
        scanned_to = coalesce((select id from found order by id desc limit 1), scanned_to),
        is_scanned = (select count(*) from found) < ${BATCH}
      where id = ${campaign.id}::uuid)
    select (select id from found order by id desc limit 1)::text as last, count(*)::int as count from found`.execute(
    placement.db,
  )
  const { last, count } = rows[0]!
  return { isMore: count === BATCH, scannedTo: last }
}
