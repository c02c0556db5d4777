/** Trash, restore, purge. Only purge gives up bytes, and only when the user said so or the trash time is over. */
import { sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import { markForPurge } from '../placement/purge.ts'
import { type Actor, requireAssets } from './access.ts'

/** How long the trash keeps. */
export const TRASH_MS = 30 * 24 * 3_600_000
/** Assets purged in one transaction: short enough to hold up nobody. */
const PURGE_BATCH = 500

/** Into the trash, or, with `force`, gone for good. @throws AppError invalid when one is not the actor's. */
export async function deleteAssets(
  db: Database,
  actor: Actor,
  assetIds: readonly string[],
  options: { force: boolean },
): Promise<void> {
  await requireAssets(db, actor, assetIds, 'asset.delete')
  if (options.force) {
    await purgeAssets(db, assetIds)
    return
  }
  await db.transaction().execute(async (tx) => {
    const ids = await withMotionParts(tx, assetIds)
    const trashed = await tx
      .updateTable('asset')
      .set({ deleted_at: sql`now()`, updated_at: sql`now()` })
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .where('owner_id', '=', actor.userId)
      .where('deleted_at', 'is', null)
      .returning('id')
      .execute()
    await announce(
      tx,
      'assets-trashed',
      actor.userId,
      trashed.map((row) => row.id),
    )
  })
}

/** Out of the trash. Null: everything that is in it. Returns how many came back. */
export async function restoreAssets(
  db: Database,
  actor: Actor,
  assetIds: readonly string[] | null,
): Promise<number> {
  if (assetIds) await requireAssets(db, actor, assetIds, 'asset.delete')
  return db.transaction().execute(async (tx) => {
    let update = tx
      .updateTable('asset')
      .set({ deleted_at: null, updated_at: sql`now()` })
      .where('owner_id', '=', actor.userId)
      .where('deleted_at', 'is not', null)
    if (assetIds) {
      const ids = await withMotionParts(tx, assetIds)
      update = update.where(sql<boolean>`id = any(${ids}::uuid[])`)
    }
    const restored = await update.returning('id').execute()
    await announce(
      tx,
      'assets-restored',
      actor.userId,
      restored.map((row) => row.id),
    )
    return restored.length
  })
}

/** Purges all that the actor has in the trash. Returns how many. */
export async function emptyTrash(db: Database, actor: Actor): Promise<number> {
  const rows = await db
    .selectFrom('asset')
    .select('id')
    .where('owner_id', '=', actor.userId)
    .where('deleted_at', 'is not', null)
    .execute()
  return purgeAssets(
    db,
    rows.map((row) => row.id),
    { onlyTrashed: true },
  )
}

/** Purges what has been in the trash for longer than `TRASH_MS`. Returns how many. */
export async function purgeExpiredTrash(db: Database): Promise<number> {
  const rows = await db
    .selectFrom('asset')
    .select('id')
    .where('deleted_at', '<', sql<Date>`now() - ${TRASH_MS} * interval '1 millisecond'`)
    .execute()
  return purgeAssets(
    db,
    rows.map((row) => row.id),
    { onlyTrashed: true },
  )
}

/**
 * The end of assets: their rows go, their objects are marked for purge and their removal enqueued, in one transaction per
 * batch. `onlyTrashed`: one that was restored meanwhile is spared. Returns how many went.
 */
export async function purgeAssets(
  db: Database,
  assetIds: readonly string[],
  options: { onlyTrashed?: boolean } = {},
): Promise<number> {
  let purged = 0
  for (let start = 0; start < assetIds.length; start += PURGE_BATCH) {
    const batch = assetIds.slice(start, start + PURGE_BATCH)
    purged += await db.transaction().execute((tx) => purgeBatch(tx, batch, options.onlyTrashed ?? false))
  }
  return purged
}

async function purgeBatch(tx: Tx, assetIds: readonly string[], onlyTrashed: boolean): Promise<number> {
  const ids = await withMotionParts(tx, assetIds)
  let query = tx
    .selectFrom('asset')
    .select(['id', 'owner_id', 'original_object_id'])
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .orderBy('id')
    .forUpdate()
  if (onlyTrashed) query = query.where('deleted_at', 'is not', null)
  const assets = await query.execute()
  if (assets.length === 0) return 0
  const gone = assets.map((asset) => asset.id)
  const files = await tx
    .selectFrom('asset_file')
    .select('object_id')
    .where(sql<boolean>`asset_id = any(${gone}::uuid[])`)
    .execute()
  await sql`update asset set live_photo_video_id = null where live_photo_video_id = any(${gone}::uuid[])`.execute(
    tx,
  )
  await tx.deleteFrom('asset').where(sql<boolean>`id = any(${gone}::uuid[])`).execute()
  await markForPurge(tx, [
    ...assets.map((asset) => asset.original_object_id),
    ...files.map((file) => file.object_id),
  ])
  for (const [ownerId, own] of Map.groupBy(assets, (asset) => asset.owner_id)) {
    await announce(
      tx,
      'assets-deleted',
      ownerId,
      own.map((asset) => asset.id),
    )
  }
  return assets.length
}

/** The ids and those of the hidden videos of live photos among them, unless another still uses the video too. */
async function withMotionParts(tx: Tx, assetIds: readonly string[]): Promise<string[]> {
  const ids = assetIds as string[]
  const { rows } = await sql<{ id: string }>`
    select video.id from asset still join asset video on video.id = still.live_photo_video_id
    where still.id = any(${ids}::uuid[]) and video.visibility = 'hidden' and not exists (
      select from asset other where other.live_photo_video_id = video.id and other.id <> all(${ids}::uuid[]))`.execute(
    tx,
  )
  return [...new Set([...ids, ...rows.map((row) => row.id)])]
}

async function announce(
  tx: Tx,
  type: 'assets-deleted' | 'assets-trashed' | 'assets-restored',
  userId: string,
  assetIds: string[],
): Promise<void> {
  if (assetIds.length > 0) await publish(tx, { type, userId, assetIds })
}
