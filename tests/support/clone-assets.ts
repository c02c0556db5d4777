/**
 * A long timeline in a moment: many assets that share the files of one that was really uploaded and
 * processed.
 */
import type { Pool } from 'pg'

/**
 * `perMonth` assets in each of `months` months before the source's own, five an hour apart on each day from
 * the 1st on. Gives how many there are.
 */
export async function cloneAssets(
  pool: Pool,
  sourceId: string,
  { months, perMonth }: { months: number; perMonth: number },
): Promise<number> {
  await pool.query(
    `with copies as (
       insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
         file_size, file_created_at, file_modified_at, local_date_time, width, height, thumbhash, processing)
       select gen_random_uuid(), owner_id, type,
         substring(sha256((id::text || month || ' ' || number)::bytea) from 1 for 20),
         original_object_id, 'copy-' || month || '-' || number || '.jpg', original_mime_type, file_size,
         taken, taken, taken, width, height, thumbhash, processing
       from asset, generate_series(1, $2::int) as month, generate_series(0, $3::int - 1) as number,
         lateral (select date_trunc('month', local_date_time) - make_interval(months => month)
           + make_interval(days => number / 5, hours => number % 5) as taken) as clock
       where id = $1
       returning id
     ), files as (
       insert into asset_file (asset_id, kind, object_id, width, height)
       select copies.id, kind, object_id, width, height from copies, asset_file where asset_id = $1
     )
     insert into asset_exif (asset_id) select id from copies`,
    [sourceId, months, perMonth],
  )
  return months * perMonth
}
