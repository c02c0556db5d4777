/**
 * The timeline: assets by month. A *bucket* is a month of the wall clock (`local_date_time`), so that a photo
 * taken in Tokyo on New Year's morning lies in January wherever the server stands.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Visibility } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess } from '../access.ts'
import { requireAlbum } from '../albums/album-access.ts'
import { isKept, keptBuckets } from './month-counts.ts'

export type TimelineQuery = {
  /** Absent: the actor's own, or, with an album, everybody's. */
  userId?: string | undefined
  albumId?: string | undefined
  /** People and tags are not there yet: asking for one finds nothing. */
  personId?: string | undefined
  tagId?: string | undefined
  /** Absent: what the timeline and the archive show. */
  visibility?: Visibility | undefined
  isFavorite?: boolean | undefined
  isTrashed?: boolean | undefined
  order?: 'asc' | 'desc' | undefined
  /** Months of when it was taken (the default) or of when it was added (UTC). */
  orderBy?: 'takenAt' | 'createdAt' | undefined
  /** Degrees; a west greater than east spans the date line. */
  box?: { west: number; south: number; east: number; north: number } | undefined
}

export type TimelineBucket = {
  /** The first day of the month, `YYYY-MM-01`. */
  timeBucket: string
  count: number
  /**
   * Sum of width / height of its assets, 1 for those of unknown size: what a layout needs to know its height
   * beforehand.
   */
  ratioSum: number
}

/** The months that have assets. @throws AppError invalid or unauthenticated for what the actor may not see */
export async function timelineBuckets(
  db: Database,
  actor: Actor,
  query: TimelineQuery,
): Promise<TimelineBucket[]> {
  const { from, where } = await selectAssets(db, actor, query)
  if (isKept(query)) return keptBuckets(db, actor, query)
  const direction = sql.raw(query.order === 'asc' ? 'asc' : 'desc')
  const { rows } = await sql<TimelineBucket>`
    select to_char(month, 'YYYY-MM-DD') as "timeBucket", count, round("ratioSum"::numeric, 3)::float8 as "ratioSum"
    from (
      select date_trunc('month', ${clockOf(query)}) as month, count(*) as count,
             sum(coalesce(asset.width::float8 / asset.height, 1)) as "ratioSum"
      from ${from} where ${where} group by 1
    ) as months
    order by month ${direction}`.execute(db)
  return rows
}

/**
 * The assets of one month as JSON text of Immich's `TimeBucketAssetResponseDto`: one array per field, all of
 * one length. Besides, `isPending` says whose previews are still to be made. PostgreSQL builds the text: this
 * process, which all requests share, neither reads the rows nor writes the JSON.
 * @param month any `YYYY-MM-DD` of the month
 * @throws AppError as `timelineBuckets`
 */
export async function timelineBucketJson(
  db: Database,
  actor: Actor,
  query: TimelineQuery & { month: string; withCoordinates?: boolean | undefined },
): Promise<string> {
  const { from, where } = await selectAssets(db, actor, query)
  const clock = clockOf(query)
  const start = `${query.month.slice(0, 7)}-01`
  const direction = sql.raw(query.order === 'asc' ? 'asc' : 'desc')
  const coordinates = query.withCoordinates
    ? sql`, 'latitude', coalesce(json_agg(latitude), '[]'), 'longitude', coalesce(json_agg(longitude), '[]')`
    : sql``
  const { rows } = await sql<{ body: string }>`
    select json_build_object(
      'id', coalesce(json_agg(id), '[]'),
      'ownerId', coalesce(json_agg(owner_id), '[]'),
      'ratio', coalesce(json_agg(ratio), '[]'),
      'isFavorite', coalesce(json_agg(is_favorite), '[]'),
      'visibility', coalesce(json_agg(visibility), '[]'),
      'isTrashed', coalesce(json_agg(is_trashed), '[]'),
      'isImage', coalesce(json_agg(is_image), '[]'),
      'thumbhash', coalesce(json_agg(thumbhash), '[]'),
      'fileCreatedAt', coalesce(json_agg(file_created_at), '[]'),
      'createdAt', coalesce(json_agg(created_at), '[]'),
      'localOffsetHours', coalesce(json_agg(local_offset_hours), '[]'),
      'duration', coalesce(json_agg(duration_ms), '[]'),
      'isPending', coalesce(json_agg(is_pending), '[]'),
      'projectionType', coalesce(json_agg(projection_type), '[]'),
      'livePhotoVideoId', coalesce(json_agg(live_photo_video_id), '[]'),
      'city', coalesce(json_agg(city), '[]'),
      'country', coalesce(json_agg(country), '[]')
      ${coordinates}
    )::text as body
    from (
      select asset.id, asset.owner_id, coalesce(asset.width::real / asset.height, 1) as ratio,
        asset.is_favorite and asset.owner_id = ${actor.userId}::uuid as is_favorite,
        asset.visibility, asset.deleted_at is not null as is_trashed, asset.type = 'IMAGE' as is_image,
        encode(asset.thumbhash, 'base64') as thumbhash,
        ${isoOf(sql`asset.file_created_at`)} as file_created_at, ${isoOf(sql`asset.created_at`)} as created_at,
        (extract(epoch from asset.local_date_time - asset.file_created_at at time zone 'UTC') / 3600)::real
          as local_offset_hours,
        asset.duration_ms, asset.processing = 'pending' as is_pending, exif.projection_type, asset.live_photo_video_id, exif.city, exif.country,
        exif.latitude, exif.longitude
      from ${from} ${JOIN_EXIF}
      where ${where} and ${clock} >= ${start}::timestamp and ${clock} < ${start}::timestamp + interval '1 month'
      order by ${clock} ${direction}, asset.id ${direction}
    ) as page`.execute(db)
  return rows[0]!.body
}

