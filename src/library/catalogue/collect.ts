/** The entries of the catalogue, as the database has them, in pages. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { allLeftBehind, type LeftBehind, leftBehindOf } from '../../placement/catalogue/left-behind.ts'
import { placesOfObjects } from '../../placement/ledger/object-sql.ts'
import type { AlbumEntry, AssetEntry, Entry, Subject, UserEntry } from './entries.ts'
import { IS_STILL_WANTED } from './left-over-wanted.ts'

const PAGE = 500

/**
 * Everything: users, then albums, then assets; what could not be brought back, which this state stands for;
 * and what is gone while its bytes are still there.
 */
export async function* everything(db: Queryable): AsyncGenerator<Entry> {
  for await (const rows of pages((after) => users(db, sql`id > ${after}::uuid`))) yield* rows
  for await (const rows of pages((after) => albums(db, sql`album.id > ${after}::uuid`))) yield* rows
  for await (const rows of pages((after) => assets(db, sql`asset.id > ${after}::uuid`))) yield* rows
  yield* leftOver(db)
  const told = new Set<string>()
  for await (const page of allLeftBehind(db)) yield* await goneOf(db, page, told)
}

/** These, as they are now; those that are not there are gone. */
export async function* theseThings(
  db: Queryable,
  ids: Readonly<Record<Subject, readonly string[]>>,
): AsyncGenerator<Entry> {
  const readers = [
    ['user', users, sql`id`],
    ['album', albums, sql`album.id`],
    ['asset', assets, sql`asset.id`],
  ] as const
  for (const [kind, read, column] of readers)
    for (let at = 0; at < ids[kind].length; at += PAGE) {
      const wanted = ids[kind].slice(at, at + PAGE)
      const found = await read(db, sql`${column} = any(${uuidArray(wanted)}::uuid[])`)
      yield* found
      const there = new Set(found.map(idOf))
      const gone = wanted.filter((id) => !there.has(id))
      for (const id of gone) yield { gone: { kind, id } }
      if (kind === 'asset' && gone.length > 0)
        yield* await goneOf(db, await leftBehindOf(db, gone), new Set(gone))
    }
}

/** Of what the last adoption has left over, what is still not there. */
async function* leftOver(db: Queryable): AsyncGenerator<Entry> {
  for (const [kind, table] of [
    ['user', 'app_user'],
    ['album', 'album'],
    ['asset', 'asset'],
  ] as const)
    for await (const rows of pages(async (after) => {
      const { rows } = await sql<{ entry: object }>`
        select entry from catalogue_left_over one where kind = ${kind} and id > ${after}::uuid
          and ${IS_STILL_WANTED} and not exists (select from ${sql.table(table)} there where there.id = one.id)
        order by id limit ${PAGE}`.execute(db)
      return rows.map(({ entry }) => ({ [kind]: entry }) as Entry)
    }))
      yield* rows
}

/** Of what was left behind, the assets and users that are not there, but for those that were `told`. */
async function goneOf(db: Queryable, left: readonly LeftBehind[], told: Set<string>): Promise<Entry[]> {
  const named = {
    asset: [...new Set(left.flatMap(({ assetIds }) => assetIds))],
    user: [...new Set(left.map(({ ownerId }) => ownerId))],
  }
  const gone: Entry[] = []
  for (const [kind, table] of [
    ['user', 'app_user'],
    ['asset', 'asset'],
  ] as const) {
    const ids = named[kind].filter((id) => !told.has(id))
    const { rows } = await sql<{ id: string }>`
      select id from unnest(${uuidArray(ids)}::uuid[]) as left_behind (id)
      where not exists (select from ${sql.table(table)} there where there.id = left_behind.id)`.execute(db)
    for (const { id } of rows) {
      told.add(id)
      gone.push({ gone: { kind, id } })
    }
  }
  return gone
}

async function* pages(read: (after: string) => Promise<Entry[]>): AsyncGenerator<Entry[]> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await read(after)
    if (rows.length === 0) return
    yield rows
    after = idOf(rows.at(-1)!)
  }
}

function idOf(entry: Entry): string {
  if ('user' in entry) return entry.user.id
  if ('album' in entry) return entry.album.id
  return 'asset' in entry ? entry.asset.id : entry.gone.id
}

