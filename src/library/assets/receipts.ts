import type { Database } from '../../database/connect.ts'
import type { Placement } from '../../placement/placement.ts'
import { type Receipt, receiptOf } from '../../placement/reports/receipt.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'

/** The receipt of the original, and below it those of what was made of it. */
export type AssetReceipt = Receipt & {
  assetId: string
  originalFileName: string
  /** Lower-case hex; Immich's checksum is the same in base64. */
  sha1: string
  /** Whether its pictures were made; `error`: why not, for people. */
  processing: { state: 'pending' | 'done' | 'failed'; error: string | null }
  files: Receipt[]
}

type Parts = { db: Database; placement: Placement }

/** For the owner and for administrators. @throws AppError invalid for anybody else */
export async function receiptForActor(parts: Parts, actor: Actor, assetId: string): Promise<AssetReceipt> {
  if (!actor.isAdmin) await requireAssets(parts.db, actor, [assetId], 'asset.update')
  return assetReceipt(parts, assetId)
}

/**
 * Where every file of an asset is, and what proves it. @throws AppError invalid when there is no such asset
 */
export async function assetReceipt({ db, placement }: Parts, assetId: string): Promise<AssetReceipt> {
  const asset = await db
    .selectFrom('asset')
    .select(['id', 'original_file_name', 'checksum', 'original_object_id', 'processing', 'processing_error'])
    .where('id', '=', assetId)
    .executeTakeFirst()
  if (!asset) throw noAccess('asset.read')
  const files = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .orderBy('kind')
    .execute()
  return {
    assetId,
    originalFileName: asset.original_file_name,
    sha1: asset.checksum.toString('hex'),
    processing: { state: asset.processing, error: asset.processing_error },
    ...(await receiptOf(placement, asset.original_object_id)),
    files: await Promise.all(files.map((file) => receiptOf(placement, file.object_id))),
  }
}
