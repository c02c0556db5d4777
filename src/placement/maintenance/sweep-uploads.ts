import { sql } from 'kysely'
import { knownKey } from '../keys.ts'
import type { Placement } from '../placement.ts'
import { abortParts } from '../removal/remove.ts'
import { forgetUnfinished } from '../uploads/write-through.ts'

const BATCH = 500

/**
 * Gives up the multipart uploads whose writers died, so that nobody pays for their parts. How many. One whose
 * place is away is left to the next sweep.
 */
export async function sweepUnfinishedUploads(placement: Placement): Promise<number> {
  const dead = await placement.db
    .selectFrom('unfinished_upload')
    .select(['location_id', 'key', 'upload_id'])
    .where('lease_expires_at', '<', sql<Date>`now()`)
    // Those that can't be given up keep none from being tried.
    .orderBy(sql`random()`)
    .limit(BATCH)
    .execute()
  let count = 0
  for (const { location_id: locationId, key, upload_id: uploadId } of dead) {
    try {
      // Where no id was recorded, the writer died, or lost the answer, when it began: then those of its key,
      // which nobody else uses.
      await abortParts(placement, { locationId, key: knownKey(key), uploadId: uploadId ?? '' })
      await forgetUnfinished(placement.db, locationId, key)
      count += 1
    } catch (error) {
      placement.log.warn(
        { location: locationId, key, error: (error as Error).message },
        "an unfinished upload can't be given up now",
      )
    }
  }
  return count
}
