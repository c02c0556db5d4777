/** Others' assets that are gone for good, and that the client was sent as those of an album. */
import { lineSql } from './line.ts'
import { ACK } from './names.ts'
import { type Part, removals, type Sync, uuidSql } from './parts.ts'
import { FORGOTTEN_ASSET } from './prune.ts'

/**
 * Clients keep one asset of an owner and a checksum: without this, the same photo, uploaded again and put into the
 * album again, could never be stored. Those that go while they are in an album of the user's are told at once.
 */
export function* partnerAssets(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  // First: of lines of one type that follow each other, clients acknowledge the last.
  yield replacedAssets(sync)
  yield removals(sync, {
    type: 'PartnerAssetDeleteV1',
    kind: 'album_asset',
    scope: `removal.is_gone and removal.scope_id in (select album_id from album_user where user_id = ${me})
      and not exists (select from sync_removal own
        where own.kind = 'asset' and own.scope_id = ${me} and own.subject_id = removal.subject_id)`,
    fields: [['assetId', 'uuid', 'removal.subject_id']],
  })
}

/**
 * Those that are about to be replaced in an album: the client may have been told of them in an album that the user
 * has left, or that they were taken out of. These lines move no checkpoint: what they acknowledge is ignored.
 */
function replacedAssets(sync: Sync): Part {
  const created = sync.checkpoints.get('AlbumAssetCreateV2')
  const begun = sync.checkpoints.get('AlbumAssetBackfillV2')
  const joined =
    begun === undefined
      ? 'true'
      : `mine.create_id ${begun.extra === 'complete' ? '>' : '>='} ${uuidSql(begun.id)}`
  const since =
    created === undefined
      ? 'sync_floor(0)'
      : `case when ${joined} then sync_floor(0) else ${uuidSql(created.id)} end`
  const line = lineSql('PartnerAssetDeleteV1', [['assetId', 'uuid', 'replaced.id']], 'replaced.id', ACK)
  return {
    select: `select ${line} from (
        select distinct removal.subject_id as id from album_user mine
        join album_asset on album_asset.album_id = mine.album_id and album_asset.update_id > ${since}
        join asset on asset.id = album_asset.asset_id and asset.owner_id <> mine.user_id
        join sync_removal removal on removal.kind in ('asset', '${FORGOTTEN_ASSET}') and removal.scope_id = asset.owner_id
          and removal.checksum = asset.checksum
        where mine.user_id = ${uuidSql(sync.userId)}) as replaced`,
  }
}
