/** Albums as Immich 3.2.2's clients expect them. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import type { AlbumRole } from '../../database/schema.ts'
import { wallClockAsUtc } from '../assets/asset-response.ts'
import { describeUser, type UserView } from '../users/users.ts'
import { HAS_DELETED_OWNER } from './album-access.ts'

/**
 * Immich's `AlbumResponseDto`. What it counts and dates are the assets that are not in the trash and not
 * hidden.
 */
export type AlbumView = {
  id: string
  albumName: string
  description: string
  albumThumbnailAssetId: string | null
  /**
   * The owner first: clients take `albumUsers[0]` for the owner without asking. Then editors, then viewers;
   * of each the one who asks first, then by name.
   */
  albumUsers: { role: AlbumRole; user: UserView }[]
  assetCount: number
  /** Of one shared album that is read by itself. */
  contributorCounts?: { userId: string; assetCount: number }[]
  createdAt: string
  updatedAt: string
  /** Oldest and newest, on the wall clock of the place, written as if UTC. Absent for an empty album. */
  startDate?: string
  endDate?: string
  lastModifiedAssetTimestamp?: string
  hasSharedLink: boolean
  isActivityEnabled: boolean
  order: 'asc' | 'desc'
  shared: boolean
}

/** What an album shows; the same everywhere, so that counts and contents agree. */
export const SHOWN_IN_ALBUM = sql<boolean>`asset.deleted_at is null and asset.visibility in ('timeline', 'archive')`

/**
 * Gives albums without a cover their newest asset; like one that somebody chose, it stays until it is
 * changed.
 */
export async function chooseCovers(tx: Tx, albumIds: string[]): Promise<void> {
  await sql`
    update album set thumbnail_asset_id = (
      select asset.id from album_asset join asset on asset.id = album_asset.asset_id
      where album_asset.album_id = album.id and ${SHOWN_IN_ALBUM}
      order by asset.local_date_time desc, asset.id desc limit 1 for key share of asset)
    where id = any(${albumIds}::uuid[]) and thumbnail_asset_id is null`.execute(tx)
}

/**
 * The albums for which `where` holds, newest first, but for those whose owner is deleted. Access is the
 * caller's to check.
 */
export async function readAlbums(
  db: Queryable,
  viewerId: string,
  where: RawBuilder<unknown>,
): Promise<AlbumView[]> {
  // The cover while it is shown in the album; when it went to the trash, the newest asset. The second
  // question is asked only then: for 65,000 assets it costs more than all the rest.
  const { rows } = await sql<{
    id: string
    name: string
    description: string
    is_activity_enabled: boolean
    asset_order: 'asc' | 'desc'
    created_at: Date
    updated_at: Date
    cover: string | null
    count: number
    start: string | null
    end: string | null
    modified: Date | null
  }>`
    select album.*, contents.*, coalesce(
        (select asset.id from album_asset join asset on asset.id = album_asset.asset_id
         where album_asset.album_id = album.id and asset.id = album.thumbnail_asset_id and ${SHOWN_IN_ALBUM}),
        (select asset.id from album_asset join asset on asset.id = album_asset.asset_id
         where album_asset.album_id = album.id and ${SHOWN_IN_ALBUM}
         order by asset.local_date_time desc, asset.id desc limit 1 for key share of asset)) as cover
    from album cross join lateral (
      select count(*) as count, min(asset.local_date_time) as start, max(asset.local_date_time) as end,
             max(asset.updated_at) as modified
      from album_asset join asset on asset.id = album_asset.asset_id
      where album_asset.album_id = album.id and ${SHOWN_IN_ALBUM}) as contents
    where ${where} and not ${HAS_DELETED_OWNER}
    order by album.created_at desc, album.id`.execute(db)

  const members = await readMembers(
    db,
    viewerId,
    rows.map((row) => row.id),
  )
  return rows.map((row) => {
    const albumUsers = members.get(row.id) ?? []
    return {
      id: row.id,
      albumName: row.name,
      description: row.description,
      albumThumbnailAssetId: row.cover,
      albumUsers,
      assetCount: row.count,
      createdAt: row.created_at.toISOString(),
      updatedAt: row.updated_at.toISOString(),
      ...(row.start !== null && { startDate: wallClockAsUtc(row.start) }),
      ...(row.end !== null && { endDate: wallClockAsUtc(row.end) }),
      ...(row.modified !== null && { lastModifiedAssetTimestamp: row.modified.toISOString() }),
      hasSharedLink: false,
      isActivityEnabled: row.is_activity_enabled,
      order: row.asset_order,
      shared: albumUsers.length > 1,
    }
  })
}

async function readMembers(
  db: Queryable,
  viewerId: string,
  albumIds: string[],
): Promise<Map<string, AlbumView['albumUsers']>> {
  const rows = await db
    .selectFrom('album_user')
    .innerJoin('app_user', 'app_user.id', 'album_user.user_id')
    .selectAll('app_user')
    .select(['album_user.album_id', 'album_user.role'])
    .where(sql<boolean>`album_user.album_id = any(${albumIds}::uuid[])`)
    .orderBy(sql`array_position(array['owner', 'editor', 'viewer'], album_user.role)`)
    .orderBy(sql`album_user.user_id = ${viewerId}`, 'desc')
    .orderBy('app_user.name')
    .orderBy('app_user.id')
    .execute()
  const members = new Map<string, AlbumView['albumUsers']>()
  for (const row of rows) {
    const ofAlbum = members.get(row.album_id) ?? []
    ofAlbum.push({ role: row.role, user: describeUser(row) })
    members.set(row.album_id, ofAlbum)
  }
  return members
}
