/**
 * Trash, restore, purge. Only purge gives up bytes, and only when the user said so or the trash time is over.
 */
import { type RawBuilder, sql } from 'kysely'
import { NOW_AS_SEEN } from '../../database/clock.ts'
import type { Database, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import { advanceWhereDue, noteAdvanceDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import { type Actor, requireAssets } from '../access.ts'
import { leaveStacks } from './leave-stacks.ts'
import { findPartsToTrash, lockWithMotionParts, showPartsLeftBy } from './motion-parts.ts'

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
    const locked = await lockWithMotionParts(tx, assetIds)
    const parts = await findPartsToTrash(tx, assetIds, locked)
    await putIntoTrash(tx, [...assetIds, ...parts])
  })
}

/** Those that are not in it yet. */
async function putIntoTrash(tx: Tx, assetIds: readonly string[]): Promise<void> {
  const trashed = await tx
    .updateTable('asset')
    .set({ deleted_at: NOW_AS_SEEN, updated_at: sql`now()` })
    .where(sql<boolean>`id = any(${uuidArray(assetIds)}::uuid[])`)
    .where('deleted_at', 'is', null)
    .returning(['id', 'owner_id'])
    .execute()
  await announce(tx, 'assets-trashed', trashed)
}

/**
 * Everything in the trash stays there for its whole time from now on. For a database that was restored: it
 * may be in it by mistake.
 */
export async function restartTrashTime(db: Database): Promise<void> {
  await db
    .updateTable('asset')
    .set({ deleted_at: NOW_AS_SEEN, updated_at: sql`now()` })
    .where('deleted_at', 'is not', null)
    .execute()
}

/**
 * Out of the trash. Null: everything that is in it. Returns how many came back.
 * @throws AppError invalid when one is not the actor's
 */
export async function restoreAssets(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  assetIds: readonly string[] | null,
): Promise<number> {
  if (assetIds) await requireAssets(db, actor, assetIds, 'asset.delete')
  const restored = await db.transaction().execute((tx) => restoreFromTrash(tx, actor, assetIds))
  await advanceWhereDue(placement)
  return restored.length
}

/**
 * Out of the trash, with the moving parts of live photos, whoever else uses them; null: everything of the
 * actor's. Returns the ids of what was in it. To be followed by `advanceWhereDue` when it is committed: in an
 * older snapshot of this database they lie in the trash, and their time runs.
 */
export async function restoreFromTrash(
  tx: Tx,
  { userId }: Pick<Actor, 'userId'>,
  assetIds: readonly string[] | null,
): Promise<string[]> {
  let update = tx
    .updateTable('asset')
    .set({ deleted_at: null, updated_at: sql`now()` })
    .where('owner_id', '=', userId)
    .where('deleted_at', 'is not', null)
  if (assetIds) {
    const ids = await lockWithMotionParts(tx, assetIds)
    update = update.where(sql<boolean>`id = any(${uuidArray(ids)}::uuid[])`)
  }
  const restored = await update.returning(['id', 'owner_id']).execute()
  await announce(tx, 'assets-restored', restored)
  if (restored.length > 0) await noteAdvanceDue(tx)
  return restored.map(({ id }) => id)
}

/**
 * What must still hold of an asset when it is locked, for it may have been restored. Null: the user named it.
 */
type OnlyWhere = RawBuilder<boolean> | null

const IN_TRASH = sql<boolean>`asset.deleted_at is not null`
/** Not counting times that nobody has seen pass: a clock that is 40 days ahead must not empty the trash. */
const EXPIRED = sql<boolean>`(asset.deleted_at < now() - ${TRASH_MS} * interval '1 millisecond'
  and lived_since(asset.deleted_at) > ${TRASH_MS} * interval '1 millisecond')`

/**
 * Purges all that the actor has in the trash, but not the moving part of a still that stays. Returns how
 * many.
 */
export async function emptyTrash(db: Database, actor: Actor): Promise<number> {
  const rows = await db
    .selectFrom('asset')
    .select('id')
    .where('owner_id', '=', actor.userId)
    .where(IN_TRASH)
    .execute()
  return purgeInBatches(
    db,
    rows.map((row) => row.id),
    IN_TRASH,
  )
}

