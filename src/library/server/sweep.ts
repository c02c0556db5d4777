/**
 * What falls through the cracks of the library, looked for every hour. Each finding is counted and logged.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import { knowNoOtherLedger } from '../../placement/locations/locations.ts'
import {
  findUnreferenced,
  findUnreferencedTwins,
  holdUnreferenced,
} from '../../placement/maintenance/unreferenced.ts'
import type { Placement } from '../../placement/placement.ts'
import { DEAD_JOBS, jobExists } from '../../queue/find-jobs.ts'
import { jobKeySql } from '../../queue/job-keys.ts'
import { enqueueProcessingOfMany } from '../assets/enqueue-processing.ts'
import { purgeExpiredTrash } from '../assets/trash.ts'
import { endExpiredSessions } from '../credentials/sessions.ts'
import { sweepDirectUploads } from '../direct-uploads/sweep.ts'
import { giveUp } from '../processing/processing.ts'
import { pruneRemovals } from '../sync/prune.ts'
import { removeUsers } from './remove-users.ts'

export type SweepResult = {
  purgedFromTrash: number
  endedSessions: number
  processedAgain: number
  givenUp: number
  unreferencedObjects: number
  directUploads: number
  removedUsers: number
  prunedRemovals: number
}

/**
 * Jobs are enqueued with their asset, so an asset without one is the trace of a fault. One that is younger
 * may be in flight.
 */
const PENDING_GRACE = sql`interval '1 hour'`
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
  // What a restored database says of the trash, and of files that nothing refers to, may be long over.
  const mayPurge = await knowNoOtherLedger(placement)
  const result: SweepResult = {
    purgedFromTrash: mayPurge ? await purgeExpiredTrash(db) : 0,
    endedSessions: await endExpiredSessions(db),
    givenUp: await giveUpDeadProcessing(db, placement),
    processedAgain: await processForgotten(db),
    unreferencedObjects: mayPurge ? (await purgeUnreferenced(db)) + (await purgeUnreferencedTwins(db)) : 0,
    directUploads: await sweepDirectUploads({ db, placement, log }),
    removedUsers: await removeUsers({ db, placement, log }),
    prunedRemovals: await pruneRemovals(db),
  }
  if (Object.values(result).some((count) => count > 0)) log.info(result, 'the library was swept')
  return result
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
    from asset join ${DEAD_JOBS} as job on job.key = ${jobKeySql('process-asset', { assetId: sql`asset.id` })}
    where asset.processing = 'pending'
    limit ${BATCH}`.execute(db)
  for (const row of rows) {
    const reason = `Processing failed every time: ${row.last_error ?? 'no reason is known'}`
    await db.transaction().execute((tx) => giveUp(tx, placement, row, reason))
  }
  return rows.length
}

async function processForgotten(db: Database): Promise<number> {
  const { rows } = await sql<{ id: string; ownerId: string }>`
    select id, owner_id as "ownerId" from asset where processing = 'pending' and created_at < now() - ${PENDING_GRACE}
      and not ${jobExists('process-asset', { assetId: sql`asset.id` })}
    limit ${BATCH}`.execute(db)
  await enqueueProcessingOfMany(db, rows)
  return rows.length
}

/**
 * Generated files that nothing in the library refers to: they are made again whenever they are needed. Never
 * what somebody uploaded: what looks like a photo without a row is for people to judge, not for a sweep.
 */
async function purgeUnreferenced(db: Database): Promise<number> {
  const wanted = {
    kinds: ['thumbnail', 'preview', 'fullsize', 'encoded-video'],
    isReferredTo: isFileOfAsset,
    limit: BATCH,
  } as const
  return db.transaction().execute(async (tx) => {
    const held = await holdUnreferenced(tx, await findUnreferenced(tx, wanted), wanted)
    await markForPurge(tx, held, 'replaced')
    return held.length
  })
}

/**
 * A sidecar whose upload was killed before its asset, or a picture that was replaced by a killed process:
 * gone when the same bytes are kept for the same person as a file that is referred to, which is looked at
 * before. Others stay.
 */
async function purgeUnreferencedTwins(db: Database): Promise<number> {
  const wanted = {
    kinds: ['sidecar', 'profile-image'],
    isReferredTo: (objectId: RawBuilder<string>) => sql<boolean>`(${isFileOfAsset(objectId)}
      or exists (select from app_user where profile_image_object_id = ${objectId}))`,
    limit: BATCH,
  } as const
  return db.transaction().execute(async (tx) => {
    const held = await holdUnreferenced(tx, await findUnreferencedTwins(tx, wanted), wanted)
    await markForPurge(tx, held, 'duplicate')
    return held.length
  })
}

function isFileOfAsset(objectId: RawBuilder<string>): RawBuilder<boolean> {
  return sql<boolean>`exists (select from asset_file where object_id = ${objectId})`
}
