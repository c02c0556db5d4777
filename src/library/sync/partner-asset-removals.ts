/** Others' assets that are gone for good, and that the client was sent as those of a partner or of an album. */
import { lineSql } from './line.ts'
import { ACK } from './names.ts'
import { partnersOf } from './partner-lines.ts'
import { ackSql, afterCheckpoint, type Part, type Sync, uuidSql } from './parts.ts'

const TYPE = 'PartnerAssetDeleteV1'

/**
 * Clients keep one asset of an owner and a checksum: without this, the same photo, uploaded again and shared again,
 * could never be stored. Those that go while they are in an album of the user's are told at once.
 */
export function* partnerAssetRemovals(sync: Sync): Generator<Part> {
  // First: of lines of one type that follow each other, clients acknowledge the last.
  yield replacedAssets(sync, 'AlbumAssetCreateV2', {
    backfill: 'AlbumAssetBackfillV2',
    from: 'album_user mine join album_asset on album_asset.album_id = mine.album_id',
    id: 'album_asset.update_id',
    asset: 'asset.id = album_asset.asset_id and asset.owner_id <> mine.user_id',
    user: 'mine.user_id',
  })
  yield replacedAssets(sync, 'PartnerAssetV2', {
    backfill: 'PartnerAssetBackfillV2',
    from: 'partner mine',
    id: 'asset.update_id',
    asset: 'asset.owner_id = mine.shared_by_id',
    user: 'mine.shared_with_id',
  })
  yield removedAssets(sync)
}

/** In one statement: they have one checkpoint, and so one order. */
function removedAssets(sync: Sync): Part {
  const me = uuidSql(sync.userId)
  const owners = partnersOf(sync)
  const later = afterCheckpoint(sync, TYPE, 'removal.id')
  return {
    select: `select ${lineSql(TYPE, [['assetId', 'uuid', 'gone.asset_id']], ackSql(sync, 'gone.id'))} from (
        select removal.id, removal.subject_id as asset_id from sync_removal removal
        where removal.kind = 'asset' and removal.scope_id in ${owners}${later}
        union all
        select removal.id, removal.subject_id from sync_removal removal
        where removal.kind = 'album_asset' and removal.is_gone
          and removal.scope_id in (select album_id from album_user where user_id = ${me})
          and not exists (select from sync_removal told where told.kind = 'asset'
            and (told.scope_id = ${me} or told.scope_id in ${owners}) and told.subject_id = removal.subject_id)${later}
      ) as gone order by gone.id`,
  }
}

/**
 * Those that are about to be replaced by what an album or a partner has: the client may have been told of them by one
 * that it hears of no more, or that it did not hear of for a while. These lines move no checkpoint: what they
 * acknowledge is ignored.
 */
function replacedAssets(
  sync: Sync,
  ordinary: string,
  {
    backfill,
    from,
    id,
    asset,
    user,
  }: { backfill: string; from: string; id: string; asset: string; user: string },
): Part {
  const reached = sync.checkpoints.get(ordinary)
  const begun = sync.checkpoints.get(backfill)
  const isLate =
    begun === undefined
      ? 'true'
      : `mine.create_id ${begun.extra === 'complete' ? '>' : '>='} ${uuidSql(begun.id)}`
  const since =
    reached === undefined
      ? 'sync_floor(0)'
      : `case when ${isLate} then sync_floor(0) else ${uuidSql(reached.id)} end`
  const line = lineSql(TYPE, [['assetId', 'uuid', 'replaced.id']], 'replaced.id', ACK)
  return {
    select: `select ${line} from (
        select distinct removal.subject_id as id from ${from}
        join asset on ${asset} and ${id} > ${since}
        join sync_removal removal on removal.kind = 'asset' and removal.scope_id = asset.owner_id
          and removal.checksum = asset.checksum
        where ${user} = ${uuidSql(sync.userId)}) as replaced`,
  }
}
