/**
 * What the user changes about assets. The file itself is never touched: a change is a row, and no row refers
 * to bytes that don't exist.
 */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import type { Visibility } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { advanceWhereDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'
import { parseZonedTime, toWallClock } from '../wall-clock.ts'
import { hideLivePhotoVideo, LINK_OF_THE_USER, requireLivePhotoVideo } from './live-photos.ts'
import { lockWithMotionParts } from './motion-parts.ts'
import { namePlaces } from './name-places.ts'
import { restoreFromTrash } from './trash.ts'

/** Absent: keep. Null: clear. */
export type AssetChange = {
  isFavorite?: boolean
  visibility?: Visibility
  description?: string
  /** 1 to 5, -1 rejected, null unrated. */
  rating?: number | null
  latitude?: number
  longitude?: number
  livePhotoVideoId?: string | null
  /** ISO 8601; its offset becomes the time zone. */
  dateTimeOriginal?: string
  /** Minutes to move the time by. */
  dateTimeRelative?: number
  /** IANA name or UTC+02:00: the instant stays, the wall clock follows. */
  timeZone?: string
}

/** Every change is announced to open pages; of a larger batch they hear at their next load. */
const MAX_ANNOUNCED = 500
/** SQLSTATE. */
const CHECK_VIOLATION = '23514'

/**
 * @throws AppError invalid when one of the assets is not the actor's, or a value is wrong; then nothing is
 * changed.
 */
export async function updateAssets(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  assetIds: readonly string[],
  change: AssetChange,
): Promise<void> {
  await requireAssets(db, actor, assetIds, 'asset.update')
  if (assetIds.length === 0) return
  const ids = [...assetIds]
  await db.transaction().execute(async (tx) => {
    const { livePhotoVideoId: videoId } = change
    if (videoId !== undefined) await lockWithMotionParts(tx, videoId === null ? ids : [...ids, videoId])
    await lockAssets(tx, actor, ids)
    await updateAssetRows(tx, actor, ids, change)
    await updateExifRows(tx, ids, change)
    if (change.dateTimeOriginal !== undefined) await setTime(tx, ids, change.dateTimeOriginal)
    if (change.dateTimeRelative) await moveTime(tx, ids, change.dateTimeRelative)
    if (change.timeZone !== undefined) await setTimeZone(tx, ids, change.timeZone)
    for (const assetId of ids.slice(0, MAX_ANNOUNCED)) {
      await publish(tx, { type: 'asset-updated', assetId, userId: actor.userId })
    }
    if (videoId) await restoreFromTrash(tx, actor, [videoId])
  })
  if (change.livePhotoVideoId) await advanceWhereDue(placement)
}

/**
 * Keeps them from being purged until the transaction is over. @throws AppError invalid where one was purged
 * meanwhile
 */
async function lockAssets(tx: Tx, actor: Actor, ids: string[]): Promise<void> {
  const rows = await tx
    .selectFrom('asset')
    .select('id')
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .where('owner_id', '=', actor.userId)
    .orderBy('id')
    .forUpdate()
    .execute()
  if (rows.length < new Set(ids).size) throw noAccess('asset.update')
}

async function updateAssetRows(tx: Tx, actor: Actor, ids: string[], change: AssetChange): Promise<void> {
  if (change.livePhotoVideoId !== undefined) {
    await showLivePhotoVideos(tx, actor, ids, { isUnlinked: change.livePhotoVideoId === null })
  }
  if (change.livePhotoVideoId) {
    if (ids.includes(change.livePhotoVideoId)) {
      throw new AppError('invalid', 'livePhotoVideoId: an asset is not its own video')
    }
    await requireLivePhotoVideo(tx, actor, change.livePhotoVideoId)
    await hideLivePhotoVideo(tx, actor, change.livePhotoVideoId)
  }
  if (change.livePhotoVideoId !== undefined) await rememberLink(tx, ids)
  await tx
    .updateTable('asset')
    .set({
      updated_at: sql`now()`,
      ...(change.isFavorite !== undefined && { is_favorite: change.isFavorite }),
      ...(change.visibility !== undefined && { visibility: change.visibility }),
      ...(change.livePhotoVideoId !== undefined && { live_photo_video_id: change.livePhotoVideoId }),
    })
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .execute()
}

/**
 * Unlinked, or replaced by another one, a film is a thing of its own again and is seen where its still is,
 * unless another still has it. @throws AppError invalid where one is unlinked that is a part of its still's
 * file
 */
async function showLivePhotoVideos(
  tx: Tx,
  actor: Actor,
  stillIds: string[],
  { isUnlinked }: { isUnlinked: boolean },
): Promise<void> {
  const { rows } = await sql<{ id: string; visibility: Visibility; isEmbedded: boolean }>`
    select distinct on (video.id) video.id, still.visibility, video.is_embedded as "isEmbedded"
    from asset still join asset video on video.id = still.live_photo_video_id
    where still.id = any(${stillIds}::uuid[]) and video.visibility = 'hidden' and not exists (
      select from asset other where other.live_photo_video_id = video.id and other.id <> all(${stillIds}::uuid[]))`.execute(
    tx,
  )
  if (isUnlinked && rows.some(({ isEmbedded }) => isEmbedded)) {
    throw new AppError('invalid', 'Cannot unlink Android motion photos')
  }
  for (const { id, visibility } of rows) {
    await tx.updateTable('asset').set({ visibility, updated_at: sql`now()` }).where('id', '=', id).execute()
    await publish(tx, { type: 'asset-updated', assetId: id, userId: actor.userId })
  }
}

/** What the files say of belonging together no longer counts. */
async function rememberLink(tx: Tx, ids: string[]): Promise<void> {
  await ensureExifRows(tx, ids)
  await sql`update asset_exif set user_set = ${withColumns([LINK_OF_THE_USER])}
    where asset_id = any(${ids}::uuid[])`.execute(tx)
}

async function updateExifRows(tx: Tx, ids: string[], change: AssetChange): Promise<void> {
  const set = {
    ...(change.description !== undefined && { description: change.description }),
    ...(change.rating !== undefined && { rating: change.rating }),
    ...(change.latitude !== undefined && { latitude: change.latitude }),
    ...(change.longitude !== undefined && { longitude: change.longitude }),
  }
  const columns = Object.keys(set)
  if (columns.length === 0) return
  await ensureExifRows(tx, ids)
  await tx
    .updateTable('asset_exif')
    .set({ ...set, user_set: withColumns(columns), updated_at: sql`now()` })
    .where(sql<boolean>`asset_id = any(${ids}::uuid[])`)
    .execute()
  if (change.latitude !== undefined || change.longitude !== undefined) await namePlaces(tx, ids)
}

async function setTime(tx: Tx, ids: string[], text: string): Promise<void> {
  const time = parseZonedTime(text)
  if (!time) {
    throw new AppError(
      'invalid',
      `dateTimeOriginal: "${text}" is not a date; use ISO 8601, e.g. 2024-05-01T12:00:00+02:00`,
    )
  }
  await tx
    .updateTable('asset')
    .set({
      file_created_at: time.instant,
      local_date_time: time.wallClock,
      ...(time.zone !== null && { time_zone: time.zone }),
      updated_at: sql`now()`,
    })
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .execute()
  await rememberTimes(tx, ids)
}

async function moveTime(tx: Tx, ids: string[], minutes: number): Promise<void> {
  const moved = sql`update asset set updated_at = now(),
      file_created_at = file_created_at + ${minutes} * interval '1 minute',
      local_date_time = local_date_time + ${minutes} * interval '1 minute'
    where id = any(${ids}::uuid[])`
  await moved.execute(tx).catch((error: Error & { code?: string; constraint?: string }) => {
    if (error.code !== CHECK_VIOLATION || error.constraint !== 'asset_times') throw error
    throw new AppError('invalid', 'dateTimeRelative: it leads out of the years 1 to 9999', { cause: error })
  })
  await rememberTimes(tx, ids)
}

async function setTimeZone(tx: Tx, ids: string[], zone: string): Promise<void> {
  const rows = await tx
    .selectFrom('asset')
    .select(['id', 'file_created_at'])
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .execute()
  const wallClocks = rows.map((row) => toWallClock(row.file_created_at, zone))
  await sql`update asset set updated_at = now(), time_zone = ${zone}, local_date_time = changed.wall_clock
    from unnest(${rows.map((row) => row.id)}::uuid[], ${wallClocks}::timestamp[]) as changed (id, wall_clock)
    where asset.id = changed.id`.execute(tx)
  await rememberTimes(tx, ids)
}

/** The time in the metadata follows the asset's, and is the user's from now on. */
async function rememberTimes(tx: Tx, ids: string[]): Promise<void> {
  await ensureExifRows(tx, ids)
  await sql`update asset_exif set updated_at = now(), user_set = ${withColumns(['date_time_original', 'time_zone'])},
      date_time_original = asset.file_created_at, time_zone = asset.time_zone
    from asset where asset.id = asset_exif.asset_id and asset.id = any(${ids}::uuid[])`.execute(tx)
}

/** A change may come before the file has been read for the first time. */
async function ensureExifRows(tx: Tx, ids: string[]): Promise<void> {
  await sql`insert into asset_exif (asset_id) select unnest(${ids}::uuid[]) on conflict do nothing`.execute(
    tx,
  )
}

function withColumns(columns: string[]) {
  return sql<string[]>`array(select distinct unnest(asset_exif.user_set || ${columns}::text[]))`
}
