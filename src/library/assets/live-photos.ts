/**
 * Live photos: a still, and a film that belongs to it and is not shown by itself. Clients say so
 * (`livePhotoVideoId`), or both files carry the same id.
 */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import type { AssetType, Visibility } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { advanceWhereDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import type { Actor } from '../access.ts'
import { lockWithMotionParts } from './motion-parts.ts'
import { restoreFromTrash } from './trash.ts'

/** The user has linked the still, or unlinked it: what its file says no longer counts. */
export const LINK_OF_THE_USER = 'live_photo_video_id'

/**
 * In Immich's words. Asked early, too: before gigabytes are sent. @throws AppError invalid unless the id
 * names a video of the actor
 */
export async function requireLivePhotoVideo(
  db: Queryable,
  actor: Pick<Actor, 'userId'>,
  videoId: string,
): Promise<void> {
  const video = await db
    .selectFrom('asset')
    .select(['type', 'owner_id as ownerId'])
    .where('id', '=', videoId)
    .executeTakeFirst()
  if (!video) throw refused('Live photo video not found')
  if (video.ownerId !== actor.userId) throw refused('Live photo video does not belong to the user')
  if (video.type !== 'VIDEO') throw refused('Live photo video must be a video')
}

function refused(message: string): AppError {
  return new AppError('invalid', message, {
    fields: [{ path: ['livePhotoVideoId'], message, code: 'custom' }],
  })
}

/**
 * Takes a video out of the timeline and of all albums, and tells open pages: it belongs to its still from now
 * on. Whoever purges it waits until the transaction is over. @throws AppError invalid unless it is a video of
 * the actor
 */
export async function hideLivePhotoVideo(
  tx: Tx,
  actor: Pick<Actor, 'userId'>,
  videoId: string,
): Promise<void> {
  const video = await tx
    .selectFrom('asset')
    .select('visibility')
    .where('id', '=', videoId)
    .where('owner_id', '=', actor.userId)
    .where('type', '=', 'VIDEO')
    .forUpdate()
    .executeTakeFirst()
  if (!video) await requireLivePhotoVideo(tx, actor, videoId)
  if (!video || video.visibility === 'hidden') return
  await tx
    .updateTable('asset')
    .set({ visibility: 'hidden', updated_at: sql`now()` })
    .where('id', '=', videoId)
    .execute()
  await leaveAlbums(tx, videoId)
  await publish(tx, { type: 'asset-updated', assetId: videoId, userId: actor.userId })
}

/**
 * A film that was taken out of a photo's file has been sent by itself: it outlives the photo, and is seen
 * where the photo is, so that nothing leaves the locked folder by it.
 */
export async function makeOwnVideo(tx: Tx, actor: Pick<Actor, 'userId'>, videoId: string): Promise<void> {
  const shown = await tx
    .updateTable('asset')
    .set({
      is_embedded: false,
      visibility: sql<Visibility>`coalesce((
        select still.visibility from asset still where still.live_photo_video_id = asset.id
        order by still.visibility = 'locked' desc, still.id limit 1), 'timeline')`,
      updated_at: sql`now()`,
    })
    .where('id', '=', videoId)
    .where('is_embedded', '=', true)
    .returning('id')
    .executeTakeFirst()
  if (shown) await publish(tx, { type: 'asset-updated', assetId: videoId, userId: actor.userId })
}

async function leaveAlbums(tx: Tx, assetId: string): Promise<void> {
  const left = await tx
    .deleteFrom('album_asset')
    .where('asset_id', '=', assetId)
    .returning('album_id as albumId')
    .execute()
  if (left.length === 0) return
  // An album without a cover shows its newest asset.
  await tx
    .updateTable('album')
    .set({ thumbnail_asset_id: null })
    .where('thumbnail_asset_id', '=', assetId)
    .execute()
  for (const { albumId } of left) {
    const members = await tx
      .selectFrom('album_user')
      .select('user_id as userId')
      .where('album_id', '=', albumId)
      .execute()
    await publish(tx, { type: 'album-updated', albumId, userIds: members.map(({ userId }) => userId) })
  }
}

/**
 * Links a still that is here already and has no film: it came again with one, since the first time failed
 * half way. Nothing happens to one that has a film, was unlinked by its user, or is gone.
 * @throws AppError invalid unless `videoId` names a video of the actor
 */
export async function linkIfAlone(
  { db, placement }: { db: Database; placement: Placement },
  actor: Pick<Actor, 'userId'>,
  stillId: string,
  videoId: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await lockWithMotionParts(tx, [stillId, videoId])
    const still = await tx
      .selectFrom('asset')
      .leftJoin('asset_exif', 'asset_exif.asset_id', 'asset.id')
      .select(['asset.id', 'asset_exif.user_set as userSet'])
      .where('asset.id', '=', stillId)
      .where('asset.owner_id', '=', actor.userId)
      .where('asset.type', '=', 'IMAGE')
      .where('asset.live_photo_video_id', 'is', null)
      .forUpdate('asset')
      .executeTakeFirst()
    if (!still || still.userSet?.includes(LINK_OF_THE_USER)) return
    await hideLivePhotoVideo(tx, actor, videoId)
    await link(tx, actor.userId, stillId, videoId)
  })
  await advanceWhereDue(placement)
}

