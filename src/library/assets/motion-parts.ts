/**
 * The moving parts of live photos: hidden videos that one still uses, or several. They go where their stills
 * go:
 *
 * - Into the trash with the last still that was not in it, and out of it with the first that leaves it.
 * - A purge takes one only when it is in the trash and no still that stays uses it. One that was uploaded
 *   again by itself while its stills were in the trash has been acknowledged since, and stays.
 * - What the user does to one by its own id is done. But only a purge by its id takes it from a still.
 */
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'

/**
 * Locks the assets and the videos that they use until the transaction is over, in the order of ids as
 * everybody who locks several does. Whoever makes another still of such a video, or takes one out of the
 * trash, waits, and so what is asked about them afterwards holds. Returns all of their ids.
 */
export async function lockWithMotionParts(tx: Tx, assetIds: readonly string[]): Promise<string[]> {
  const ids = [...new Set([...assetIds, ...(await partsOf(tx, assetIds))])]
  await lockInOrder(tx, ids)
  // A still may have got its film before it was locked here.
  const late = (await partsOf(tx, assetIds)).filter((id) => !ids.includes(id))
  if (late.length > 0) await lockInOrder(tx, late)
  return [...ids, ...late]
}

async function partsOf(tx: Tx, stillIds: readonly string[]): Promise<string[]> {
  const parts = await tx
    .selectFrom('asset')
    .select('live_photo_video_id as id')
    .distinct()
    .where(sql<boolean>`id = any(${uuidArray(stillIds)}::uuid[])`)
    .where('live_photo_video_id', 'is not', null)
    .$narrowType<{ id: string }>()
    .execute()
  return parts.map(({ id }) => id)
}

async function lockInOrder(tx: Tx, ids: readonly string[]): Promise<void> {
  await sql`select from asset where id = any(${uuidArray(ids)}::uuid[]) order by id for update`.execute(tx)
}

/**
 * Which of the locked assets go into the trash with those of these that are not in it yet: hidden videos that
 * no still uses which stays out of it.
 */
export async function findPartsToTrash(
  tx: Tx,
  assetIds: readonly string[],
  locked: readonly string[],
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select distinct video.id from asset still join asset video on video.id = still.live_photo_video_id
    where still.id = any(${uuidArray(assetIds)}::uuid[]) and still.deleted_at is null
      and video.id = any(${uuidArray(locked)}::uuid[]) and video.visibility = 'hidden' and video.deleted_at is null
      and not exists (
        select from asset other where other.live_photo_video_id = video.id and other.deleted_at is null
          and other.id <> all(${uuidArray(assetIds)}::uuid[]))`.execute(tx)
  return rows.map(({ id }) => id)
}

/**
 * Hidden videos whose last still goes, and that don't go with it, would be seen by nobody any more: they take
 * its place. To be called before the stills' rows go.
 */
export async function showPartsLeftBy(tx: Tx, goneIds: readonly string[]): Promise<void> {
  const { rows } = await sql<{ id: string; userId: string }>`
    update asset set visibility = still.visibility, updated_at = now()
    from (
      select distinct on (live_photo_video_id) live_photo_video_id as video_id, visibility
      from asset where id = any(${uuidArray(goneIds)}::uuid[]) and live_photo_video_id is not null
      order by live_photo_video_id, id) as still
    where asset.id = still.video_id and asset.visibility = 'hidden' and asset.id <> all(${uuidArray(goneIds)}::uuid[])
      and not exists (
        select from asset other where other.live_photo_video_id = asset.id
          and other.id <> all(${uuidArray(goneIds)}::uuid[]))
    returning asset.id, asset.owner_id as "userId"`.execute(tx)
  for (const { id, userId } of rows) await publish(tx, { type: 'asset-updated', assetId: id, userId })
}
