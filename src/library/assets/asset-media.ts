/**
 * Which object answers for which view of an asset. For the owner, who asks most, the rows that came with the
 * actor are enough: a page of the timeline is a hundred of these.
 */
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { isWebSafe } from '../../media/formats.ts'
import { type Actor, type AssetPermission, noAccess, requireAssets } from '../access.ts'
import type { MediaAsset, MediaRows } from './media-rows.ts'

export type ThumbnailSize = 'thumbnail' | 'preview' | 'fullsize' | 'original'
/** The kind of file whose rows are to be asked for, for each view. */
export const KIND_OF_SIZE = {
  thumbnail: 'thumbnail',
  preview: 'preview',
  fullsize: 'fullsize',
  original: null,
} as const
/**
 * An object to send (`fileName`: the name that people gave the original), or the sibling address that answers
 * instead.
 */
export type MediaAnswer = { objectId: string; fileName?: string } | { seeInstead: 'original' | 'preview' }

/**
 * @throws AppError invalid without access, not-found while there is no such picture (not made yet, or
 * impossible).
 */
export async function findThumbnail(
  db: Database,
  actor: Actor,
  media: MediaRows,
  size: ThumbnailSize,
): Promise<MediaAnswer> {
  const asset = await requireAsset(db, actor, media, 'asset.view')
  if (size === 'original') return { seeInstead: 'original' }
  if (asset.fileObjectId) return { objectId: asset.fileObjectId }
  if (size !== 'fullsize') throw new AppError('not-found', 'Asset media not found')
  const isOriginalFit = asset.type === 'IMAGE' && isWebSafe(asset.mimeType)
  return { seeInstead: isOriginalFit ? 'original' : 'preview' }
}

/** The bytes that were uploaded. @throws AppError invalid without access. */
export async function findOriginal(
  db: Database,
  actor: Actor,
  media: MediaRows,
): Promise<{ objectId: string; fileName: string }> {
  const asset = await requireAsset(db, actor, media, 'asset.download')
  return { objectId: asset.originalObjectId, fileName: asset.fileName }
}

/**
 * The web-playable encoding where there is one, else the original. @throws AppError not-found for what is no
 * video.
 */
export async function findPlayback(
  db: Database,
  actor: Actor,
  media: MediaRows,
): Promise<{ objectId: string; fileName?: string }> {
  const asset = await requireAsset(db, actor, media, 'asset.view')
  if (asset.type !== 'VIDEO') throw new AppError('not-found', 'Asset media not found')
  if (asset.fileObjectId) return { objectId: asset.fileObjectId }
  return { objectId: asset.originalObjectId, fileName: asset.fileName }
}

async function requireAsset(
  db: Database,
  actor: Actor,
  { wish: { assetId }, asset }: MediaRows,
  permission: AssetPermission,
): Promise<MediaAsset> {
  if (asset === null) throw noAccess(permission)
  if (asset.ownerId !== actor.userId) await requireAssets(db, actor, [assetId], permission)
  return asset
}
