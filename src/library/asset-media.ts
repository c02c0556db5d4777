/**
 * Which object answers for which view of an asset. One query for the owner, who asks most: a page of the timeline is a
 * hundred of these.
 */
import type { Database } from '../database/connect.ts'
import type { AssetType, Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { formatOf } from '../media/formats.ts'
import { type Actor, type AssetPermission, noAccess, requireAssets } from './access.ts'

export type ThumbnailSize = 'thumbnail' | 'preview' | 'fullsize' | 'original'
/** An object to send (`fileName`: the name that people gave the original), or the sibling address that answers instead. */
export type MediaAnswer = { objectId: string; fileName?: string } | { seeInstead: 'original' | 'preview' }

/** @throws AppError invalid without access, not-found while there is no such picture (not made yet, or impossible). */
export async function findThumbnail(
  db: Database,
  actor: Actor,
  assetId: string,
  size: ThumbnailSize,
): Promise<MediaAnswer> {
  const asset = await findAllowed(db, actor, assetId, 'asset.view', size === 'original' ? null : size)
  if (size === 'original') return { seeInstead: 'original' }
  if (asset.fileObjectId) return { objectId: asset.fileObjectId }
  if (size !== 'fullsize') throw new AppError('not-found', 'Asset media not found')
  const isOriginalFit = asset.type === 'IMAGE' && formatOf(asset.fileName)?.isWebSafe
  return { seeInstead: isOriginalFit ? 'original' : 'preview' }
}

/** The bytes that were uploaded. @throws AppError invalid without access. */
export async function findOriginal(
  db: Database,
  actor: Actor,
  assetId: string,
): Promise<{ objectId: string; fileName: string }> {
  const asset = await findAllowed(db, actor, assetId, 'asset.download', null)
  return { objectId: asset.originalObjectId, fileName: asset.fileName }
}

/** The web-playable encoding where there is one, else the original. @throws AppError not-found for what is no video. */
export async function findPlayback(
  db: Database,
  actor: Actor,
  assetId: string,
): Promise<{ objectId: string; fileName?: string }> {
  const asset = await findAllowed(db, actor, assetId, 'asset.view', 'encoded-video')
  if (asset.type !== 'VIDEO') throw new AppError('not-found', 'Asset media not found')
  if (asset.fileObjectId) return { objectId: asset.fileObjectId }
  return { objectId: asset.originalObjectId, fileName: asset.fileName }
}

type AllowedAsset = {
  ownerId: string
  type: AssetType
  originalObjectId: string
  fileName: string
  /** Null: there is no file of the kind that was asked for. */
  fileObjectId: string | null
}

async function findAllowed(
  db: Database,
  actor: Actor,
  assetId: string,
  permission: AssetPermission,
  kind: Schema['asset_file']['kind'] | null,
): Promise<AllowedAsset> {
  const asset = await db
    .selectFrom('asset')
    .leftJoin('asset_file', (join) =>
      join.onRef('asset_file.asset_id', '=', 'asset.id').on('asset_file.kind', '=', kind),
    )
    .select([
      'asset.owner_id as ownerId',
      'asset.type',
      'asset.original_object_id as originalObjectId',
      'asset.original_file_name as fileName',
      'asset_file.object_id as fileObjectId',
    ])
    .where('asset.id', '=', assetId)
    .executeTakeFirst()
  if (!asset) throw noAccess(permission)
  if (asset.ownerId !== actor.userId) await requireAssets(db, actor, [assetId], permission)
  return asset
}
