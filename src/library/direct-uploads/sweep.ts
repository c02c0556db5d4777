/** Direct uploads that nobody came back for. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import type { Placement } from '../../placement/placement.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { jobExists } from '../../queue/find-jobs.ts'
import { takeUpExpired } from './confirm.ts'
import { endUpload } from './give-up.ts'
import { EXPIRED, loadUpload } from './rows.ts'

/** In one run. Others each time: those that can't be looked at keep none from it. */
const SWEEP_BATCH = 1_000

/**
 * Uploads that nobody came back for, confirmed ones whose job was lost, and what ended a week ago. Returns
 * how many. One that nobody confirmed in time and that is all there is taken up nevertheless: its client may
 * have died right before, and a ledger that is older than its bucket knows nothing of the confirmation.
 */
export async function sweepDirectUploads({
  db,
  placement,
  log,
}: {
  db: Database
  placement: Placement
  log: Log
}): Promise<number> {
  const expired = await db
    .selectFrom('direct_upload')
    .select(['id', 'owner_id'])
    .where('state', '=', 'open')
    .where('expires_at', '<', sql<Date>`now()`)
    .orderBy(sql`random()`)
    .limit(SWEEP_BATCH)
    .execute()
  let count = 0
  for (const { id, owner_id: userId } of expired) {
    try {
      const loaded = await loadUpload(db, { userId }, id)
      if (await takeUpExpired({ db, placement }, loaded)) count += 1
      else if (await endUpload(db, id, 'abandoned', EXPIRED, { isLookedAt: true })) count += 1
    } catch (error) {
      log.warn(
        { uploadId: id, error: (error as Error).message },
        'an upload that is over can not be looked at now',
      )
    }
  }
  const { rows: forgotten } = await sql<{ id: string }>`
    select id from direct_upload where state = 'received'
      and not ${jobExists('prove-upload', { uploadId: sql`direct_upload.id` })}
    order by random() limit ${SWEEP_BATCH}`.execute(db)
  for (const { id } of forgotten) await enqueue(db, 'prove-upload', { uploadId: id })
  await db.deleteFrom('direct_upload').where('ended_at', '<', sql<Date>`now() - interval '7 days'`).execute()
  return count + forgotten.length
}
