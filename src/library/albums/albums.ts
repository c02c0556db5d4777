import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import type { AlbumRole } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { type Actor, findAllowedAssets, noAccess } from '../access.ts'
import { getPreferences } from '../users/preferences.ts'
import { HAS_DELETED_OWNER, requireAlbum } from './album-access.ts'
import { type AlbumView, chooseCovers, readAlbums, SHOWN_IN_ALBUM } from './album-view.ts'

export type AlbumFilter = {
  id?: string | undefined
  /** Albums that hold this asset; the other filters don't count then. */
  assetId?: string | undefined
  name?: string | undefined
  isOwned?: boolean | undefined
  isShared?: boolean | undefined
}

/** `owner` is what nobody can be made. */
export type AlbumMember = { userId: string; role: AlbumRole }

/** The albums that the actor owns or is a member of, newest first. */
export async function listAlbums(db: Database, actor: Actor, filter: AlbumFilter = {}): Promise<AlbumView[]> {
  const isMember = (more: RawBuilder<unknown> = sql``) =>
    sql`exists (select from album_user where album_id = album.id and user_id = ${actor.userId}::uuid ${more})`
  if (filter.assetId !== undefined) {
    const holdsIt = sql`exists (select from album_asset where album_id = album.id and asset_id = ${filter.assetId}::uuid)`
    return readAlbums(db, actor.userId, sql`${isMember()} and ${holdsIt}`)
  }
  const conditions: RawBuilder<unknown>[] = [
    isMember(filter.isOwned === undefined ? sql`` : sql`and (role = 'owner') = ${filter.isOwned}::boolean`),
  ]
  if (filter.id !== undefined) conditions.push(sql`album.id = ${filter.id}::uuid`)
  if (filter.name !== undefined) conditions.push(sql`album.name = ${filter.name}`)
  if (filter.isShared !== undefined) {
    conditions.push(
      sql`exists (select from album_user where album_id = album.id and role <> 'owner') = ${filter.isShared}::boolean`,
    )
  }
  return readAlbums(db, actor.userId, sql.join(conditions, sql` and `))
}

/** One album; a shared one with the share of each contributor. @throws AppError invalid without access */
export async function getAlbum(db: Database, actor: Actor, id: string): Promise<AlbumView> {
  const album = await readOne(db, actor, id)
  if (!album.shared) return album
  const contributorCounts = await db
    .selectFrom('album_asset')
    .innerJoin('asset', 'asset.id', 'album_asset.asset_id')
    .select((eb) => ['asset.owner_id as userId', eb.fn.countAll<number>().as('assetCount')])
    .where('album_asset.album_id', '=', id)
    .where(SHOWN_IN_ALBUM)
    .groupBy('asset.owner_id')
    .orderBy('assetCount', 'desc')
    .execute()
  return { ...album, contributorCounts }
}

async function readOne(db: Database, actor: Actor, id: string): Promise<AlbumView> {
  await requireAlbum(db, actor, id, 'album.read')
  const [album] = await readAlbums(db, actor.userId, sql`album.id = ${id}::uuid`)
  if (album === undefined) throw noAccess('album.read')
  return album
}

/**
 * Creates an album. Of `assetIds`, those that are neither the actor's own nor a partner's, or are deleted at
 * this moment, are left out, as Immich does, and so is the actor of the members.
 * @throws AppError invalid: a member who does not exist, or is to be another owner
 */
export async function createAlbum(
  db: Database,
  actor: Actor,
  wish: { name: string; description: string; members: AlbumMember[]; assetIds: string[] },
): Promise<AlbumView> {
  const { albums } = await getPreferences(db, actor.userId)
  const id = await db.transaction().execute(async (tx) => {
    const members = wish.members.filter(({ userId }) => userId !== actor.userId)
    await requireKnownMembers(tx, members, 'Invalid user')
    const album = await tx
      .insertInto('album')
      .values({ name: wish.name, description: wish.description, asset_order: albums.defaultAssetOrder })
      .returning('id')
      .executeTakeFirstOrThrow()
    await tx
      .insertInto('album_user')
      .values(
        [{ userId: actor.userId, role: 'owner' as const }, ...members].map(({ userId, role }) => ({
          album_id: album.id,
          user_id: userId,
          role,
        })),
      )
      .execute()
    const allowed = await findAllowedAssets(tx, actor, wish.assetIds, 'asset.share')
    await sql`
      insert into album_asset (album_id, asset_id)
      select ${album.id}::uuid, id from (
        select id from asset where id = any(${[...allowed]}::uuid[]) order by id for key share) as allowed`.execute(
      tx,
    )
    await chooseCovers(tx, [album.id])
    await announceAlbum(tx, album.id)
    return album.id
  })
  return readOne(db, actor, id)
}

