import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'
import { requireAlbum } from '../albums/album-access.ts'
import { getPreferences } from '../users/preferences.ts'

export type DownloadWish = { assetIds?: string[]; albumId?: string; userId?: string; archiveSize?: number }
export type DownloadPlan = { totalSize: number; archives: { size: number; assetIds: string[] }[] }
type PlannedFile = { id: string; size: number }
export type DownloadFile = { objectId: string; name: string; size: number; takenAt: Date }

/**
 * Cuts a download into archives of at most `archiveSize` bytes (a larger file gets one of its own); where
 * nothing is said of the size, of what the user prefers. The films of live photos come after all that was
 * asked for; those that were taken out of their stills' files, which hold them already, only where the user
 * prefers it (`download.includeEmbeddedVideos`).
 */
export async function planDownload(db: Database, actor: Actor, wish: DownloadWish): Promise<DownloadPlan> {
  const chosen = await chooseFiles(db, actor, wish)
  const { download } = await getPreferences(db, actor.userId)
  const films = await filmsOf(db, chosen, { withEmbedded: download.includeEmbeddedVideos })
  const files = [...chosen, ...films]
  const limit = wish.archiveSize ?? download.archiveSize
  const plan: DownloadPlan = { totalSize: 0, archives: [] }
  for (const { id, size } of files) {
    plan.totalSize += size
    const last = plan.archives.at(-1)
    if (last && last.size + size <= limit) {
      last.size += size
      last.assetIds.push(id)
    } else {
      plan.archives.push({ size, assetIds: [id] })
    }
  }
  return plan
}

/** The originals of the assets, in their order. @throws AppError invalid when one is not accessible. */
export async function filesToDownload(
  db: Database,
  actor: Actor,
  assetIds: readonly string[],
): Promise<DownloadFile[]> {
  await requireAssets(db, actor, assetIds, 'asset.download')
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'original_object_id', 'original_file_name', 'file_size', 'file_created_at'])
    .where(sql<boolean>`id = any(${[...assetIds]}::uuid[])`)
    .execute()
  const byId = new Map(rows.map((row) => [row.id, row]))
  return [...new Set(assetIds)].flatMap((id) => {
    const row = byId.get(id)
    if (!row) return []
    const {
      original_object_id: objectId,
      original_file_name: name,
      file_size: size,
      file_created_at: takenAt,
    } = row
    return [{ objectId, name, size, takenAt }]
  })
}

async function filmsOf(
  db: Database,
  chosen: readonly { id: string }[],
  { withEmbedded }: { withEmbedded: boolean },
): Promise<PlannedFile[]> {
  const ids = chosen.map(({ id }) => id)
  return db
    .selectFrom('asset as still')
    .innerJoin('asset as film', 'film.id', 'still.live_photo_video_id')
    .select(['film.id', 'film.file_size as size'])
    .distinctOn('film.id')
    .where(sql<boolean>`still.id = any(${ids}::uuid[])`)
    .where(sql<boolean>`film.id <> all(${ids}::uuid[])`)
    .where('film.deleted_at', 'is', null)
    .where('film.visibility', '!=', 'locked')
    .where((eb) => eb.or([eb('film.is_embedded', '=', false), eb.val(withEmbedded)]))
    .orderBy('film.id')
    .execute()
}

async function chooseFiles(db: Database, actor: Actor, wish: DownloadWish): Promise<PlannedFile[]> {
  let query = db
    .selectFrom('asset')
    .select(['asset.id', 'asset.file_size as size'])
    .orderBy('local_date_time', 'desc')
    .orderBy('asset.id')
  if (wish.assetIds) {
    await requireAssets(db, actor, wish.assetIds, 'asset.download')
    query = query
      .where(sql<boolean>`asset.id = any(${wish.assetIds}::uuid[])`)
      .where('asset.deleted_at', 'is', null)
  } else if (wish.albumId) {
    await requireAlbum(db, actor, wish.albumId, 'album.read')
    query = query
      .innerJoin('album_asset', 'album_asset.asset_id', 'asset.id')
      .where('album_asset.album_id', '=', wish.albumId)
      .where('asset.deleted_at', 'is', null)
      .where('asset.visibility', '!=', 'locked')
  } else if (wish.userId) {
    if (wish.userId !== actor.userId) throw noAccess('timeline.download')
    query = query
      .where('owner_id', '=', wish.userId)
      .where('asset.deleted_at', 'is', null)
      .where('visibility', 'in', ['timeline', 'archive'])
  } else {
    throw new AppError('invalid', 'assetIds, albumId or userId: name one of them')
  }
  return query.execute()
}