/**
 * Makes the film the still's, and takes it out of the trash; both must be locked. The last that a transaction
 * does, and `advanceWhereDue` is to follow where the film may have been in the trash.
 */
export async function link(tx: Tx, userId: string, stillId: string, videoId: string): Promise<void> {
  await tx
    .updateTable('asset')
    .set({ live_photo_video_id: videoId, updated_at: sql`now()` })
    .where('id', '=', stillId)
    .execute()
  await publish(tx, { type: 'asset-updated', assetId: stillId, userId })
  await restoreFromTrash(tx, { userId }, [videoId])
}

type Carrier = { id: string; ownerId: string; type: AssetType; livePhotoId: string }

/**
 * Notes the id that an asset's file carries, and links every still that carries it and has no film with the
 * first film that does, in whichever order they came. A job that reads another file of the same id at this
 * moment waits, so that one of the two sees the other. To be called before anything of the asset is locked.
 */
export async function pairLivePhotos(tx: Tx, { id, ownerId, type, livePhotoId }: Carrier): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${ownerId} ${livePhotoId}`}, 0))`.execute(tx)
  const carriers = sql<{ id: string; type: AssetType; isAlone: boolean }>`
    select asset.id, case when asset.id = ${id} then ${type} else type end as type, live_photo_video_id is null
      and not coalesce(${LINK_OF_THE_USER} = any(user_set), false) as "isAlone"
    from asset left join asset_exif on asset_exif.asset_id = asset.id
    where asset.owner_id = ${ownerId} and (live_photo_id = ${livePhotoId} or asset.id = ${id})
      and deleted_at is null and visibility <> 'locked' and not is_embedded
    order by asset.created_at, asset.id`
  const ids = [...new Set([id, ...(await carriers.execute(tx)).rows.map((row) => row.id)])]
  // In the order in which a purge of several locks them.
  await sql`select from asset where id = any(${ids}::uuid[]) order by id for update`.execute(tx)
  // Once more: one may have been linked, trashed or locked by its user before it was held here.
  const rows = (await carriers.execute(tx)).rows.filter((row) => ids.includes(row.id))
  await tx.updateTable('asset').set({ type, live_photo_id: livePhotoId }).where('id', '=', id).execute()
  const video = rows.find(({ type }) => type === 'VIDEO')
  const stills = rows.filter(({ type, isAlone }) => type === 'IMAGE' && isAlone)
  if (video === undefined || stills.length === 0) return
  await hideLivePhotoVideo(tx, { userId: ownerId }, video.id)
  for (const still of stills) await link(tx, ownerId, still.id, video.id)
}
