import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'
import { getUser, type UserView } from '../users/users.ts'
import { hasAssetFile } from './asset-files.ts'
import { type AssetResponse, type AssetStack, assetResponses } from './asset-response.ts'
import { describeTag, type TagView } from './tag-view.ts'

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
  const [stack, tags] = await Promise.all([findStack(db, assetId), findTags(db, actor, assetId)])
  return { ...asset, stack, tags, owner: await getUser(db, asset.ownerId), hasEncodedVideo }
}

async function findStack(db: Database, assetId: string): Promise<AssetStack | null> {
  const { rows } = await sql<AssetStack>`
    select stack.id, stack.primary_asset_id as "primaryAssetId", (
      select count(*)::int from asset member where member.stack_id = stack.id and member.deleted_at is null
        and member.visibility in ('timeline', 'archive')) as "assetCount"
    from asset join stack on stack.id = asset.stack_id where asset.id = ${assetId}::uuid`.execute(db)
  return rows[0] ?? null
}

/** Those that the actor has given it; what others call it is theirs to know. */
async function findTags(db: Database, actor: Actor, assetId: string): Promise<TagView[]> {
  const rows = await db
    .selectFrom('tag')
    .innerJoin('tag_asset', 'tag_asset.tag_id', 'tag.id')
    .selectAll('tag')
    .where('tag_asset.asset_id', '=', assetId)
    .where('tag.owner_id', '=', actor.userId)
    .orderBy('tag.value')
    .execute()
  return rows.map(describeTag)
}