/**
 * Purges what has been in the trash for longer than `TRASH_MS`, but not the moving part of a still that
 * stays. Returns how many.
 */
export async function purgeExpiredTrash(db: Database): Promise<number> {
  const rows = await db.selectFrom('asset').select('id').where(EXPIRED).execute()
  return purgeInBatches(
    db,
    rows.map((row) => row.id),
    EXPIRED,
  )
}

/**
 * The end of assets that the user has named, in the trash or not, and of the moving parts that nothing else
 * uses: their rows go, their objects are marked for purge and their removal enqueued, in one transaction per
 * batch. Returns how many went.
 */
export async function purgeAssets(db: Database, assetIds: readonly string[]): Promise<number> {
  return purgeInBatches(db, assetIds, null)
}

async function purgeInBatches(
  db: Database,
  assetIds: readonly string[],
  onlyWhere: OnlyWhere,
): Promise<number> {
  let purged = 0
  for (let start = 0; start < assetIds.length; start += PURGE_BATCH) {
    const batch = assetIds.slice(start, start + PURGE_BATCH)
    purged += await db.transaction().execute((tx) => purgeBatch(tx, batch, onlyWhere))
  }
  return purged
}

async function purgeBatch(tx: Tx, assetIds: readonly string[], onlyWhere: OnlyWhere): Promise<number> {
  const locked = await lockWithMotionParts(tx, assetIds)
  // One that a still in the trash uses as well is in the trash from now on, until that still is purged, too.
  if (onlyWhere === null) await putIntoTrash(tx, await findPartsToTrash(tx, assetIds, locked))
  const assets = await findGoing(tx, assetIds, locked, onlyWhere)
  if (assets.length === 0) return 0
  const gone = assets.map((asset) => asset.id)
  const files = await tx
    .selectFrom('asset_file')
    .select('object_id')
    .where(sql<boolean>`asset_id = any(${uuidArray(gone)}::uuid[])`)
    .execute()
  await showPartsLeftBy(tx, gone)
  await leaveStacks(tx, gone)
  await sql`update asset set live_photo_video_id = null where live_photo_video_id = any(${uuidArray(gone)}::uuid[])`.execute(
    tx,
  )
  await tx
    .deleteFrom('asset')
    .where(sql<boolean>`id = any(${uuidArray(gone)}::uuid[])`)
    .execute()
  const objects = [...assets.map((asset) => asset.original_object_id), ...files.map((file) => file.object_id)]
  await markForPurge(tx, objects, 'user')
  await announce(tx, 'assets-deleted', assets)
  return assets.length
}

type Going = { id: string; owner_id: string; original_object_id: string }

/**
 * Of the locked assets those that go: the named, and the moving parts in the trash that no still needs then.
 */
async function findGoing(
  tx: Tx,
  assetIds: readonly string[],
  locked: readonly string[],
  onlyWhere: OnlyWhere,
): Promise<Going[]> {
  const isNamed = sql<boolean>`asset.id = any(${uuidArray(assetIds)}::uuid[])`
  const { rows } = await sql<Going>`
    with going as (
      select id, owner_id, original_object_id, visibility, ${isNamed} as is_named from asset
      where id = any(${uuidArray(locked)}::uuid[]) and ${onlyWhere ?? sql<boolean>`(${isNamed} or ${IN_TRASH})`})
    select id, owner_id, original_object_id from going
    where case when visibility <> 'hidden' or (is_named and ${onlyWhere === null}) then is_named
      else not exists (
        select from asset still where still.live_photo_video_id = going.id
          and still.id not in (select id from going)) end`.execute(tx)
  return rows
}

async function announce(
  tx: Tx,
  type: 'assets-deleted' | 'assets-trashed' | 'assets-restored',
  assets: readonly { id: string; owner_id: string }[],
): Promise<void> {
  for (const [userId, own] of Map.groupBy(assets, (asset) => asset.owner_id)) {
    await publish(tx, { type, userId, assetIds: own.map(({ id }) => id) })
  }
}
