/** The assets in the user's albums and what is said of them, the user's own included. */

import { albumsOf } from './album-lines.ts'
import { assetFields, EXIF } from './asset-lines.ts'
import { backfills } from './backfill.ts'
import { type Field, lineSql } from './line.ts'
import { ackLine, ackSql, afterCheckpoint, type Part, type Sync, uuidSql } from './parts.ts'

type Shape = {
  backfill: string
  update: string
  create: string
  fields: readonly Field[]
  /** What follows `album_asset`. */
  join: string
  /** Its own id: of what changes, while that of `album_asset` tells when it came into the album. */
  id: string
  /** `join` the other way round: what changed of an owner, in SQL. */
  changedOf(owner: string): string
}

export function albumAssets(sync: Sync): AsyncGenerator<Part> {
  return linesOf(sync, {
    backfill: 'AlbumAssetBackfillV2',
    update: 'AlbumAssetUpdateV2',
    create: 'AlbumAssetCreateV2',
    fields: assetFields(`asset.is_favorite and asset.owner_id = ${uuidSql(sync.userId)}`),
    join: 'join asset on asset.id = album_asset.asset_id',
    id: 'asset.update_id',
    changedOf: (owner) =>
      `asset join album_asset on album_asset.asset_id = asset.id where asset.owner_id = ${owner}`,
  })
}

/** What has no row yet comes as a change when it has one. */
export function albumAssetExifs(sync: Sync): AsyncGenerator<Part> {
  return linesOf(sync, {
    backfill: 'AlbumAssetExifBackfillV1',
    update: 'AlbumAssetExifUpdateV1',
    create: 'AlbumAssetExifCreateV1',
    fields: EXIF,
    join: `join asset on asset.id = album_asset.asset_id join asset_exif exif on exif.asset_id = album_asset.asset_id`,
    id: 'exif.update_id',
    changedOf: (owner) => `asset_exif exif join asset on asset.id = exif.asset_id
      join album_asset on album_asset.asset_id = exif.asset_id where exif.owner_id = ${owner}`,
  })
}

async function* linesOf(sync: Sync, shape: Shape): AsyncGenerator<Part> {
  const { backfill, update, create, fields, join, id } = shape
  const came = 'album_asset.update_id'
  yield* backfills(sync, {
    backfill,
    ordinary: create,
    of: 'album',
    select: ({ sourceId, isOlder, ack }) =>
      `select ${lineSql(backfill, fields, ack(came))} from album_asset ${join}
       where album_asset.album_id = ${uuidSql(sourceId)} and ${isOlder(came)} order by ${came}`,
  })
  const created = sync.checkpoints.get(create)
  if (created !== undefined) {
    // By owner, so that it costs what has changed, and not what is in the albums.
    yield {
      select: `select changed.line from app_user cross join lateral (
          select ${lineSql(update, fields, ackSql(sync, id))} as line, ${id} as id
          from ${shape.changedOf('app_user.id')}${afterCheckpoint(sync, update, id)}
            and ${came} <= ${uuidSql(created.id)} and album_asset.album_id in ${albumsOf(sync)}) as changed
        order by changed.id`,
    }
  }
  yield {
    // What is sent now is as new as the snapshot: changes from here on.
    before: ackLine(`${update}|${sync.bound}`),
    select: `select ${lineSql(create, fields, ackSql(sync, came))} from album_asset ${join}
      where album_asset.album_id in ${albumsOf(sync)}${afterCheckpoint(sync, create, came)} order by ${came}`,
  }
}
