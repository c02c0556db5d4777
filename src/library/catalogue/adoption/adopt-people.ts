/** Users and albums that a catalogue names and the database lacks. */
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { NOW_AS_SEEN } from '../../../database/clock.ts'
import type { Queryable, Tx } from '../../../database/connect.ts'
import { noteAdvanceDue } from '../../../placement/locations/due-advance.ts'
import { hashPassword } from '../../credentials/passwords.ts'
import { lockUsers } from '../../users/users.ts'

/**
 * A condition on `catalogue_found found`: an entry that the database never knew. What it lacks of an entry
 * that it did know, it has given up itself.
 */
const IS_NEW = sql`not found.is_gone and not found.is_known`
/** And of an asset that was not there after an earlier run: what people have done with it since stays. */
const IS_NEW_HERE = sql`${IS_NEW} and not found.is_there_already`

/**
 * Makes the users. Their passwords are in no catalogue: nobody can log in as one of them before an
 * administrator has set a new one. Who writes to a bucket can make nobody an administrator of a server that
 * has users. One who was deleted stays so, and can be restored for the whole time. @returns how many
 */
export async function adoptUsers(db: Queryable, { areAdmins }: { areAdmins: boolean }): Promise<number> {
  const { rows } = await sql`
    insert into app_user (id, email, name, password_hash, should_change_password, is_admin, is_onboarded, created_at,
      deleted_at)
    select id, entry ->> 'email', entry ->> 'name', ${await passwordOfNobody()}, true,
      ${areAdmins} and (entry ->> 'isAdmin')::boolean and entry -> 'deletedAt' = 'null', true,
      (entry ->> 'createdAt')::timestamptz,
      case when entry -> 'deletedAt' <> 'null' then ${NOW_AS_SEEN} end
    from catalogue_found found where kind = 'user' and ${IS_NEW}
    order by entry ->> 'createdAt', id
    on conflict do nothing returning id`.execute(db)
  return rows.length
}

/**
 * Users who were deleted when the backup was made, and restored later, before their removal began. Where the
 * database was used since it was restored (`isFresh` is false), one who was changed there stays as they are.
 */
export async function restoreUsersAsLater(tx: Tx, { isFresh }: { isFresh: boolean }): Promise<void> {
  await lockUsers(tx)
  const { rows } = await sql`
    update app_user set deleted_at = null, updated_at = now()
    from catalogue_found found
    where found.kind = 'user' and ${IS_NEW} and found.id = app_user.id and entry -> 'deletedAt' = 'null'
      and app_user.deleted_at is not null and removal_begun_at is null
      and (${isFresh} or not exists (
        select from catalogue_change where subject = 'user' and subject_id = app_user.id))
    returning app_user.id`.execute(tx)
  if (rows.length > 0) await noteAdvanceDue(tx)
}

/** Some of the users that could not be made. */
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
    where found.kind = 'asset' and ${IS_NEW_HERE} and asset.owner_id = (entry ->> 'owner')::uuid
    on conflict do nothing returning asset_id`.execute(db)
  return rows.length
}

/**
 * Shows for each album what a later state showed for it, if that is in the album, and nothing is shown yet.
 */
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
    where found.kind = 'asset' and ${IS_NEW_HERE} and asset.id = found.id and asset.live_photo_video_id is null
      and film.id = (entry ->> 'livePhotoVideo')::uuid and film.id <> asset.id and film.owner_id = asset.owner_id
      and film.type = 'VIDEO' and film.visibility = 'hidden'`.execute(db)
}
