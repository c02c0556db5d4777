import type { Database } from '../../database/connect.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'
import { getUser, type UserView } from '../users/users.ts'
import { hasAssetFile } from './asset-files.ts'
import { type AssetResponse, assetResponses } from './asset-response.ts'

/**
 * One asset with its metadata and its owner. `hasEncodedVideo`, not in Immich's shape: `video/playback`
 * answers with another encoding than the original. @throws AppError invalid without access.
 */
export async function getAsset(
  db: Database,
  actor: Actor,
  assetId: string,
): Promise<AssetResponse & { owner: UserView; hasEncodedVideo: boolean }> {
  await requireAssets(db, actor, [assetId], 'asset.read')
  const [asset] = await assetResponses(db, actor, [assetId], { withExif: true })
  if (!asset) throw noAccess('asset.read')
  const hasEncodedVideo = asset.type === 'VIDEO' && (await hasAssetFile(db, assetId, 'encoded-video'))
  return { ...asset, owner: await getUser(db, asset.ownerId), hasEncodedVideo }
}
