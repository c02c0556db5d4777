/** Which assets have which tags. A tag is its owner's own, so that partners' assets may have it, too. */
import { sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { type Actor, findAllowedAssets, requireOwned } from '../access.ts'
import { type BulkResult, resultsOfAddition, resultsOfRemoval } from '../bulk-result.ts'

/** Of one request: so many rows take some seconds. */
const MAX_PAIRS = 1_000_000

/** One answer for each id, in the order given. @throws AppError invalid unless the tag is the actor's */
export async function tagAssets(
  db: Database,
  actor: Actor,
  tagId: string,
  assetIds: readonly string[],
): Promise<BulkResult[]> {
  return db.transaction().execute(async (tx) => {
    await requireOwned(tx, actor, 'tag', [tagId], 'tag.asset')
    const allowed = await findAllowedAssets(tx, actor, assetIds, 'asset.share')
    const added = await insertPairs(tx, actor, [tagId], [...allowed])
    return resultsOfAddition(assetIds, allowed, new Set(added))
  })
}

/** Takes the tag from them. @throws AppError invalid unless the tag is the actor's */
export async function untagAssets(
  db: Database,
  actor: Actor,
  tagId: string,
  assetIds: readonly string[],
): Promise<BulkResult[]> {
  await requireOwned(db, actor, 'tag', [tagId], 'tag.asset')
  const { rows } = await sql<{ id: string }>`
    delete from tag_asset where tag_id = ${tagId}::uuid and asset_id = any(${uuidArray(assetIds)}::uuid[])
    returning asset_id as id`.execute(db)
  return resultsOfRemoval(assetIds, new Set(rows.map(({ id }) => id)))
}

/**
 * Gives all of the tags to all of the assets; what is not the actor's is left out. Returns how many pairs are
 * new. @throws AppError invalid for more than a million pairs
 */
export async function tagManyAssets(
  db: Database,
  actor: Actor,
  tagIds: readonly string[],
  assetIds: readonly string[],
): Promise<number> {
  if (tagIds.length * assetIds.length > MAX_PAIRS) {
    throw new AppError('invalid', `tagIds, assetIds: at most ${MAX_PAIRS} pairs in one request; send fewer`)
  }
  return db.transaction().execute(async (tx) => {
    const allowed = await findAllowedAssets(tx, actor, assetIds, 'asset.update')
    const added = await insertPairs(tx, actor, tagIds, [...allowed])
    return added.length
  })
}

/** The assets of the new pairs; what was deleted meanwhile is left out. */
async function insertPairs(
  tx: Queryable,
  actor: Actor,
  tagIds: readonly string[],
  assetIds: readonly string[],
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    insert into tag_asset (tag_id, asset_id)
    select given.id, asset.id
    from (select id from tag where id = any(${uuidArray(tagIds)}::uuid[]) and owner_id = ${actor.userId}::uuid
      order by id for key share) as given
    cross join (select id from asset where id = any(${uuidArray(assetIds)}::uuid[]) order by id for key share) as asset
    order by given.id, asset.id
    on conflict do nothing returning asset_id as id`.execute(tx)
  return rows.map(({ id }) => id)
}