/** Changes an album. @throws AppError invalid without access, or where the cover is not in the album */
export async function updateAlbum(
  db: Database,
  actor: Actor,
  id: string,
  change: {
    name?: string | undefined
    description?: string | undefined
    thumbnailAssetId?: string | undefined
    isActivityEnabled?: boolean | undefined
    order?: 'asc' | 'desc' | undefined
  },
): Promise<AlbumView> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, id, 'album.update')
    if (change.thumbnailAssetId !== undefined) await requireInAlbum(tx, id, change.thumbnailAssetId)
    await tx
      .updateTable('album')
      .set({
        ...(change.name !== undefined && { name: change.name }),
        ...(change.description !== undefined && { description: change.description }),
        ...(change.thumbnailAssetId !== undefined && { thumbnail_asset_id: change.thumbnailAssetId }),
        ...(change.isActivityEnabled !== undefined && { is_activity_enabled: change.isActivityEnabled }),
        ...(change.order !== undefined && { asset_order: change.order }),
        updated_at: sql`now()`,
      })
      .where('id', '=', id)
      .execute()
    await announceAlbum(tx, id)
  })
  return readOne(db, actor, id)
}

/** Deletes an album; its assets stay. @throws AppError invalid without access */
export async function deleteAlbum(db: Database, actor: Actor, id: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, id, 'album.delete')
    await announceAlbum(tx, id)
    await tx.deleteFrom('album').where('id', '=', id).execute()
  })
}

/** Deletes the albums that a user owns who is being removed; what others have put into them stays theirs. */
export async function deleteAlbumsOf(db: Database, userId: string): Promise<void> {
  const owned = await db
    .selectFrom('album_user')
    .select('album_id as id')
    .where('user_id', '=', userId)
    .where('role', '=', 'owner')
    .execute()
  for (const { id } of owned) {
    await db.transaction().execute(async (tx) => {
      await announceAlbum(tx, id)
      await tx.deleteFrom('album').where('id', '=', id).execute()
    })
  }
}

export async function ownsAlbum(db: Queryable, userId: string): Promise<boolean> {
  const row = await db
    .selectFrom('album_user')
    .select('album_id')
    .where('user_id', '=', userId)
    .where('role', '=', 'owner')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** How many albums the actor owns, how many of theirs or others' are shared, how many of theirs are not. */
export async function albumStatistics(
  db: Database,
  actor: Actor,
): Promise<{ owned: number; shared: number; notShared: number }> {
  const { rows } = await sql<{ owned: number; shared: number; notShared: number }>`
    select count(*) filter (where mine.role = 'owner') as owned,
           count(*) filter (where shared) as shared,
           count(*) filter (where mine.role = 'owner' and not shared) as "notShared"
    from album_user mine,
      lateral (select exists (select from album_user other where other.album_id = mine.album_id and other.role <> 'owner')
               as shared) as sharing
    where mine.user_id = ${actor.userId}::uuid
      and not exists (select from album where album.id = mine.album_id and ${HAS_DELETED_OWNER})`.execute(db)
  return rows[0]!
}

/** Tells every member that the album changed. */
export async function announceAlbum(tx: Tx, albumId: string): Promise<void> {
  const members = await tx
    .selectFrom('album_user')
    .select('user_id')
    .where('album_id', '=', albumId)
    .execute()
  await publish(tx, { type: 'album-updated', albumId, userIds: members.map((member) => member.user_id) })
}

/** @throws AppError invalid: somebody is to be another owner, or is no user of this server (`unknown`) */
export async function requireKnownMembers(
  tx: Tx,
  members: readonly AlbumMember[],
  unknown: string,
): Promise<void> {
  if (members.some(({ role }) => role === 'owner')) throw new AppError('invalid', 'Cannot add another owner')
  const ids = [...new Set(members.map((member) => member.userId))]
  if (ids.length !== members.length) throw new AppError('invalid', 'albumUsers: a user is named twice')
  if (ids.length === 0) return
  const known = await tx
    .selectFrom('app_user')
    .select('id')
    .where('id', 'in', ids)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .forKeyShare()
    .execute()
  if (known.length !== ids.length) throw new AppError('invalid', unknown)
}

async function requireInAlbum(tx: Tx, albumId: string, assetId: string): Promise<void> {
  // Locked: it may be deleted at this moment.
  const row = await tx
    .selectFrom('album_asset')
    .innerJoin('asset', 'asset.id', 'album_asset.asset_id')
    .select('asset_id')
    .where('album_id', '=', albumId)
    .where('asset_id', '=', assetId)
    .forKeyShare('asset')
    .executeTakeFirst()
  if (row !== undefined) return
  const field = { path: ['albumThumbnailAssetId'], message: 'choose an asset of this album', code: 'custom' }
  throw new AppError('invalid', 'Invalid album thumbnail', { fields: [field] })
}
