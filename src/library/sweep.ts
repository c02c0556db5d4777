/** What falls through the cracks of the library, looked for every hour. Each finding is counted and logged. */
import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import type { Log } from '../log.ts'
import type { Placement } from '../placement/placement.ts'
import { markForPurge } from '../placement/purge.ts'
import { enqueue } from '../queue/enqueue.ts'
import { giveUp } from './processing.ts'
import { sweepDirectUploads } from './prove-upload.ts'
import { purgeExpiredTrash } from './trash.ts'

export type SweepResult = {
  purgedFromTrash: number
  endedSessions: number
  processedAgain: number
  givenUp: number
  unreferencedObjects: number
  directUploads: number
}

/** Jobs are enqueued with their asset, so an asset without one is the trace of a fault. One that is younger may be in flight. */
const PENDING_GRACE = sql`interval '1 hour'`
/** Sidecars are ingested just before their asset. */
const UNREFERENCED_GRACE = sql`interval '1 day'`
const BATCH = 1_000

export async function sweepLibrary({
  db,
  placement,
  log,
}: {
  db: Database
  placement: Placement
  log: Log
}): Promise<SweepResult> {
  const result: SweepResult = {
    purgedFromTrash: await purgeExpiredTrash(db),
    endedSessions: await endExpiredSessions(db),
    givenUp: await giveUpDeadProcessing(db, placement),
    processedAgain: await processForgotten(db),
    unreferencedObjects: await purgeUnreferenced(db),
    directUploads: await sweepDirectUploads(db),
  }
  if (Object.values(result).some((count) => count > 0)) log.info(result, 'the library was swept')
  return result
}

async function endExpiredSessions(db: Database): Promise<number> {
  const ended = await db
    .deleteFrom('session')
    .where('expires_at', '<', sql<Date>`now()`)
    .returning('id')
    .execute()
  return ended.length
}

/** Assets whose attempts are all used up: say so, with the last reason, and let the local copy go. */
async function giveUpDeadProcessing(db: Database, placement: Placement): Promise<number> {
  const { rows } = await sql<{
    id: string
    owner_id: string
    original_object_id: string
    last_error: string | null
  }>`
    select asset.id, asset.owner_id, asset.original_object_id, job.last_error
    from asset join graphile_worker._private_jobs job on job.key = 'process:' || asset.id
    where asset.processing = 'pending' and job.attempts >= job.max_attempts and job.locked_at is null
    limit ${BATCH}`.execute(db)
  for (const row of rows) {
    const reason = `Processing failed every time: ${row.last_error ?? 'no reason is known'}`
    await db.transaction().execute((tx) => giveUp(tx, placement, row, reason))
  }
  return rows.length
}

async function processForgotten(db: Database): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select id from asset where processing = 'pending' and created_at < now() - ${PENDING_GRACE}
      and not exists (select from graphile_worker._private_jobs job where job.key = 'process:' || asset.id)
    limit ${BATCH}`.execute(db)
  for (const { id } of rows) await enqueue(db, 'process-asset', { assetId: id }, { key: `process:${id}` })
  return rows.length
}

/**
 * Objects that were linked but that nothing in the library refers to: a sidecar whose upload was killed before its asset.
 * Never originals: what looks like a photo without a row is for people to judge, not for a sweep.
 */
async function purgeUnreferenced(db: Database): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: string }>`
      select id from stored_object object
      where state = 'live' and is_linked and created_at < now() - ${UNREFERENCED_GRACE}
        and kind in ('sidecar', 'thumbnail', 'preview', 'fullsize', 'encoded-video', 'profile-image')
        and not exists (select from asset_file where object_id = object.id)
        and not exists (select from app_user where profile_image_object_id = object.id)
      limit ${BATCH}`.execute(tx)
    await markForPurge(
      tx,
      rows.map((row) => row.id),
    )
    return rows.length
  })
}
