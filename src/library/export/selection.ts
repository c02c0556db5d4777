/** Which photos and videos an export takes, and what belongs to each. */
import { extname } from 'node:path'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { AssetType } from '../../database/schema.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { isUuid } from '../../uuid.ts'
import { safeName } from '../file-names.ts'
import type { PathTemplate } from '../path-templates/template.ts'
import type { PathSubject } from '../path-templates/variables.ts'

/** All that is not narrowed down. `from`, `to`: days, as the photo's own clock showed them, both included. */
export type Selection = {
  ownerId: string | null
  albumId: string | null
  from: string | null
  to: string | null
  withTrash: boolean
}

export type ChosenAsset = {
  id: string
  /** Below the export's folder: `Anna/2024/2024-05`. */
  folder: string
  /** As the file is to be called, with its extension. */
  fileName: string
  name: string
  takenAt: Date
  isFavorite: boolean
  albums: string[]
  objectId: string
  /** Of a live photo, unless the still's file holds it. */
  film: { objectId: string; name: string } | null
  sidecarObjectId: string | null
}

const PAGE = 500
/** @throws AppError invalid */
export async function ownerByEmail(db: Database, email: string): Promise<string> {
  const row = await db
    .selectFrom('app_user')
    .select('id')
    .where(sql<boolean>`lower(email) = lower(${email})`)
    .executeTakeFirst()
  if (row === undefined) throw new AppError('invalid', `--user: nobody has the address ${email}.`)
  return row.id
}

/** By its id or, where only one is called so, its name. @throws AppError invalid */
export async function albumByName(db: Database, wanted: string): Promise<string> {
  const rows = await db
    .selectFrom('album')
    .select(['id', 'name'])
    .where((eb) => (isUuid(wanted) ? eb('id', '=', wanted) : eb('name', '=', wanted)))
    .limit(2)
    .execute()
  if (rows.length === 0) throw new AppError('invalid', `--album: there is no album "${wanted}".`)
  if (rows.length > 1)
    throw new AppError('invalid', `--album: several albums are called "${wanted}": give the id of one.`)
  return rows[0]!.id
}

/**
 * Page by page, in the order of owner, time and id.
 * @param template null: by year and month, under the name of the upload
 */
export async function* chosenAssets(
  db: Database,
  selection: Selection,
  template: PathTemplate | null,
): AsyncGenerator<ChosenAsset[]> {
  const folders = await foldersOfUsers(db)
  let after: Row | null = null
  for (;;) {
    const rows: Row[] = await pageOf(db, selection, after)
    if (rows.length === 0) return
    const newest = template?.readsAlbums ? await newestAlbums(db, rows) : new Map<string, Album>()
    yield rows.map((row) => {
      const owner = folders.get(row.ownerId) ?? row.ownerId
      const parts = template?.pathOf(subjectOf(row, newest.get(row.id) ?? null))
      return {
        ...row,
        folder: [owner, ...(parts?.slice(0, -1) ?? [row.day.slice(0, 4), row.day.slice(0, 7)])].join('/'),
        fileName: safeName(parts === undefined ? row.name : parts.at(-1)! + extname(row.name), row.id),
        film: row.filmObjectId === null ? null : { objectId: row.filmObjectId, name: row.filmName! },
      }
    })
    after = rows.at(-1)!
  }
}

type Row = Omit<ChosenAsset, 'folder' | 'fileName' | 'film'> & {
  ownerId: string
  /** `2024-05-06`. */
  day: string
  /** With its microseconds, which a Date has not. */
  localTime: string
  type: AssetType
  make: string | null
  model: string | null
  lensModel: string | null
  filmObjectId: string | null
  filmName: string | null
}

