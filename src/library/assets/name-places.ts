/** The names of places in `asset_exif`: they follow the coordinates, except where the user has set them. */
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { findPlace, NO_PLACE, type PlaceNames } from '../places/find-place.ts'
import { PLACES_VERSION } from '../places/places-data.ts'

type Coordinates = { latitude: number | null; longitude: number | null }

/** The columns that follow from the coordinates. */
export function placeColumns({
  latitude,
  longitude,
}: Coordinates): PlaceNames & { places_version: number | null } {
  if (latitude === null || longitude === null) return { ...NO_PLACE, places_version: null }
  return { ...findPlace({ latitude, longitude }), places_version: PLACES_VERSION }
}

/**
 * Names the places of these assets by the coordinates that their rows have now. The caller has locked the
 * assets. @returns those whose names have changed
 */
export async function namePlaces(tx: Tx, assetIds: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('asset_exif')
    .select(['asset_id', 'latitude', 'longitude'])
    .where(sql<boolean>`asset_id = any(${[...assetIds]}::uuid[])`)
    .execute()
  const named = rows.map((row) => ({ id: row.asset_id, ...placeColumns(row) }))
  const { rows: written } = await sql<{ id: string; isChanged: boolean }>`
    with found as (
      select named.id, named.version, row(exif.city, exif.state, exif.country) as before,
        case when 'city' = any(exif.user_set) then exif.city else named.city end as city,
        case when 'state' = any(exif.user_set) then exif.state else named.state end as state,
        case when 'country' = any(exif.user_set) then exif.country else named.country end as country
      from unnest(${named.map(({ id }) => id)}::uuid[], ${named.map(({ city }) => city)}::text[],
          ${named.map(({ state }) => state)}::text[], ${named.map(({ country }) => country)}::text[],
          ${named.map((row) => row.places_version)}::int[]) as named (id, city, state, country, version)
      join asset_exif exif on exif.asset_id = named.id)
    update asset_exif set city = found.city, state = found.state, country = found.country,
      places_version = found.version,
      updated_at = case when found.before is distinct from row(found.city, found.state, found.country)
        then now() else updated_at end
    from found where asset_exif.asset_id = found.id
    returning found.id, found.before is distinct from row(found.city, found.state, found.country) as "isChanged"`.execute(
    tx,
  )
  return written.filter(({ isChanged }) => isChanged).map(({ id }) => id)
}
