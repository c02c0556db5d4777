/**
 * The timeline: assets by month. A *bucket* is a month of the wall clock (`local_date_time`), so that a photo
 * taken in Tokyo on New Year's morning lies in January wherever the server stands.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Actor } from '../access.ts'
import { isKept, keptBuckets } from './month-counts.ts'
import { selectAssets, type TimelineQuery } from './timeline-scope.ts'

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
  const { from, where, owners, behindOthers } = await selectAssets(db, actor, query)
  if (owners !== null && isKept(query, owners, actor)) return keptBuckets(db, { owners, behindOthers }, query)
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
  const stacks = query.withStacked ? sql`, 'stack', coalesce(json_agg(stack), '[]')` : sql``
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
      ${coordinates} ${stacks}
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
        exif.latitude, exif.longitude ${query.withStacked ? sql`, ${stackOf()} as stack` : sql``}
      from ${from} ${JOIN_EXIF}
      where ${where} and ${clock} >= ${start}::timestamp and ${clock} < ${start}::timestamp + interval '1 month'
      order by ${clock} ${direction}, asset.id ${direction}
    ) as page`.execute(db)
  return rows[0]!.body
}

/**
 * One look-up for each asset of the month. A plain join makes PostgreSQL read the facts of all assets that
 * there are, of all users, from about a hundredth of them on: 150 ms more for 8,333 of a million.
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

/** `[id, "how many"]` of the stack that an asset stands for, as Immich's clients read it; null: of none. */
function stackOf(): RawBuilder<unknown> {
  return sql`(select json_build_array(stack.id, count(*)::text)
    from stack join asset member on member.stack_id = stack.id
    where stack.id = asset.stack_id and stack.primary_asset_id = asset.id
      and member.deleted_at is null and member.visibility = 'timeline'
    group by stack.id)`
}