/**
 * One look-up for each asset of the month. A plain join makes PostgreSQL read the facts of all assets that there
 * are, of all users, from about a hundredth of them on: 150 ms more for 8,333 of a million.
 */
const JOIN_EXIF = sql`left join lateral (
  select * from asset_exif where asset_exif.asset_id = asset.id limit 1) exif on true`

/** The clock that the months are of. */
function clockOf(query: TimelineQuery): RawBuilder<unknown> {
  return query.orderBy === 'createdAt'
    ? sql`(asset.created_at at time zone 'UTC')`
    : sql`asset.local_date_time`
}

function isoOf(instant: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`to_char(${instant} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}

/** `from` and `where` for the assets that the query names, after checking that the actor may see them. */
async function selectAssets(
  db: Database,
  actor: Actor,
  query: TimelineQuery,
): Promise<{ from: RawBuilder<unknown>; where: RawBuilder<unknown> }> {
  if (query.userId !== undefined && query.userId !== actor.userId) throw noAccess('timeline.read')
  if (query.visibility === 'locked') {
    // The locked folder opens with a PIN code, and there is no way to enter one yet.
    throw new AppError('unauthenticated', 'Elevated permission is required')
  }
  if (query.albumId !== undefined) await requireAlbum(db, actor, query.albumId, 'album.read')

  const isOwnOnly = query.albumId === undefined || query.userId !== undefined || query.isTrashed
  const conditions: RawBuilder<unknown>[] = [
    query.isTrashed ? sql`asset.deleted_at is not null` : sql`asset.deleted_at is null`,
    query.visibility
      ? sql`asset.visibility = ${query.visibility}`
      : sql`asset.visibility in ('timeline', 'archive')`,
  ]
  if (isOwnOnly) conditions.push(sql`asset.owner_id = ${actor.userId}::uuid`)
  if (query.albumId !== undefined) conditions.push(sql`album_asset.album_id = ${query.albumId}::uuid`)
  if (query.isFavorite !== undefined) {
    conditions.push(
      sql`(asset.is_favorite and asset.owner_id = ${actor.userId}::uuid) = ${query.isFavorite}::boolean`,
    )
  }
  if (query.box) conditions.push(insideBox(query.box))
  if (query.personId !== undefined || query.tagId !== undefined) conditions.push(sql`false`)

  const from = query.albumId ? sql`album_asset join asset on asset.id = album_asset.asset_id` : sql`asset`
  return { from, where: sql.join(conditions, sql` and `) }
}

function insideBox(box: { west: number; south: number; east: number; north: number }): RawBuilder<unknown> {
  const longitude =
    box.west <= box.east
      ? sql`longitude between ${box.west} and ${box.east}`
      : sql`(longitude >= ${box.west} or longitude <= ${box.east})`
  return sql`asset.id in (
    select asset_id from asset_exif where latitude between ${box.south} and ${box.north} and ${longitude})`
}
