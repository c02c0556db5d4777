import { type RawBuilder, sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import { AppError } from '../errors.ts'
import { type Actor, noAccess } from './access.ts'
import { requireAlbum } from './album-access.ts'
import { type AlbumView, chooseCovers, readAlbums, SHOWN_IN_ALBUM } from './album-view.ts'
import { getPreferences } from './preferences.ts'

export type AlbumFilter = {
  id?: string | undefined
  /** Albums that hold this asset. */
  assetId?: string | undefined
  name?: string | undefined
  isOwned?: boolean | undefined
  isShared?: boolean | undefined
}

export type AlbumMember = { userId: string; role: 'editor' | 'viewer' }

/** The albums that the actor owns or is a member of, newest first. */
export async function listAlbums(db: Database, actor: Actor, filter: AlbumFilter = {}): Promise<AlbumView[]> {
  const conditions: RawBuilder<unknown>[] = [
    sql`exists (select from album_user where album_id = album.id and user_id = ${actor.userId}::uuid
          ${filter.isOwned === undefined ? sql`` : sql`and (role = 'owner') = ${filter.isOwned}::boolean`})`,
  ]
  if (filter.id !== undefined) conditions.push(sql`album.id = ${filter.id}::uuid`)
  if (filter.name !== undefined) conditions.push(sql`album.name = ${filter.name}`)
  if (filter.assetId !== undefined) {
    conditions.push(
      sql`exists (select from album_asset where album_id = album.id and asset_id = ${filter.assetId}::uuid)`,
    )
  }
  if (filter.isShared !== undefined) {
    conditions.push(
      sql`exists (select from album_user where album_id = album.id and role <> 'owner') = ${filter.isShared}::boolean`,
    )
  }
  return readAlbums(db, sql.join(conditions, sql` and `))
}

/** One album with the share of each contributor. @throws AppError invalid without access */
export async function getAlbum(db: Database, actor: Actor, id: string): Promise<AlbumView> {
  await requireAlbum(db, actor, id, 'album.read')
  const [album] = await readAlbums(db, sql`album.id = ${id}::uuid`)
  if (album === undefined) throw noAccess('album.read')
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

/**
 * Creates an album. Of `assetIds`, those that are not the actor's own are left out, as Immich does.
 * @throws AppError invalid: a member who does not exist or is the owner
 */
export async function createAlbum(
  db: Database,
  actor: Actor,
  wish: { name: string; description: string; members: AlbumMember[]; assetIds: string[] },
): Promise<AlbumView> {
  const { albums } = await getPreferences(db, actor.userId)
  const id = await db.transaction().execute(async (tx) => {
    await requireKnownMembers(tx, actor.userId, wish.members)
    const album = await tx
      .insertInto('album')
      .values({ name: wish.name, description: wish.description, asset_order: albums.defaultAssetOrder })
      .returning('id')
      .executeTakeFirstOrThrow()
    await tx
      .insertInto('album_user')
      .values(
        [{ userId: actor.userId, role: 'owner' as const }, ...wish.members].map(({ userId, role }) => ({
          album_id: album.id,
          user_id: userId,
          role,
        })),
      )
      .execute()
    await sql`
      insert into album_asset (album_id, asset_id)
      select ${album.id}::uuid, id from asset
      where id = any(${wish.assetIds}::uuid[]) and owner_id = ${actor.userId}::uuid and visibility <> 'locked'`.execute(
      tx,
    )
    await chooseCovers(tx, [album.id])
    await announceAlbum(tx, album.id)
    return album.id
  })
  return getAlbum(db, actor, id)
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
  return getAlbum(db, actor, id)
}

/** Deletes an album; its assets stay. @throws AppError invalid without access */
export async function deleteAlbum(db: Database, actor: Actor, id: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, id, 'album.delete')
    await announceAlbum(tx, id)
    await tx.deleteFrom('album').where('id', '=', id).execute()
  })
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
    where mine.user_id = ${actor.userId}::uuid`.execute(db)
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

/** @throws AppError invalid: a member is the owner, or not a user of this server */
export async function requireKnownMembers(tx: Tx, ownerId: string, members: AlbumMember[]): Promise<void> {
  if (members.some((member) => member.userId === ownerId)) {
    throw new AppError('invalid', 'albumUsers: the owner is a member already; leave them out')
  }
  const ids = [...new Set(members.map((member) => member.userId))]
  if (ids.length !== members.length) throw new AppError('invalid', 'albumUsers: a user is named twice')
  if (ids.length === 0) return
  const known = await tx
    .selectFrom('app_user')
    .select('id')
    .where('id', 'in', ids)
    .where('deleted_at', 'is', null)
    .execute()
  if (known.length !== ids.length) throw new AppError('invalid', 'User not found')
}

async function requireInAlbum(tx: Tx, albumId: string, assetId: string): Promise<void> {
  const row = await tx
    .selectFrom('album_asset')
    .select('asset_id')
    .where('album_id', '=', albumId)
    .where('asset_id', '=', assetId)
    .executeTakeFirst()
  if (row === undefined) throw new AppError('invalid', 'albumThumbnailAssetId: choose an asset of this album')
}
