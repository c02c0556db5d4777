import { albumAssetExifs, albumAssets } from './album-asset-lines.ts'
import { albums, albumsWithOwner, albumToAssets, albumUsers } from './album-lines.ts'
import { assetExifs, assets } from './asset-lines.ts'
import type { RequestType } from './names.ts'
import type { SyncType } from './parts.ts'
import { partnerAssets } from './replaced-asset-lines.ts'
import { stacks } from './stack-lines.ts'
import { authUsers, userMetadata, users } from './user-lines.ts'

/** Of what this server does not have there is nothing to send. */
const NOTHING: SyncType = () => []

/** What is sent for each type that a client may ask for. */
export const SYNC_TYPES: Record<RequestType, SyncType> = {
  AuthUsersV1: authUsers,
  UsersV1: users,
  PartnersV1: NOTHING,
  AssetsV2: assets,
  StacksV1: stacks,
  PartnerAssetsV2: partnerAssets,
  PartnerStacksV1: NOTHING,
  AlbumAssetsV2: albumAssets,
  AlbumsV1: albumsWithOwner,
  AlbumsV2: albums,
  AlbumUsersV1: albumUsers,
  AlbumToAssetsV1: albumToAssets,
  AssetExifsV1: assetExifs,
  AlbumAssetExifsV1: albumAssetExifs,
  AssetOcrV1: NOTHING,
  PartnerAssetExifsV1: NOTHING,
  MemoriesV1: NOTHING,
  MemoryToAssetsV1: NOTHING,
  PeopleV1: NOTHING,
  AssetFacesV2: NOTHING,
  UserMetadataV1: userMetadata,
  AssetMetadataV1: NOTHING,
  AssetEditsV1: NOTHING,
}
