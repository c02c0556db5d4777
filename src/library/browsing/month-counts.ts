/** The months of somebody's timeline, from the counts that the database keeps (`asset_count`). */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Actor } from '../access.ts'
import type { Owners, TimelineQuery } from './timeline-scope.ts'

type MonthCount = { timeBucket: string; count: number; ratioSum: number }

/** Whether the counts answer it: they do not tell apart what narrows further down. */
export function isKept(
  { albumId, personId, tagId, box, orderBy, isFavorite }: TimelineQuery,
  { ids }: Owners,
  { userId }: Pick<Actor, 'userId'>,
): boolean {
  const isNarrow = [albumId, personId, tagId, box].some((one) => one !== undefined)
  // What others like is not what the actor likes.
  const isOthersTaste = isFavorite !== undefined && ids.some((id) => id !== userId)
  return !isNarrow && !isOthersTaste && orderBy !== 'createdAt'
}

/**
 * The months that have such assets; as `timelineBuckets`.
 * @param behindOthers the condition of those that another of their stack stands for: few, they are counted
 */
export async function keptBuckets(
  db: Database,
  { owners, behindOthers }: { owners: Owners; behindOthers: RawBuilder<unknown> | null },
  { isFavorite, isTrashed = false, order }: TimelineQuery,
): Promise<MonthCount[]> {
  const direction = sql.raw(order === 'asc' ? 'asc' : 'desc')
  const liked = isFavorite === undefined ? [true, false] : [isFavorite]
  const hidden =
    behindOthers === null
      ? sql``
      : sql`union all
        select date_trunc('month', asset.local_date_time), -1, -ratio_of(asset.width, asset.height)
        from asset where ${behindOthers} and asset.owner_id = any(${owners.ids}::uuid[])
          and asset.visibility = any(${owners.shown}::text[]) and (asset.deleted_at is not null) = ${isTrashed}::boolean
          and asset.is_favorite = any(${liked}::boolean[])`
  const { rows } = await sql<MonthCount>`
    select to_char(month, 'YYYY-MM-DD') as "timeBucket", sum(assets)::bigint as count,
      round(sum(ratio), 3)::float8 as "ratioSum"
    from (
      select month, assets, ratio from asset_count
      where owner_id = any(${owners.ids}::uuid[]) and visibility = any(${owners.shown}::text[])
        and is_trashed = ${isTrashed} and is_favorite = any(${liked}::boolean[])
      ${hidden}
    ) as counted
    group by month having sum(assets) > 0
    order by month ${direction}`.execute(db)
  return rows
}
