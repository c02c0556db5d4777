/**
 * Which batches go: those from before the last but one that holds everything, when the last one is verified
 * wherever it belongs. So there are always two generations to read from. Only what this ledger has written
 * itself: batches of another one may say what this one has never known.
 */
import { sql } from 'kysely'
import { markForPurge } from '../lifecycle/purge.ts'
import { knowNoOtherLedger } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isCatalogueSafe } from './write-batch.ts'

/** @returns how many */
export async function retireBatches(placement: Placement): Promise<number> {
  const { db } = placement
  const snapshots = await db
    .selectFrom('catalogue_batch')
    .select(['object_id as objectId', 'number'])
    .where('is_snapshot', '=', true)
    .orderBy('number', 'desc')
    .limit(2)
    .execute()
  const [newest, before] = snapshots
  if (newest === undefined || before === undefined) return 0
  const older = await db
    .selectFrom('catalogue_batch')
    .innerJoin('stored_object as object', 'object.id', 'object_id')
    .select('object_id as objectId')
    .where('number', '<', before.number)
    .where('object.state', '=', 'live')
    .execute()
  if (older.length === 0) return 0
  for (const { objectId } of snapshots) if (!(await isCatalogueSafe(placement, objectId))) return 0
  if (!(await knowNoOtherLedger(placement))) return 0
  const ids = older.map(({ objectId }) => objectId)
  await db.transaction().execute(async (tx) => {
    await sql`select from stored_object where id = ${newest.objectId} for share`.execute(tx)
    await markForPurge(tx, ids, 'replaced')
  })
  return ids.length
}
