/** The names of Immich 3.2.2's sync protocol: what clients ask for, and what lines are of. */

/** What `POST /sync/stream` sends, in this order, whatever the order of the request. */
export const REQUEST_TYPES = [
  'AuthUsersV1',
  'UsersV1',
  'PartnersV1',
  'AssetsV2',
  'StacksV1',
  'PartnerAssetsV2',
  'PartnerStacksV1',
  'AlbumAssetsV2',
  'AlbumsV1',
  'AlbumsV2',
  'AlbumUsersV1',
  'AlbumToAssetsV1',
  'AssetExifsV1',
  'AlbumAssetExifsV1',
  'AssetOcrV1',
  'PartnerAssetExifsV1',
  'MemoriesV1',
  'MemoryToAssetsV1',
  'PeopleV1',
  'AssetFacesV2',
  'UserMetadataV1',
  'AssetMetadataV1',
  'AssetEditsV1',
] as const
export type RequestType = (typeof REQUEST_TYPES)[number]

/** Refused, with the type to ask for instead. */
export const DEPRECATED_TYPES = {
  AssetsV1: 'AssetsV2',
  PartnerAssetsV1: 'PartnerAssetsV2',
  AlbumAssetsV1: 'AlbumAssetsV2',
  AssetFacesV1: 'AssetFacesV2',
} as const
export type DeprecatedType = keyof typeof DEPRECATED_TYPES

/** Types of lines. Those that are never sent stay valid where a client names them. */
export const LINE_TYPES = [
  ...['AuthUserV1', 'UserV1', 'UserDeleteV1', 'AssetV1', 'AssetV2', 'AssetDeleteV1', 'AssetExifV1'],
  ...['AssetEditV1', 'AssetEditDeleteV1', 'AssetMetadataV1', 'AssetMetadataDeleteV1', 'AssetOcrV1'],
  ...['AssetOcrDeleteV1', 'PartnerV1', 'PartnerDeleteV1', 'PartnerAssetV1', 'PartnerAssetV2'],
  ...['PartnerAssetBackfillV1', 'PartnerAssetBackfillV2', 'PartnerAssetDeleteV1', 'PartnerAssetExifV1'],
  ...['PartnerAssetExifBackfillV1', 'PartnerStackBackfillV1', 'PartnerStackDeleteV1', 'PartnerStackV1'],
  ...['AlbumV1', 'AlbumV2', 'AlbumDeleteV1', 'AlbumUserV1', 'AlbumUserBackfillV1', 'AlbumUserDeleteV1'],
  ...['AlbumAssetCreateV1', 'AlbumAssetCreateV2', 'AlbumAssetUpdateV1', 'AlbumAssetUpdateV2'],
  ...['AlbumAssetBackfillV1', 'AlbumAssetBackfillV2', 'AlbumAssetExifCreateV1', 'AlbumAssetExifUpdateV1'],
  ...['AlbumAssetExifBackfillV1', 'AlbumToAssetV1', 'AlbumToAssetDeleteV1', 'AlbumToAssetBackfillV1'],
  ...['MemoryV1', 'MemoryDeleteV1', 'MemoryToAssetV1', 'MemoryToAssetDeleteV1', 'StackV1', 'StackDeleteV1'],
  ...['PersonV1', 'PersonDeleteV1', 'AssetFaceV1', 'AssetFaceV2', 'AssetFaceDeleteV1', 'UserMetadataV1'],
  ...['UserMetadataDeleteV1', 'SyncAckV1', 'SyncResetV1', 'SyncCompleteV1'],
] as const

/** The reset line's type; acknowledging it says that everything was thrown away. */
export const RESET = 'SyncResetV1'
/** Carries the acknowledgement of another type, and is no type of a checkpoint. */
export const ACK = 'SyncAckV1'
export const COMPLETE = 'SyncCompleteV1'
