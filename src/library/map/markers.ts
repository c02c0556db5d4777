/**
 * Where photos were taken, as Immich's `MapMarkerResponseDto[]`. PostgreSQL builds the text: this process,
 * which all requests share, neither reads the rows nor writes the JSON.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type Actor, findPartners } from '../access.ts'
import { HAS_DELETED_OWNER, requireAlbum } from '../albums/album-access.ts'

export type MarkersQuery = {
  /** With the actor's own archive. */
  isArchived?: boolean | undefined
  /** The actor's own favourites, or all but these. */
  isFavorite?: boolean | undefined
  /** Both inclusive. */
  fileCreatedAfter?: Date | undefined
  fileCreatedBefore?: Date | undefined
  /** With the timelines of the partners who share with the actor. */
  withPartners?: boolean | undefined
  /** With what others have put into albums that the actor is a member of. */
  withSharedAlbums?: boolean | undefined
}

/** Newest first. */
export async function markersJson(db: Database, actor: Actor, query: MarkersQuery): Promise<string> {
  const isOwn = sql`asset.owner_id = ${actor.userId}::uuid`
  const isShared = sql`asset.id in (
    select album_asset.asset_id from album_user join album_asset on album_asset.album_id = album_user.album_id
    join album on album.id = album_user.album_id
    where album_user.user_id = ${actor.userId}::uuid and not ${HAS_DELETED_OWNER})`
  const partners = query.withPartners ? await findPartners(db, actor, { inTimeline: false }) : []
  const isSeen = [
    isOwn,
    ...(partners.length > 0 ? [sql`asset.owner_id = any(${partners}::uuid[])`] : []),
    ...(query.withSharedAlbums ? [isShared] : []),
  ]
  const conditions: RawBuilder<unknown>[] = [
    sql`(${sql.join(isSeen, sql` or `)})`,
    query.isArchived
      ? sql`(asset.visibility = 'timeline' or (asset.visibility = 'archive' and ${isOwn}))`
      : sql`asset.visibility = 'timeline'`,
  ]
  if (query.isFavorite !== undefined) {
    // Somebody else's favourites are nobody else's business.
    conditions.push(sql`(asset.is_favorite and ${isOwn}) = ${query.isFavorite}::boolean`)
  }
  if (query.fileCreatedAfter) conditions.push(sql`asset.file_created_at >= ${query.fileCreatedAfter}`)
  if (query.fileCreatedBefore) conditions.push(sql`asset.file_created_at <= ${query.fileCreatedBefore}`)
  return jsonOf(db, sql.join(conditions, sql` and `))
}

/** All that members see of the album. @throws AppError invalid where the actor is none of them */
export async function albumMarkersJson(db: Database, actor: Actor, albumId: string): Promise<string> {
  await requireAlbum(db, actor, albumId, 'album.read')
  return jsonOf(
    db,
    sql`asset.visibility in ('timeline', 'archive')
      and asset.id in (select asset_id from album_asset where album_id = ${albumId}::uuid)`,
  )
}

async function jsonOf(db: Database, condition: RawBuilder<unknown>): Promise<string> {
  const { rows } = await sql<{ body: string }>`
    select coalesce(json_agg(json_build_object('id', asset.id, 'lat', exif.latitude, 'lon', exif.longitude,
      'city', exif.city, 'state', exif.state, 'country', exif.country)
      order by asset.file_created_at desc, asset.id desc), '[]')::text as body
    from asset join asset_exif exif on exif.asset_id = asset.id
    where asset.deleted_at is null and exif.latitude is not null and exif.longitude is not null
      and ${condition}`.execute(db)
  return rows[0]!.body
}
