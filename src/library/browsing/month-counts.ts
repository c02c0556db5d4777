/** The months of a user's own timeline, from the counts that the database keeps (`asset_count`). */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Visibility } from '../../database/schema.ts'
import type { Actor } from '../access.ts'

/** What the counts tell apart. */
type KeptFilter = {
  visibility?: Visibility | undefined
  isFavorite?: boolean | undefined
  isTrashed?: boolean | undefined
}
/** With any of these a query is about some of the assets that are counted together, or about others' as well. */
type Narrowing = {
  albumId?: unknown
  personId?: unknown
  tagId?: unknown
  box?: unknown
  orderBy?: 'takenAt' | 'createdAt' | undefined
}
type MonthCount = { timeBucket: string; count: number; ratioSum: number }

/** Whether the counts answer it; who asks must be the owner. */
export function isKept({ albumId, personId, tagId, box, orderBy }: Narrowing): boolean {
  const isNarrow = [albumId, personId, tagId, box].some((one) => one !== undefined)
  return !isNarrow && orderBy !== 'createdAt'
}

/** The actor's own months that have such assets; as `timelineBuckets`. */
export async function keptBuckets(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  query: KeptFilter & { order?: 'asc' | 'desc' | undefined },
): Promise<MonthCount[]> {
  const { visibility, isFavorite, isTrashed = false, order } = query
  const shown = visibility === undefined ? ['timeline', 'archive'] : [visibility]
  const direction = sql.raw(order === 'asc' ? 'asc' : 'desc')
  const { rows } = await sql<MonthCount>`
    select to_char(month, 'YYYY-MM-DD') as "timeBucket", sum(assets)::bigint as count,
      round(sum(ratio), 3)::float8 as "ratioSum"
    from asset_count
    where owner_id = ${userId}::uuid and visibility = any(${shown}::text[]) and is_trashed = ${isTrashed}
      and is_favorite = any(${isFavorite === undefined ? [true, false] : [isFavorite]}::boolean[])
    group by month having sum(assets) > 0
    order by month ${direction}`.execute(db)
  return rows
}