async function users(db: Queryable, condition: RawBuilder<unknown>): Promise<Entry[]> {
  const { rows } = await sql<
    Omit<UserEntry, 'createdAt' | 'deletedAt'> & { createdAt: Date; deletedAt: Date | null }
  >`
    select id, email, name, is_admin as "isAdmin", created_at as "createdAt", deleted_at as "deletedAt"
    from app_user where ${condition} order by id limit ${PAGE}`.execute(db)
  return rows.map((user) => ({
    user: {
      ...user,
      createdAt: user.createdAt.toISOString(),
      deletedAt: user.deletedAt?.toISOString() ?? null,
    },
  }))
}

async function albums(db: Queryable, condition: RawBuilder<unknown>): Promise<Entry[]> {
  const { rows } = await sql<Omit<AlbumEntry, 'createdAt'> & { createdAt: Date }>`
    select album.id, name, description, asset_order as "order", thumbnail_asset_id as cover, album.created_at as "createdAt",
      coalesce((select jsonb_agg(jsonb_build_object('user', user_id, 'role', role) order by user_id)
        from album_user where album_id = album.id), '[]') as members
    from album where ${condition} order by album.id limit ${PAGE}`.execute(db)
  return rows.map((album) => ({ album: { ...album, createdAt: album.createdAt.toISOString() } }))
}

type AssetRow = Omit<
  AssetEntry,
  'original' | 'sidecar' | 'fileCreatedAt' | 'fileModifiedAt' | 'createdAt' | 'trashedAt' | 'said' | 'albums'
> & {
  original: string
  sidecar: string | null
  fileCreatedAt: Date
  fileModifiedAt: Date
  createdAt: Date
  trashedAt: Date | null
  albums: { id: string; since: string }[]
  fields: string[] | null
  description: string
  rating: number | null
  latitude: number | null
  longitude: number | null
  dateTimeOriginal: Date | null
  zoneSaid: string | null
}

async function assets(db: Queryable, condition: RawBuilder<unknown>): Promise<Entry[]> {
  const { rows } = await sql<AssetRow>`
    select asset.id, asset.owner_id as owner, asset.type, original_file_name as name, original_mime_type as "mimeType",
      encode(checksum, 'hex') as sha1, original_object_id as original, sidecar.object_id as sidecar,
      file_created_at as "fileCreatedAt", file_modified_at as "fileModifiedAt", local_date_time as "localDateTime",
      asset.time_zone as "timeZone", asset.created_at as "createdAt", asset.deleted_at as "trashedAt",
      is_favorite as "isFavorite", visibility, live_photo_video_id as "livePhotoVideo", is_embedded as "isEmbedded",
      duration_ms as "durationMs",
      coalesce((select jsonb_agg(jsonb_build_object('id', album_id, 'since', created_at) order by album_id)
        from album_asset where asset_id = asset.id), '[]') as albums,
      exif.user_set as fields, exif.description, exif.rating, exif.latitude, exif.longitude,
      exif.date_time_original as "dateTimeOriginal", exif.time_zone as "zoneSaid"
    from asset
    left join asset_file sidecar on sidecar.asset_id = asset.id and sidecar.kind = 'sidecar'
    left join asset_exif exif on exif.asset_id = asset.id
    where ${condition} order by asset.id limit ${PAGE}`.execute(db)
  const ids = rows.flatMap(({ original, sidecar }) => (sidecar === null ? [original] : [original, sidecar]))
  const objects = await placesOfObjects(db, ids)
  return rows.flatMap((row): Entry[] => {
    const { fields, description, rating, latitude, longitude, dateTimeOriginal, zoneSaid, ...asset } = row
    const original = objects.get(row.original)
    if (original === undefined) return []
    const said =
      fields === null || fields.length === 0
        ? null
        : {
            ...{ fields, description, rating, latitude, longitude },
            dateTimeOriginal: dateTimeOriginal?.toISOString() ?? null,
            timeZone: zoneSaid,
          }
    return [
      {
        asset: {
          ...asset,
          original,
          sidecar: (row.sidecar !== null && objects.get(row.sidecar)) || null,
          fileCreatedAt: row.fileCreatedAt.toISOString(),
          fileModifiedAt: row.fileModifiedAt.toISOString(),
          createdAt: row.createdAt.toISOString(),
          trashedAt: row.trashedAt?.toISOString() ?? null,
          albums: row.albums.map(({ id, since }) => ({ id, since: new Date(since).toISOString() })),
          said,
        },
      },
    ]
  })
}
