import { backfills } from './backfill.ts'
import { type Field, lineSql } from './line.ts'
import { type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'

const ALBUM: readonly Field[] = [
  ['id', 'uuid', 'album.id'],
  ['name', 'text', 'album.name'],
  ['description', 'text', 'album.description'],
  ['createdAt', 'time', 'album.created_at'],
  ['updatedAt', 'time', 'album.updated_at'],
  // Only what is in it: the phone refuses one that it has not been sent.
  [
    'thumbnailAssetId',
    'uuid?',
    `(select album_asset.asset_id from album_asset
      where album_asset.album_id = album.id and album_asset.asset_id = album.thumbnail_asset_id)`,
  ],
  ['isActivityEnabled', 'boolean', 'album.is_activity_enabled'],
  ['order', 'word', 'album.asset_order'],
]
const ALBUM_WITH_OWNER: readonly Field[] = [
  ...ALBUM,
  [
    'ownerId',
    'uuid',
    `(select album_user.user_id from album_user where album_user.album_id = album.id and album_user.role = 'owner')`,
  ],
]

const ALBUM_USER: readonly Field[] = [
  ['albumId', 'uuid', 'album_user.album_id'],
  ['userId', 'uuid', 'album_user.user_id'],
  ['role', 'word', 'album_user.role'],
]
const ALBUM_TO_ASSET: readonly Field[] = [
  ['albumId', 'uuid', 'album_asset.album_id'],
  ['assetId', 'uuid', 'album_asset.asset_id'],
]

/** The albums that the user is a member of, in SQL. */
export const albumsOf = (sync: Sync): string =>
  `(select mine.album_id from album_user mine where mine.user_id = ${uuidSql(sync.userId)})`

export const albums = (sync: Sync) => albumLines(sync, 'AlbumV2', ALBUM)
export const albumsWithOwner = (sync: Sync) => albumLines(sync, 'AlbumV1', ALBUM_WITH_OWNER)

/** One removal for each album that the user is no longer in, for whatever reason. */
function* albumLines(sync: Sync, type: string, fields: readonly Field[]): Generator<Part> {
  yield removals(sync, {
    type: 'AlbumDeleteV1',
    kind: 'album',
    scope: `removal.scope_id = ${uuidSql(sync.userId)}`,
    fields: [['albumId', 'uuid', 'removal.subject_id']],
  })
  yield upserts(sync, {
    type,
    fields,
    id: 'album.update_id',
    from: `album where album.id in ${albumsOf(sync)}`,
  })
}

/** All members of these albums. */
export async function* albumUsers(sync: Sync): AsyncGenerator<Part> {
  yield removals(sync, {
    type: 'AlbumUserDeleteV1',
    kind: 'album_user',
    scope: `removal.scope_id in ${albumsOf(sync)}`,
    fields: [
      ['albumId', 'uuid', 'removal.scope_id'],
      ['userId', 'uuid', 'removal.subject_id'],
    ],
  })
  const id = 'album_user.update_id'
  yield* backfills(sync, {
    backfill: 'AlbumUserBackfillV1',
    ordinary: 'AlbumUserV1',
    of: 'album',
    select: ({ sourceId, isOlder, ack }) =>
      `select ${lineSql('AlbumUserBackfillV1', ALBUM_USER, ack(id))} from album_user
       where album_user.album_id = ${uuidSql(sourceId)} and ${isOlder(id)} order by ${id}`,
  })
  yield upserts(sync, {
    type: 'AlbumUserV1',
    fields: ALBUM_USER,
    id,
    from: `album_user where album_user.album_id in ${albumsOf(sync)}`,
  })
}

/** Which assets are in which album. */
export async function* albumToAssets(sync: Sync): AsyncGenerator<Part> {
  yield removals(sync, {
    type: 'AlbumToAssetDeleteV1',
    kind: 'album_asset',
    scope: `removal.scope_id in ${albumsOf(sync)}`,
    fields: [
      ['albumId', 'uuid', 'removal.scope_id'],
      ['assetId', 'uuid', 'removal.subject_id'],
    ],
  })
  const id = 'album_asset.update_id'
  yield* backfills(sync, {
    backfill: 'AlbumToAssetBackfillV1',
    ordinary: 'AlbumToAssetV1',
    of: 'album',
    select: ({ sourceId, isOlder, ack }) =>
      `select ${lineSql('AlbumToAssetBackfillV1', ALBUM_TO_ASSET, ack(id))} from album_asset
       where album_asset.album_id = ${uuidSql(sourceId)} and ${isOlder(id)} order by ${id}`,
  })
  yield upserts(sync, {
    type: 'AlbumToAssetV1',
    fields: ALBUM_TO_ASSET,
    id,
    from: `album_asset where album_asset.album_id in ${albumsOf(sync)}`,
  })
}
