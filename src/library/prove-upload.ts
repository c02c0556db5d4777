/** The end of a direct upload: its bytes are read back once, for the proof and for the pictures in one. */
import { sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import { AppError, isAppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { abandonWrite } from '../placement/direct-write.ts'
import { proveWrite } from '../placement/prove-write.ts'
import { enqueue } from '../queue/enqueue.ts'
import { EXPIRED, endUpload } from './direct-upload-rows.ts'
import { type ProcessingParts, processAsset } from './processing.ts'
import {
  demandSupportedFile,
  findByChecksum,
  hideLivePhotoVideo,
  insertAsset,
  SameBytesArrived,
} from './uploads.ts'

type Parts = ProcessingParts & { log: Log }

/** Ended meanwhile: another worker was taken for dead too early. Thrown out of the transaction. */
class EndedMeanwhile extends Error {}

/**
 * Proves a confirmed upload, makes its asset and processes it, all from one reading of the bucket. Run again after a kill it
 * goes on where it was. A file that can't be processed now is left to the job for that: the asset is there by then.
 * @throws what may be over later; an upload of other bytes than announced is no failure of this, it ends as `failed`
 */
export async function proveUpload(
  parts: Parts,
  { uploadId }: { uploadId: string },
  signal?: AbortSignal,
): Promise<void> {
  const { db, placement, log } = parts
  const upload = await loadReceived(db, uploadId)
  if (!upload) return
  if (upload.state === 'done') return processNow(parts, upload.asset_id, signal)
  let proof: Awaited<ReturnType<typeof proveWrite>>
  try {
    const { object_id: objectId, part_bytes: partBytes } = upload
    const expected = { objectId, sha1: upload.sha1.toString('hex'), partBytes }
    proof = await proveWrite(placement, expected, (tx) => makeAsset(tx, upload), signal)
  } catch (error) {
    if (error instanceof EndedMeanwhile) return
    if (!(error instanceof SameBytesArrived)) throw error
    await endAsDuplicate(db, upload)
    return
  }
  if (proof.answer === 'different') {
    log.warn({ uploadId, reason: proof.reason }, 'a direct upload is not what it was announced as')
    await endUpload(db, uploadId, 'failed', proof.reason)
    return
  }
  try {
    await processNow(parts, upload.asset_id, signal)
  } finally {
    proof.release()
  }
}

type Received = NonNullable<Awaited<ReturnType<typeof loadReceived>>>

async function loadReceived(db: Database, uploadId: string) {
  return db
    .selectFrom('direct_upload')
    .selectAll()
    .where('id', '=', uploadId)
    .where('state', 'in', ['received', 'done'])
    .executeTakeFirst()
}

async function makeAsset(tx: Tx, upload: Received): Promise<void> {
  const done = await tx
    .updateTable('direct_upload')
    .set({ state: 'done', ended_at: sql<Date>`now()` })
    .where('id', '=', upload.id)
    .where('state', '=', 'received')
    .executeTakeFirst()
  if (done.numUpdatedRows !== 1n) throw new EndedMeanwhile()
  const actor = { userId: upload.owner_id }
  await insertAsset(tx, actor, {
    assetId: upload.asset_id,
    objectId: upload.object_id,
    format: demandSupportedFile(upload.file_name),
    upload: {
      fileName: upload.file_name,
      original: { sha1: upload.sha1, size: upload.size },
      fields: {
        fileCreatedAt: upload.file_created_at,
        fileModifiedAt: upload.file_modified_at,
        isFavorite: upload.is_favorite,
        visibility: upload.visibility,
        durationMs: upload.duration_ms,
        livePhotoVideoId: await linkLivePhoto(tx, upload),
      },
    },
  })
}

/** The video may have been deleted since the upload was asked for; the still is kept all the same. */
async function linkLivePhoto(tx: Tx, upload: Received): Promise<string | null> {
  if (upload.live_photo_video_id === null) return null
  try {
    await hideLivePhotoVideo(tx, { userId: upload.owner_id }, upload.live_photo_video_id)
    return upload.live_photo_video_id
  } catch (error) {
    if (isAppError(error, 'invalid')) return null
    throw error
  }
}

/** The same bytes came by another way; ours go, and the upload names the asset that is there. */
async function endAsDuplicate(db: Database, upload: Received): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const winner = await findByChecksum(tx, upload.owner_id, upload.sha1)
    if (!winner) throw new AppError('unavailable', 'the same file was uploaded and deleted at this moment')
    const ended = await tx
      .updateTable('direct_upload')
      .set({ state: 'duplicate', asset_id: winner.id, ended_at: sql<Date>`now()` })
      .where('id', '=', upload.id)
      .where('state', '=', 'received')
      .executeTakeFirst()
    if (ended.numUpdatedRows === 1n) await abandonWrite(tx, upload.object_id)
  })
}

/** While the local copy is at hand. What fails is tried again, and counted, by the job that does only this. */
async function processNow(parts: Parts, assetId: string, signal: AbortSignal | undefined): Promise<void> {
  const { db, log } = parts
  const asset = await db.selectFrom('asset').select('processing').where('id', '=', assetId).executeTakeFirst()
  if (asset?.processing !== 'pending') return
  try {
    await processAsset(parts, { assetId }, { isLastAttempt: false, signal })
  } catch (error) {
    log.warn({ assetId, error: (error as Error).message }, 'processing is tried again by its own job')
    await enqueue(db, 'process-asset', { assetId }, { key: `process:${assetId}` })
  }
}

/** Uploads that nobody came back for, confirmed ones whose job was lost, and what ended a week ago. Returns how many. */
export async function sweepDirectUploads(db: Database): Promise<number> {
  const expired = await db
    .selectFrom('direct_upload')
    .select('id')
    .where('state', '=', 'open')
    .where('expires_at', '<', sql<Date>`now()`)
    .limit(SWEEP_BATCH)
    .execute()
  let count = 0
  for (const { id } of expired) if (await endUpload(db, id, 'abandoned', EXPIRED)) count += 1
  const { rows: forgotten } = await sql<{ id: string }>`
    select id from direct_upload where state = 'received' and not exists (
      select from graphile_worker._private_jobs job where job.key = 'prove:' || direct_upload.id)
    limit ${SWEEP_BATCH}`.execute(db)
  for (const { id } of forgotten) await enqueue(db, 'prove-upload', { uploadId: id }, { key: `prove:${id}` })
  await db.deleteFrom('direct_upload').where('ended_at', '<', sql<Date>`now() - interval '7 days'`).execute()
  return count + forgotten.length
}

const SWEEP_BATCH = 1_000
