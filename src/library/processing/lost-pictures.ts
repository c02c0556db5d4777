/**
 * Thumbnails, previews and encodings that were lost, with a disk mostly, are made again from the originals:
 * at once where those are on a disk, and from a bucket, which bills what is read, within the daily budget
 * of reading (`reading.dailyBytes`).
 */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { isHeldAt, isReadable, lostPictures } from '../../placement/ledger/object-sql.ts'
import type { Placement } from '../../placement/placement.ts'
import { countJobs, jobExists } from '../../queue/find-jobs.ts'
import { enqueueProcessingOfMany } from '../assets/enqueue-processing.ts'
import { type ReadingBudget, spend, spentToday } from './reading-budget.ts'

/** Jobs that wait at a time: whoever pauses processing, or makes the budget smaller, is heeded soon. */
const MOST_WAITING = 500

type Lost = { id: string; ownerId: string; bytes: number; isAtHand: boolean }

/**
 * Enqueues the processing of assets whose pictures are lost, the newest first. What is archived stays as it
 * is.
 * @returns how many
 */
export async function enqueueLostPictures(
  { db, placement }: { db: Database; placement: Placement },
  budget: ReadingBudget,
): Promise<number> {
  const room = MOST_WAITING - (await countJobs(db, [{ name: 'process-asset' }]))
  if (room <= 0) return 0
  const left = budget.dailyBytes - (await spentToday(db)).bucketBytes
  const disks = [...placement.locations.values()].filter(({ kind }) => kind === 'disk')
  const original = sql`asset.original_object_id`
  const atHand = sql.join(
    disks.map(({ id }) => isHeldAt(original, id)),
    sql` or `,
  )
  const { rows } = await sql<Lost>`
    select * from (
      select asset.id, asset.owner_id as "ownerId", asset.file_size as bytes, (${atHand}) as "isAtHand",
        asset.file_created_at as at
      from asset
      where asset.id in (select asset_id from asset_file where object_id in ${lostPictures})
        and asset.processing = 'done' and asset.deleted_at is null and ${isReadable(original)}
        and not ${jobExists('process-asset', { assetId: sql`asset.id` })}) lost
    where "isAtHand" or bytes <= ${left}
    order by "isAtHand" desc, at desc limit ${room}`.execute(db)
  const chosen: Lost[] = []
  for (const one of rows)
    if (one.isAtHand || (await spend(db, one.bytes, budget.dailyBytes))) chosen.push(one)
  if (chosen.length > 0) await enqueueProcessingOfMany(db, chosen)
  return chosen.length
}
