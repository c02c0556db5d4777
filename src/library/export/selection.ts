/** Which photos and videos an export takes, and what belongs to each. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { isUuid } from '../../uuid.ts'
import { safeName } from './names.ts'

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

/** Page by page, in the order of owner, time and id. */
export async function* chosenAssets(db: Database, selection: Selection): AsyncGenerator<ChosenAsset[]> {
  const folders = await foldersOfUsers(db)
  let after: Row | null = null
  for (;;) {
    const rows: Row[] = await pageOf(db, selection, after)
    if (rows.length === 0) return
    yield rows.map((row) => {
      const owner = folders.get(row.ownerId) ?? row.ownerId
      return {
        ...row,
        folder: `${owner}/${row.day.slice(0, 4)}/${row.day.slice(0, 7)}`,
        film: row.filmObjectId === null ? null : { objectId: row.filmObjectId, name: row.filmName! },
      }
    })
    after = rows.at(-1)!
  }
}

type Row = Omit<ChosenAsset, 'folder' | 'film'> & {
  ownerId: string
  /** `2024-05-06`. */
  day: string
  /** With its microseconds, which a Date has not. */
  localTime: string
  filmObjectId: string | null
  filmName: string | null
}

async function pageOf(db: Database, selection: Selection, after: Row | null): Promise<Row[]> {
  const { ownerId, albumId, from, to, withTrash } = selection
  const { rows } = await sql<Row>`
    select a.id, a.owner_id as "ownerId", a.original_file_name as name, a.file_created_at as "takenAt",
      a.is_favorite as "isFavorite", a.original_object_id as "objectId",
      to_char(a.local_date_time, 'YYYY-MM-DD') as day, a.local_date_time::text as "localTime",
      film.original_object_id as "filmObjectId", film.original_file_name as "filmName",
      (select f.object_id from asset_file f where f.asset_id = a.id and f.kind = 'sidecar') as "sidecarObjectId",
      array(select album.name from album_asset l join album on album.id = l.album_id
        where l.asset_id = a.id order by album.name) as albums
    from asset a
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
