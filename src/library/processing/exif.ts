import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { MediaFacts } from '../../media/facts.ts'
import { placeColumns } from '../assets/name-places.ts'

/**
 * Saves what the file (and its sidecar) say, except where the user said otherwise. Returns what is the
 * user's, and whether anything differs from before.
 */
export async function saveExif(
  tx: Tx,
  assetId: string,
  facts: MediaFacts,
): Promise<{ userSet: string[]; isChanged: boolean }> {
  const existing = await tx
    .selectFrom('asset_exif')
    .select(['user_set', 'latitude', 'longitude'])
    .where('asset_id', '=', assetId)
    .forUpdate()
    .executeTakeFirst()
  const userSet = existing?.user_set ?? []
  const place = placeColumns({
    latitude: userSet.includes('latitude') ? existing!.latitude : facts.latitude,
    longitude: userSet.includes('longitude') ? existing!.longitude : facts.longitude,
  })
  const said = {
    ...place,
    make: facts.make,
    model: facts.model,
    lens_model: facts.lensModel,
    exif_image_width: facts.exifImageWidth,
    exif_image_height: facts.exifImageHeight,
    orientation: facts.orientation === null ? null : String(facts.orientation),
    date_time_original: facts.takenAt,
    modify_date: facts.modifiedAt,
    time_zone: facts.timeZone,
    latitude: facts.latitude,
    longitude: facts.longitude,
    f_number: facts.fNumber,
    focal_length: facts.focalLength,
    iso: facts.iso,
    exposure_time: facts.exposureTime,
    fps: facts.fps,
    description: facts.description ?? '',
    rating: facts.rating,
    projection_type: facts.projectionType,
  }
  const columns = Object.keys(said).filter((column) => !userSet.includes(column))
  const values = Object.fromEntries(columns.map((column) => [column, said[column as keyof typeof said]]))
  const row = (table: string) => sql.join(columns.map((column) => sql.ref(`${table}.${column}`)))
  const written = await tx
    .insertInto('asset_exif')
    .values({ ...said, asset_id: assetId })
    .onConflict((conflict) =>
      conflict
        .column('asset_id')
        .doUpdateSet({ ...values, updated_at: sql`now()` })
        // Programs that follow changes get no event where nothing has changed.
        .where(sql<boolean>`row(${row('asset_exif')}) is distinct from row(${row('excluded')})`),
    )
    .returning('asset_id')
    .execute()
  return { userSet, isChanged: written.length > 0 }
}
