/** Whose files campaigns may move, and which are in albums. */
import { type RawBuilder, sql } from 'kysely'
import type { Reach } from '../../placement/migration/selection.ts'
import type { Placement } from '../../placement/placement.ts'
import { isChosen } from '../uploads/upload-strategy.ts'

/** By `storage.rollout`: those who have the new upload strategy. */
export async function campaignReach({ db, settings }: Pick<Placement, 'db' | 'settings'>): Promise<Reach> {
  const { rollout } = settings
  if (rollout === null) return { ownerIds: null, isInAlbums }
  const users = await db.selectFrom('app_user').select(['id as userId', 'email']).execute()
  return { ownerIds: users.filter((user) => isChosen(rollout, user)).map(({ userId }) => userId), isInAlbums }
}

/** The original of an asset in one of them, a file that was made of it, or the film of a live photo. */
function isInAlbums(objectId: RawBuilder<string>, albumIds: readonly string[]): RawBuilder<boolean> {
  return sql<boolean>`${objectId} in (
    with shown as materialized (
      select unnest(array[a.id, a.live_photo_video_id]) as id from album_asset aa join asset a on a.id = aa.asset_id
      where aa.album_id = any(${[...albumIds]}::uuid[]))
    select a.original_object_id from shown join asset a using (id)
    union select f.object_id from shown join asset_file f on f.asset_id = shown.id)`
}
