import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { type Actor, findAllowedAssets, noAccess } from '../access.ts'
import { type BulkResult, resultsOfAddition } from '../bulk-result.ts'
import { findAllowedAlbums, requireAlbum } from './album-access.ts'
import { chooseCovers } from './album-view.ts'
import { announceAlbum } from './albums.ts'

/**
 * Adds assets to an album: the actor's own, and partners'. One answer for each id, in the order given:
 * `duplicate` for what is in it already, `no_permission` for what is anybody else's or does not exist. A few
 * statements, however many ids (the Immich CLI sends 65,000).
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
    const allowed = await findAllowedAssets(tx, actor, assetIds, 'asset.share')
    const added = await insertIntoAlbums(tx, [albumId], [...allowed])
    return resultsOfAddition(assetIds, allowed, new Set(added.map((row) => row.assetId)))
  })
}

/** The same for several albums. `success` if anything was added anywhere. */
export async function addAssetsToAlbums(
  db: Database,
  actor: Actor,
  albumIds: string[],
  assetIds: string[],
): Promise<{ success: boolean; error?: BulkResult['error'] }> {
  return db.transaction().execute(async (tx) => {
    const albums = await findAllowedAlbums(tx, actor, albumIds, 'albumAsset.create')
    const allowed = await findAllowedAssets(tx, actor, assetIds, 'asset.share')
    if (albums.length === 0 || allowed.size === 0) return { success: false, error: 'no_permission' }
    const added = await insertIntoAlbums(tx, albums, [...allowed])
    return added.length > 0 ? { success: true } : { success: false, error: 'duplicate' }
  })
}

/**
 * Takes assets out of an album; the assets themselves stay. Its owner may take out any, an editor those that
 * they may put into it. One answer for each id, in the order given.
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
    const { rows: inside } = await sql<{ id: string }>`
      select asset_id as id from album_asset
      where album_id = ${albumId}::uuid and asset_id = any(${assetIds}::uuid[])`.execute(tx)
    const ids = inside.map((row) => row.id)
    const allowed = role === 'owner' ? new Set(ids) : await findAllowedAssets(tx, actor, ids, 'asset.share')
    const isRemovable = new Map(ids.map((id) => [id, allowed.has(id)]))
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
