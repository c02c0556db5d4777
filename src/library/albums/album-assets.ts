import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { type Actor, noAccess } from '../access.ts'
import { requireAlbum } from './album-access.ts'
import { chooseCovers } from './album-view.ts'
import { announceAlbum } from './albums.ts'

/** Immich's `BulkIdResponseDto`: what became of one id of a bulk request. */
export type BulkResult = {
  id: string
  success: boolean
  error?: 'duplicate' | 'no_permission' | 'not_found'
}

/**
 * Adds the actor's own assets to an album. One answer for each id, in the order given: `duplicate` for what
 * is in it already, `no_permission` for what is somebody else's or does not exist. Two statements, however
 * many ids (the Immich CLI sends 65,000).
 * @throws AppError invalid without access to the album
 */
export async function addAssetsToAlbum(
  db: Database,
  actor: Actor,
  albumId: string,
  assetIds: string[],
): Promise<BulkResult[]> {
  return db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, albumId, 'albumAsset.create')
    const own = await findOwnAssets(tx, actor, assetIds)
    const added = await insertIntoAlbums(tx, [albumId], [...own])
    const fresh = new Set(added.map((row) => row.assetId))
    return assetIds.map((id): BulkResult => {
      if (!own.has(id)) return { id, success: false, error: 'no_permission' }
      // `delete`: an id that is given twice is added once, and a duplicate the second time.
      return fresh.delete(id) ? { id, success: true } : { id, success: false, error: 'duplicate' }
    })
  })
}

/** Adds the actor's own assets to several albums. `success` if anything was added anywhere. */
export async function addAssetsToAlbums(
  db: Database,
  actor: Actor,
  albumIds: string[],
  assetIds: string[],
): Promise<{ success: boolean; error?: BulkResult['error'] }> {
  return db.transaction().execute(async (tx) => {
    const albums = await tx
      .selectFrom('album_user')
      .select('album_id')
      .where(sql<boolean>`album_id = any(${albumIds}::uuid[])`)
      .where('user_id', '=', actor.userId)
      .where('role', 'in', ['owner', 'editor'])
      .execute()
    const own = await findOwnAssets(tx, actor, assetIds)
    if (albums.length === 0 || own.size === 0) return { success: false, error: 'no_permission' }
    const added = await insertIntoAlbums(
      tx,
      albums.map((row) => row.album_id),
      [...own],
    )
    return added.length > 0 ? { success: true } : { success: false, error: 'duplicate' }
  })
}

/**
 * Takes assets out of an album; the assets themselves stay. Its owner may take out any, an editor their own.
 * One answer for each id, in the order given.
 * @throws AppError invalid without access to the album
 */
export async function removeAssetsFromAlbum(
  db: Database,
  actor: Actor,
  albumId: string,
  assetIds: string[],
): Promise<BulkResult[]> {
  return db.transaction().execute(async (tx) => {
    const role = await requireAlbum(tx, actor, albumId, 'albumAsset.delete')
    await lockAlbums(tx, [albumId])
    const { rows: members } = await sql<{ id: string; isRemovable: boolean }>`
      select asset.id, (${role === 'owner'}::boolean or asset.owner_id = ${actor.userId}::uuid) as "isRemovable"
      from album_asset join asset on asset.id = album_asset.asset_id
      where album_asset.album_id = ${albumId}::uuid and album_asset.asset_id = any(${assetIds}::uuid[])`.execute(
      tx,
    )
    const isRemovable = new Map(members.map((row) => [row.id, row.isRemovable]))
    const results = assetIds.map((id): BulkResult => {
      const may = isRemovable.get(id)
      if (may === undefined) return { id, success: false, error: 'not_found' }
      if (!may) return { id, success: false, error: 'no_permission' }
      isRemovable.delete(id)
      return { id, success: true }
    })
    const removed = results.filter((result) => result.success).map((result) => result.id)
    if (removed.length > 0) {
      await sql`delete from album_asset where album_id = ${albumId}::uuid and asset_id = any(${removed}::uuid[])`.execute(
        tx,
      )
      await sql`
        update album set updated_at = now(),
          thumbnail_asset_id = case when thumbnail_asset_id = any(${removed}::uuid[]) then null else thumbnail_asset_id end
        where id = ${albumId}::uuid`.execute(tx)
      await chooseCovers(tx, [albumId])
      await announceAlbum(tx, albumId)
    }
    return results
  })
}

async function findOwnAssets(tx: Tx, actor: Actor, assetIds: string[]): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('asset')
    .select('id')
    .where(sql<boolean>`id = any(${assetIds}::uuid[])`)
    .where('owner_id', '=', actor.userId)
    .where('visibility', '<>', 'locked')
    .execute()
  return new Set(rows.map((row) => row.id))
}

/** Every asset into every album. Answers the pairs that are new; what was deleted meanwhile is left out. */
async function insertIntoAlbums(
  tx: Tx,
  albumIds: string[],
  assetIds: string[],
): Promise<{ albumId: string; assetId: string }[]> {
  await lockAlbums(tx, albumIds)
  const { rows } = await sql<{ albumId: string; assetId: string }>`
    insert into album_asset (album_id, asset_id)
    select album.id, asset.id
    from unnest(${albumIds}::uuid[]) as album (id)
    cross join (select id from asset where id = any(${assetIds}::uuid[]) order by id for key share) as asset
    on conflict do nothing
    returning album_id as "albumId", asset_id as "assetId"`.execute(tx)
  const changed = [...new Set(rows.map((row) => row.albumId))]
  if (changed.length > 0) {
    await tx.updateTable('album').set({ updated_at: sql`now()` }).where('id', 'in', changed).execute()
    await chooseCovers(tx, changed)
    for (const albumId of changed) await announceAlbum(tx, albumId)
  }
  return rows
}

/**
 * Makes changes of one album's contents happen one after another, always in the order of ids: no deadlocks.
 * @throws AppError invalid where one was deleted meanwhile
 */
export async function lockAlbums(tx: Tx, albumIds: string[]): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    select id from album where id = any(${albumIds}::uuid[]) order by id for update`.execute(tx)
  if (rows.length !== albumIds.length) throw noAccess('album.read')
}
