/**
 * The removal of deleted users whose time is over, or who are to go at once. It takes what an emptied trash
 * takes, by the same way, and the row last. Each step may be killed and run again: the next sweep goes on
 * with what is left.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import { knowNoOtherLedger } from '../../placement/locations/locations.ts'
import { decideDuplicatesOfOwner, purgeUnreferencedOf } from '../../placement/maintenance/of-owner.ts'
import type { Placement } from '../../placement/placement.ts'
import { deleteAlbumsOf, ownsAlbum } from '../albums/albums.ts'
import { purgeAssets } from '../assets/trash.ts'
import { forgetUploadsOf, giveUpUploadsOf } from '../direct-uploads/give-up.ts'
import { beginRemovals, findUsersToRemove, forgetUser, holdRemoval } from '../users/deletion.ts'

const BATCH = 1_000

type Parts = { db: Database; placement: Placement; log: Log }

/**
 * Returns how many are gone. Of one whose removal fails the others are removed all the same.
 * @throws the first failure
 */
export async function removeUsers({ db, placement, log }: Parts): Promise<number> {
  let count = 0
  let failure: { error: unknown } | undefined
  // What a restored database says of users who are deleted may be long over.
  if (await knowNoOtherLedger(placement)) await beginRemovals(db)
  for (const userId of await findUsersToRemove(db)) {
    if (!(await knowNoOtherLedger(placement))) break
    try {
      if (!(await removeUser(db, userId))) continue
      log.info({ userId }, 'a deleted user was removed')
      count += 1
    } catch (error) {
      failure ??= { error }
    }
  }
  if (failure) throw failure.error
  return count
}

/** False: something came in meanwhile, and the next sweep goes on. */
async function removeUser(db: Database, userId: string): Promise<boolean> {
  await giveUpUploadsOf(db, userId, 'its user was deleted')
  await deleteAlbumsOf(db, userId)
  for (let ids = await findAssets(db, userId); ids.length > 0; ids = await findAssets(db, userId))
    await purgeAssets(db, ids)
  const purgeLeft = (tx: Tx) => purgeUnreferencedOf(tx, userId, { isReferredTo, limit: BATCH })
  while ((await db.transaction().execute(purgeLeft)) > 0);
  return db.transaction().execute(async (tx) => {
    if (!(await holdRemoval(tx, userId))) return false
    if (await ownsAlbum(tx, userId)) return false
    if ((await findAssets(tx, userId)).length > 0) return false
    if (!(await forgetUploadsOf(tx, userId))) return false
    await decideDuplicatesOfOwner(tx, userId)
    await forgetUser(tx, userId)
    return true
  })
}

async function findAssets(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db.selectFrom('asset').select('id').where('owner_id', '=', userId).limit(BATCH).execute()
  return rows.map(({ id }) => id)
}

function isReferredTo(objectId: RawBuilder<string>): RawBuilder<boolean> {
  return sql<boolean>`(exists (select from asset where original_object_id = ${objectId})
    or exists (select from asset_file where object_id = ${objectId})
    or exists (select from app_user where profile_image_object_id = ${objectId}))`
}