async function pageOf(db: Database, selection: Selection, after: Row | null): Promise<Row[]> {
  const { ownerId, albumId, from, to, withTrash } = selection
  const { rows } = await sql<Row>`
    select a.id, a.owner_id as "ownerId", a.original_file_name as name, a.file_created_at as "takenAt",
      a.is_favorite as "isFavorite", a.original_object_id as "objectId",
      to_char(a.local_date_time, 'YYYY-MM-DD') as day, a.local_date_time::text as "localTime",
      a.type, exif.make, exif.model, exif.lens_model as "lensModel",
      film.original_object_id as "filmObjectId", film.original_file_name as "filmName",
      (select f.object_id from asset_file f where f.asset_id = a.id and f.kind = 'sidecar') as "sidecarObjectId",
      array(select album.name from album_asset l join album on album.id = l.album_id
        where l.asset_id = a.id order by album.name) as albums
    from asset a
    left join asset_exif exif on exif.asset_id = a.id
    left join asset film on film.id = a.live_photo_video_id and not film.is_embedded
      and (${withTrash} or film.deleted_at is null)
    where (${ownerId}::uuid is null or a.owner_id = ${ownerId}::uuid)
      and (${albumId}::uuid is null
        or exists (select from album_asset l where l.asset_id = a.id and l.album_id = ${albumId}::uuid))
      and (${from}::date is null or a.local_date_time >= ${from}::date)
      and (${to}::date is null or a.local_date_time < ${to}::date + 1)
      and (${withTrash} or a.deleted_at is null)
      -- A film goes with its still, or with none; one that its still's file holds is there already.
      and not a.is_embedded and not exists (select from asset still where still.live_photo_video_id = a.id
        and (${withTrash} or still.deleted_at is null))
      and (${after === null} or (a.owner_id, a.local_date_time, a.id) >
        (${after?.ownerId ?? null}::uuid, ${after?.localTime ?? null}::timestamp, ${after?.id ?? null}::uuid))
    order by a.owner_id, a.local_date_time, a.id limit ${PAGE}`.execute(db)
  return rows
}

type Album = NonNullable<PathSubject['album']>

/** Of each photo the album that was made last, with the first and the last day of its photos. */
async function newestAlbums(db: Database, rows: readonly Row[]): Promise<Map<string, Album>> {
  const found = await sql<{ assetId: string; name: string; startsAt: string; endsAt: string }>`
    with newest as (
      select distinct on (l.asset_id) l.asset_id, album.id, album.name
      from album_asset l join album on album.id = l.album_id
      where l.asset_id = any(${uuidArray(rows.map(({ id }) => id))}::uuid[])
      order by l.asset_id, album.created_at desc, album.id
    ), days as (
      select l.album_id, min(a.local_date_time) as starts_at, max(a.local_date_time) as ends_at
      from album_asset l join asset a on a.id = l.asset_id
      where l.album_id in (select id from newest) and a.deleted_at is null group by l.album_id
    )
    select asset_id as "assetId", name, starts_at::text as "startsAt", ends_at::text as "endsAt"
    from newest join days on days.album_id = newest.id`.execute(db)
  return new Map(
    found.rows.map(({ assetId, name, startsAt, endsAt }) => [
      assetId,
      { name, startsAt: ownClock(startsAt), endsAt: ownClock(endsAt) },
    ]),
  )
}

function subjectOf(row: Row, album: Album | null): PathSubject {
  const { id: assetId, name, type, make, model, lensModel } = row
  return { assetId, name, type, takenAt: ownClock(row.localTime), make, model, lensModel, album }
}

/** `2024-05-06 07:08:09.01`, as PostgreSQL writes it. */
const ownClock = (text: string) => new Date(`${text.replace(' ', 'T')}Z`)

/** By name; by name and address where two have the same. */
async function foldersOfUsers(db: Database): Promise<Map<string, string>> {
  const users = await db.selectFrom('app_user').select(['id', 'name', 'email']).execute()
  const inLowerCase = users.map(({ name }) => safeName(name, 'user').toLowerCase())
  return new Map(
    users.map(({ id, name, email }) => {
      const own = safeName(name, 'user')
      const isAlone = inLowerCase.filter((one) => one === own.toLowerCase()).length === 1
      return [id, isAlone ? own : safeName(`${own} (${email})`, id)]
    }),
  )
}
