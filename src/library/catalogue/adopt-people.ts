/** Users and albums that a catalogue names and the database lacks. */
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { hashPassword } from '../credentials/passwords.ts'

/**
 * What the database never knew: an entry of a batch that it did know was given up since. Made of `catalogue_found
 * found`.
 */
const IS_NEW = sql`not found.is_gone and not found.is_known`

/**
 * Makes the users. Their passwords are in no catalogue: nobody can log in as one of them before an administrator
 * has set a new one. Who writes to a bucket can make nobody an administrator of a server that has users.
 * @returns how many
 */
export async function adoptUsers(db: Queryable, { areAdmins }: { areAdmins: boolean }): Promise<number> {
  const { rows } = await sql`
    insert into app_user (id, email, name, password_hash, should_change_password, is_admin, is_onboarded, created_at)
    select id, entry ->> 'email', entry ->> 'name', ${await passwordOfNobody()}, true,
      ${areAdmins} and (entry ->> 'isAdmin')::boolean, true, (entry ->> 'createdAt')::timestamptz
    from catalogue_found found where kind = 'user' and ${IS_NEW}
    order by entry ->> 'createdAt', id
    on conflict do nothing returning id`.execute(db)
  return rows.length
}

/** Those that could not be made; some of them. */
export async function usersNotMade(db: Queryable): Promise<{ id: string; email: string }[]> {
  const { rows } = await sql<{ id: string; email: string }>`
    select id, entry ->> 'email' as email from catalogue_found found where kind = 'user' and ${IS_NEW}
      and not exists (select from app_user where app_user.id = found.id) order by id limit 20`.execute(db)
  return rows
}

/** Somebody of whom only files are left. */
export async function adoptUnknownUser(db: Queryable, id: string): Promise<boolean> {
  const { rows } = await sql`
    insert into app_user (id, email, name, password_hash, should_change_password, is_onboarded)
    values (${id}::uuid, ${`${id}@recovered.invalid`}, ${`Recovered ${id.slice(0, 8)}`}, ${await passwordOfNobody()},
      true, true)
    on conflict do nothing returning id`.execute(db)
  return rows.length > 0
}

let madeHash: Promise<string> | null = null

/** Of a password that was thrown away; one for all, since each costs a tenth of a second. */
function passwordOfNobody(): Promise<string> {
  madeHash ??= hashPassword(randomBytes(32).toString('base64'))
  return madeHash
}

/** Makes the albums whose owners are there, with those of their members that are. @returns how many */
export async function adoptAlbums(db: Queryable): Promise<number> {
  const { rows } = await sql`
    with made as (
      insert into album (id, name, description, asset_order, created_at)
      select id, entry ->> 'name', entry ->> 'description', entry ->> 'order', (entry ->> 'createdAt')::timestamptz
      from catalogue_found found
      where kind = 'album' and ${IS_NEW} and exists (
        select from jsonb_array_elements(entry -> 'members') as member
        join app_user on app_user.id = (member ->> 'user')::uuid where member ->> 'role' = 'owner')
      on conflict do nothing returning id)
    insert into album_user (album_id, user_id, role)
    select distinct on (made.id, app_user.id) made.id, app_user.id, member ->> 'role'
    from made join catalogue_found found on found.kind = 'album' and found.id = made.id
    cross join jsonb_array_elements(entry -> 'members') as member
    join app_user on app_user.id = (member ->> 'user')::uuid
    order by made.id, app_user.id, member ->> 'role' = 'owner' desc
    on conflict do nothing returning album_id`.execute(db)
  return new Set(rows.map((row) => (row as { album_id: string }).album_id)).size
}

/**
 * Puts assets into the albums that later states had them in; only those of the albums' members. @returns how
 * many
 */
export async function adoptAlbumAssets(db: Queryable): Promise<number> {
  const { rows } = await sql`
    insert into album_asset (album_id, asset_id, created_at)
    select album.id, asset.id, (held ->> 'since')::timestamptz
    from catalogue_found found
    join asset on asset.id = found.id
    cross join jsonb_array_elements(entry -> 'albums') as held
    join album on album.id = (held ->> 'id')::uuid
    join album_user on album_user.album_id = album.id and album_user.user_id = asset.owner_id
    where found.kind = 'asset' and ${IS_NEW} and asset.owner_id = (entry ->> 'owner')::uuid
    on conflict do nothing returning asset_id`.execute(db)
  return rows.length
}

/** Shows for each album what a later state showed for it, if that is in the album, and nothing is shown yet. */
export async function adoptAlbumCovers(db: Queryable): Promise<void> {
  await sql`
    update album set thumbnail_asset_id = (entry ->> 'cover')::uuid
    from catalogue_found found
    where found.kind = 'album' and ${IS_NEW} and album.id = found.id and album.thumbnail_asset_id is null
      and exists (select from album_asset where album_id = album.id
        and asset_id = (entry ->> 'cover')::uuid)`.execute(db)
}

/** Joins the pairs of live photos that were brought back. */
export async function adoptLivePhotos(db: Queryable): Promise<void> {
  await sql`
    update asset set live_photo_video_id = film.id
    from catalogue_found found, asset film
    where found.kind = 'asset' and ${IS_NEW} and asset.id = found.id and asset.live_photo_video_id is null
      and film.id = (entry ->> 'livePhotoVideo')::uuid and film.id <> asset.id and film.owner_id = asset.owner_id
      and film.type = 'VIDEO' and film.visibility = 'hidden'`.execute(db)
}
