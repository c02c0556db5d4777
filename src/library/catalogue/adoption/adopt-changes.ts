import { sql } from 'kysely'
import type { Queryable } from '../../../database/connect.ts'

/**
 * An asset that the database has, and that a batch which the database did not know describes with the same
 * bytes.
 */
const AS_A_LATER_STATE_HAD_IT = sql`found.kind = 'asset' and not found.is_gone and not found.is_known and not found.is_there_already
  and asset.id = found.id and asset.owner_id = (entry ->> 'owner')::uuid
  and asset.checksum = decode(entry ->> 'sha1', 'hex')`

/**
 * What people said of assets in a later state: favourites, names, dates, descriptions, what is archived or
 * locked, and what they took out of the trash. Where the database was used since it was restored (`isFresh`
 * is false), an asset that was changed there keeps what it has.
 */
export async function adoptChanges(db: Queryable, { isFresh }: { isFresh: boolean }): Promise<void> {
  const isUntouched = sql`(${isFresh} or not exists (
    select from catalogue_change where subject = 'asset' and subject_id = asset.id))`
  // One statement: the first change notes itself, so that a second one would find all of them touched.
  await sql`
    with told as (
      update asset_exif exif set
        user_set = array(select distinct unnest(exif.user_set || said.fields)),
        description = case when 'description' = any(said.fields) then said.description else exif.description end,
        rating = case when 'rating' = any(said.fields) then said.rating else exif.rating end,
        latitude = case when 'latitude' = any(said.fields) then said.latitude else exif.latitude end,
        longitude = case when 'longitude' = any(said.fields) then said.longitude else exif.longitude end,
        places_version = case when said.fields && array['latitude', 'longitude'] then null else exif.places_version end,
        date_time_original = case when 'date_time_original' = any(said.fields) then said."dateTimeOriginal"
          else exif.date_time_original end,
        time_zone = case when 'time_zone' = any(said.fields) then said."timeZone" else exif.time_zone end,
        updated_at = now()
      from catalogue_found found
      join asset on ${AS_A_LATER_STATE_HAD_IT}
      cross join lateral jsonb_to_record(entry -> 'said') as told (fields text[], description text, rating int,
        latitude float8, longitude float8, "dateTimeOriginal" timestamptz, "timeZone" text)
      cross join lateral (select told.description, told.rating, told.latitude, told.longitude, told."dateTimeOriginal",
        told."timeZone", array(select unnest(told.fields) intersect select unnest(array['description', 'rating', 'latitude',
          'longitude', 'date_time_original', 'time_zone', 'live_photo_video_id'])) as fields) as said
      where exif.asset_id = asset.id and entry -> 'said' <> 'null' and ${isUntouched})
      update asset set
        is_favorite = (entry ->> 'isFavorite')::boolean, original_file_name = entry ->> 'name',
        visibility = case when asset.visibility <> 'hidden' and entry ->> 'visibility' <> 'hidden'
          then entry ->> 'visibility' else asset.visibility end,
        file_created_at = (entry ->> 'fileCreatedAt')::timestamptz,
        local_date_time = (entry ->> 'localDateTime')::timestamp, time_zone = entry ->> 'timeZone',
        deleted_at = case when entry -> 'trashedAt' = 'null' then null else asset.deleted_at end, updated_at = now()
      from catalogue_found found
      where ${AS_A_LATER_STATE_HAD_IT} and ${isUntouched}`.execute(db)
}
