import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Visibility } from '../../database/schema.ts'
import type { Actor } from '../access.ts'

export type AssetStatistics = { images: number; videos: number; total: number }

/**
 * Counts of a user's own assets. Without filters: what the timeline and the archive show, the trash left
 * out.
 */
export async function assetStatistics(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  filter: { isFavorite?: boolean; isTrashed?: boolean; visibility?: Visibility } = {},
): Promise<AssetStatistics> {
  let query = db
    .selectFrom('asset_count')
    .select([
      sql<number>`coalesce(sum(assets) filter (where type = 'IMAGE'), 0)::bigint`.as('images'),
      sql<number>`coalesce(sum(assets) filter (where type = 'VIDEO'), 0)::bigint`.as('videos'),
    ])
    .where('owner_id', '=', userId)
    .where('is_trashed', '=', filter.isTrashed ?? false)
  if (filter.visibility) query = query.where('visibility', '=', filter.visibility)
  else query = query.where('visibility', 'in', ['timeline', 'archive'])
  if (filter.isFavorite !== undefined) query = query.where('is_favorite', '=', filter.isFavorite)
  const { images, videos } = await query.executeTakeFirstOrThrow()
  return { images, videos, total: images + videos }
}
