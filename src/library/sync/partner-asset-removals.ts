/**
 * Others' assets that are gone for good, and that the client was sent as those of a partner or of an album.
 */
import { lineSql } from './line.ts'
import { ACK } from './names.ts'
import { partnersOf } from './partner-lines.ts'
import { ackSql, afterCheckpoint, type Part, type Sync, uuidSql } from './parts.ts'
import { FORGOTTEN_ASSET } from './prune.ts'

const TYPE = 'PartnerAssetDeleteV1'

/**
 * Clients keep one asset of an owner and a checksum: without this, the same photo, uploaded again and shared
 * again, could never be stored. Those that go while they are in an album of the user's, or a partner's, are
 * told at once.
 */
export function* partnerAssetRemovals(sync: Sync): Generator<Part> {
  // First: of lines of one type that follow each other, clients acknowledge the last.
  yield replacedInAlbums(sync)
  yield removedMeanwhile(sync)
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
 * Those that are about to be replaced in an album: the client may have been told of them in an album that the
 * user has left, or that they were taken out of.
 */
function replacedInAlbums(sync: Sync): Part {
  return withoutCheckpoint(`
    select distinct removal.subject_id as id from album_user mine
    join album_asset on album_asset.album_id = mine.album_id
      and album_asset.update_id > ${sinceOf(sync, 'AlbumAssetCreateV2', 'AlbumAssetBackfillV2')}
    join asset on asset.id = album_asset.asset_id and asset.owner_id <> mine.user_id
    ${ONCE_THERE}
    where mine.user_id = ${uuidSql(sync.userId)}`)
}

/**
 * Those of a partner who did not share for a while: the client was not told, and has acknowledged later
 * removals. And those that are about to be replaced, however long ago that was, or should it have been cut
 * off before it heard.
 */
function removedMeanwhile(sync: Sync): Part {
  const me = uuidSql(sync.userId)
  const told = sync.checkpoints.get(TYPE)
  const backfill = 'PartnerAssetBackfillV2'
  const replaced = `
    select distinct removal.subject_id as id from partner mine
    join asset on asset.owner_id = mine.shared_by_id and asset.update_id > ${sinceOf(sync, 'PartnerAssetV2', backfill)}
    ${ONCE_THERE}
    where mine.shared_with_id = ${me}`
  const missed = (reached: string) => `
    select removal.subject_id from partner mine
    join sync_removal removal on removal.kind = 'asset' and removal.scope_id = mine.shared_by_id
    where mine.shared_with_id = ${me} and removal.id <= ${uuidSql(reached)} and ${isLate(sync, backfill)}`
  return withoutCheckpoint([replaced, ...(told === undefined ? [] : [missed(told.id)])].join(' union '))
}

/** `removal` of an asset whose owner has `asset` now, of the same checksum. In SQL. */
const ONCE_THERE = `join sync_removal removal on removal.kind in ('asset', '${FORGOTTEN_ASSET}')
  and removal.scope_id = asset.owner_id and removal.checksum = asset.checksum`

/** Whether `mine` came after the others that the client is in step with. In SQL. */
function isLate({ checkpoints }: Sync, backfill: string): string {
  const begun = checkpoints.get(backfill)
  if (begun === undefined) return 'true'
  return `mine.create_id ${begun.extra === 'complete' ? '>' : '>='} ${uuidSql(begun.id)}`
}

/** Behind which id the client is sent what `mine` has. In SQL. */
function sinceOf(sync: Sync, ordinary: string, backfill: string): string {
  const reached = sync.checkpoints.get(ordinary)
  if (reached === undefined) return 'sync_floor(0)'
  return `case when ${isLate(sync, backfill)} then sync_floor(0) else ${uuidSql(reached.id)} end`
}

/** These lines move no checkpoint: what they acknowledge is ignored. */
function withoutCheckpoint(removed: string): Part {
  const line = lineSql(TYPE, [['assetId', 'uuid', 'removed.id']], 'removed.id', ACK)
  return { select: `select ${line} from (${removed}) as removed` }
}
