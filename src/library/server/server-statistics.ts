import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

/** Immich's `UsageByUserDto`. Bytes of originals, those in the trash included. */
export type UserUsage = {
  userId: string
  userName: string
  photos: number
  videos: number
  usage: number
  usagePhotos: number
  usageVideos: number
  quotaSizeInBytes: number | null
}

/** Immich's `ServerStatsResponseDto`. */
export type ServerStatistics = Omit<UserUsage, 'userId' | 'userName' | 'quotaSizeInBytes'> & {
  usageByUser: UserUsage[]
}

/** What every user has, and the sums. */
export async function serverStatistics(db: Database): Promise<ServerStatistics> {
  const { rows } = await sql<UserUsage>`
    select app_user.id as "userId", app_user.name as "userName", app_user.quota_bytes as "quotaSizeInBytes",
      coalesce(sum(assets) filter (where type = 'IMAGE' and visibility <> 'hidden'), 0)::bigint as photos,
      coalesce(sum(assets) filter (where type = 'VIDEO' and visibility <> 'hidden'), 0)::bigint as videos,
      coalesce(sum(bytes), 0)::bigint as usage,
      coalesce(sum(bytes) filter (where type = 'IMAGE'), 0)::bigint as "usagePhotos",
      coalesce(sum(bytes) filter (where type = 'VIDEO'), 0)::bigint as "usageVideos"
    from app_user left join asset_count on asset_count.owner_id = app_user.id
    group by app_user.id order by app_user.created_at, app_user.id`.execute(db)
  const sum = (field: 'photos' | 'videos' | 'usage' | 'usagePhotos' | 'usageVideos') =>
    rows.reduce((total, row) => total + row[field], 0)
  return {
    photos: sum('photos'),
    videos: sum('videos'),
    usage: sum('usage'),
    usagePhotos: sum('usagePhotos'),
    usageVideos: sum('usageVideos'),
    usageByUser: rows,
  }
}
