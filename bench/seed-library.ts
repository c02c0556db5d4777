/**
 * A large library, written by SQL: rows as uploads, processing and replication would have left them. Only the
 * database knows these assets; there is no file of any.
 */
import type pg from 'pg'

export type SeededLibrary = { assets: number; months: number }

/** Of a phone, with a new one every few years: a camera's photos lie close together in time. */
const CAMERAS = 40

/**
 * One user's assets, evenly over the months that end now; every original verified at `local` and at `bucket`.
 * Triggers that guard a single step of a replica are off meanwhile; those that keep counts are not.
 */
export async function seedLibrary(
  database: pg.Client,
  { assets, months }: SeededLibrary,
  bucket: string,
): Promise<void> {
  const run = (text: string, values?: unknown[]) => database.query(text, values)
  const perMonth = Math.ceil(assets / months)
  await run('begin')
  await run(`alter table asset disable trigger catalogue_asset; alter table asset disable trigger guard_original;
    alter table replica disable trigger guard_replica; alter table replica disable trigger guard_retired;
    alter table replica disable trigger keep_collected; alter table replica disable trigger catalogue_place`)
  for (let month = 0; month < months; month++) {
    await run(`create temporary table seeded on commit drop as
      select n, gen_random_uuid() as id, gen_random_uuid() as object_id,
        date_trunc('month', now() at time zone 'UTC') - ${month} * interval '1 month' + n * (interval '28 days' / ${perMonth}) as taken,
        ${Math.floor((month * CAMERAS) / months)} as camera, sha256((n + ${month * perMonth})::text::bytea) as sha256
      from generate_series(1, ${perMonth}) n`)
    await run(`insert into stored_object (id, owner_id, asset_id, kind, size, sha256, content_type, extension, is_linked, created_at)
      select object_id, app_user.id, seeded.id, 'original', 2000000 + n, sha256, 'image/jpeg', 'jpg', true, now() - interval '1 day'
      from seeded, app_user`)
    await run(
      `insert into replica (object_id, location_id, key, state, proof_level, verified_at, actor)
      select object_id, location, 'seeded/' || object_id, 'verified', 4, now() - n * interval '1 second', 'bench'
      from seeded, unnest($1::text[]) as location`,
      [['local', bucket]],
    )
    await run(`insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
        file_size, file_created_at, file_modified_at, local_date_time, is_favorite, visibility, deleted_at, width, height,
        duration_ms, thumbhash, processing)
      select seeded.id, app_user.id, case when n % 20 = 0 then 'VIDEO' else 'IMAGE' end, substr(sha256, 1, 20), object_id,
        'IMG_' || to_char(taken, 'YYYYMMDD_HH24MISS') || '_' || lpad(n::text, 5, '0') || '.jpg', 'image/jpeg', 2000000 + n,
        taken at time zone 'UTC', taken at time zone 'UTC', taken, n % 50 = 0,
        case when n % 100 = 7 then 'archive' else 'timeline' end, case when n % 200 = 3 then now() end,
        case when n % 3 = 0 then 3000 else 4000 end, case when n % 3 = 0 then 4000 else 3000 end,
        case when n % 20 = 0 then 12000 end, substr('\\x1cd707268080870788777788888878887708'::bytea || sha256, 1, 25), 'done'
      from seeded, app_user`)
    await run(`insert into asset_exif (asset_id, make, model, lens_model, latitude, longitude, city, state, country, iso)
      select id, 'Maker ' || camera % 5, 'Model ' || camera, 'Lens ' || camera % 7, 48 + (n % 100) / 100.0, 11 + (n % 100) / 100.0,
        'City ' || n % 50, 'State ' || n % 10, 'Country ' || n % 5, 100
      from seeded`)
    await run('drop table seeded')
  }
  await run(`alter table asset enable trigger catalogue_asset; alter table asset enable trigger guard_original;
    alter table replica enable trigger guard_replica; alter table replica enable trigger guard_retired;
    alter table replica enable trigger keep_collected; alter table replica enable trigger catalogue_place`)
  await run('commit')
  // As autovacuum would have done meanwhile.
  await run('vacuum (analyze) stored_object, replica, asset, asset_exif')
}
