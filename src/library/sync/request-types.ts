import { albumAssetExifs, albumAssets } from './album-asset-lines.ts'
import { albums, albumsWithOwner, albumToAssets, albumUsers } from './album-lines.ts'
import { assetExifs, assetMetadata, assets } from './asset-lines.ts'
import { memories, memoryToAssets } from './memory-lines.ts'
import type { RequestType } from './names.ts'
import { partnerAssetRemovals } from './partner-asset-removals.ts'
import { partnerAssetExifs, partnerAssetLines, partnerStacks, partners } from './partner-lines.ts'
import type { Part, Sync, SyncType } from './parts.ts'
import { stacks } from './stack-lines.ts'
import { authUsers, userMetadata, users } from './user-lines.ts'

/** Of what this server does not have there is nothing to send. */
const NOTHING: SyncType = () => []

/** The removals first, as of the user's own assets. */
async function* partnerAssets(sync: Sync): AsyncGenerator<Part> {
  yield* partnerAssetRemovals(sync)
  yield* partnerAssetLines(sync)
}

/** What is sent for each type that a client may ask for. */
export const SYNC_TYPES: Record<RequestType, SyncType> = {
  AuthUsersV1: authUsers,
  UsersV1: users,
  PartnersV1: partners,
  AssetsV2: assets,
  StacksV1: stacks,
  PartnerAssetsV2: partnerAssets,
  PartnerStacksV1: partnerStacks,
  AlbumAssetsV2: albumAssets,
  AlbumsV1: albumsWithOwner,
  AlbumsV2: albums,
  AlbumUsersV1: albumUsers,
  AlbumToAssetsV1: albumToAssets,
  AssetExifsV1: assetExifs,
  AlbumAssetExifsV1: albumAssetExifs,
  AssetOcrV1: NOTHING,
  PartnerAssetExifsV1: partnerAssetExifs,
  MemoriesV1: memories,
  MemoryToAssetsV1: memoryToAssets,
  PeopleV1: NOTHING,
  AssetFacesV2: NOTHING,
  UserMetadataV1: userMetadata,
  AssetMetadataV1: assetMetadata,
  AssetEditsV1: NOTHING,
}
