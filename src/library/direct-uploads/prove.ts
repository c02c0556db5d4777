/** The end of a direct upload: its bytes are read back once, for the proof and for the pictures in one. */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { giveToAsset } from '../../placement/ledger/object-sql.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import { advanceWhereDue } from '../../placement/locations/due-advance.ts'
import { abandonWrite } from '../../placement/uploads/direct-write.ts'
import { proveWrite } from '../../placement/uploads/prove-write.ts'
import { hasCopyNow } from '../../placement/uploads/safe-copies.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { insertAsset, SameBytesArrived } from '../assets/insert-asset.ts'
import { hideLivePhotoVideo, linkIfAlone, makeOwnVideo } from '../assets/live-photos.ts'
import { restoreFromTrash } from '../assets/trash.ts'
import { type ProcessingParts, processAsset } from '../processing/processing.ts'
import { findByChecksum, isOutOfTrash, type KnownAsset, keepOutOfTrash } from '../uploads/duplicates.ts'
import { requireSupportedFile } from '../uploads/uploads.ts'
import { endUpload } from './give-up.ts'

type Parts = ProcessingParts & { log: Log }

const SAME_SHA1 = 'another file of yours has the same SHA-1'

/** Ended meanwhile: another worker was taken for dead too early. Thrown out of the transaction. */
class EndedMeanwhile extends Error {}

/**
 * Proves a confirmed upload, makes its asset and processes it, all from one reading of the bucket. Run again
 * after a kill it goes on where it was. A file that can't be processed now is left to the job for that: the
 * asset is there by then.
 * @throws what may be over later; an upload of other bytes than announced is no failure of this, it ends as
 * `failed`
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
  const known = await findByChecksum(db, upload.owner_id, upload.sha1)
  if (known && !known.originalSha256.equals(upload.sha256)) {
    await endUpload(db, uploadId, 'failed', SAME_SHA1)
    return
  }
  const repaired = known && !(await hasCopyNow(placement, known.originalId)) ? known : null
  let proof: Awaited<ReturnType<typeof proveWrite>>
  try {
    const { object_id: objectId, part_bytes: partBytes } = upload
    const expected = { objectId, sha1: upload.sha1.toString('hex'), partBytes }
    const commit = (tx: Tx) => (repaired ? repairAsset(tx, upload, repaired) : makeAsset(tx, upload))
    proof = await proveWrite(placement, expected, commit, signal)
  } catch (error) {
    if (error instanceof EndedMeanwhile) return
    if (!(error instanceof SameBytesArrived)) throw error
    await endAsDuplicate(parts, upload)
    return
  }
  if (proof.answer === 'different') {
    log.warn({ uploadId, reason: proof.reason }, 'a direct upload is not what it was announced as')
    await endUpload(db, uploadId, 'failed', proof.reason)
    return
  }
  if (repaired) {
    log.info({ uploadId, assetId: repaired.id }, 'a direct upload has repaired an asset')
    await linkAgain(parts, upload, repaired.id)
  }
  // That asset, or the video of this one, may have come out of the trash.
  if (repaired || upload.live_photo_video_id !== null) await advanceWhereDue(placement)
  try {
    await processNow(parts, repaired?.id ?? upload.asset_id, signal)
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

/** @throws EndedMeanwhile */
async function endReceived(
  tx: Tx,
  upload: Received,
  end: { state: 'done' } | { state: 'duplicate'; asset_id: string },
): Promise<void> {
  const ended = await tx
    .updateTable('direct_upload')
    .set({ ...end, ended_at: sql<Date>`now()` })
    .where('id', '=', upload.id)
    .where('state', '=', 'received')
    .executeTakeFirst()
  if (ended.numUpdatedRows !== 1n) throw new EndedMeanwhile()
}

/**
 * The asset is here and has lost its copy: what was uploaded is its original from now on, and what is left of
 * the old one goes. The bytes lie under a key of their own already, and nothing of them has to be sent again.
 * @throws SameBytesArrived where it has changed
 */
async function repairAsset(tx: Tx, upload: Received, known: KnownAsset): Promise<void> {
  await endReceived(tx, upload, { state: 'duplicate', asset_id: known.id })
  const turned = await tx
    .updateTable('asset')
    .set({ original_object_id: upload.object_id, updated_at: sql`now()` })
    .where('id', '=', known.id)
    .where('original_object_id', '=', known.originalId)
    .executeTakeFirst()
  if (turned.numUpdatedRows !== 1n) throw new SameBytesArrived()
  await giveToAsset(tx, upload.object_id, known.id)
  if (known.isEmbedded) await makeOwnVideo(tx, { userId: upload.owner_id }, known.id)
  await restoreFromTrash(tx, { userId: upload.owner_id }, [known.id])
  await markForPurge(tx, [known.originalId], 'duplicate')
  if (!known.isProcessed) await enqueueProcessing(tx, { id: known.id, ownerId: upload.owner_id })
}

async function makeAsset(tx: Tx, upload: Received): Promise<void> {
  await endReceived(tx, upload, { state: 'done' })
  const actor = { userId: upload.owner_id }
  await insertAsset(tx, actor, {
    assetId: upload.asset_id,
    objectId: upload.object_id,
    format: requireSupportedFile(upload.file_name),
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

/** As below, of a still that is here already: it may have come without its film. */
async function linkAgain(parts: Parts, upload: Received, stillId: string): Promise<void> {
  const { owner_id: userId, live_photo_video_id: videoId } = upload
  if (videoId === null) return
  await linkIfAlone(parts, { userId }, stillId, videoId).catch((error: unknown) => {
    if (!isAppError(error, 'invalid')) throw error
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

/**
 * The same bytes came by another way; ours go, and the upload names the asset that is there.
 * @throws AppError unavailable where that has no copy by now, or is gone: run again, the upload repairs it,
 *   or makes another
 */
async function endAsDuplicate(parts: Parts, upload: Received): Promise<void> {
  const { db, placement } = parts
  const winner = await findByChecksum(db, upload.owner_id, upload.sha1)
  const lost = new AppError('unavailable', 'the same file was uploaded and lost or deleted at this moment')
  if (winner && !winner.originalSha256.equals(upload.sha256)) {
    await endUpload(db, upload.id, 'failed', SAME_SHA1)
    return
  }
  // First, as in `acknowledgeSent`: whoever reads `duplicate` may delete their file, and the place with the
  // copy may turn out to have another ledger.
  if (!winner || !(await keepOutOfTrash({ db, placement }, { userId: upload.owner_id }, winner))) throw lost
  if (!(await hasCopyNow(placement, winner.originalId))) throw lost
  await linkAgain(parts, upload, winner.id)
  await db.transaction().execute(async (tx) => {
    if (!(await isOutOfTrash(tx, winner.id))) throw lost
    const ended = await tx
      .updateTable('direct_upload')
      .set({ state: 'duplicate', asset_id: winner.id, ended_at: sql<Date>`now()` })
      .where('id', '=', upload.id)
      .where('state', '=', 'received')
      .executeTakeFirst()
    if (ended.numUpdatedRows === 1n) await abandonWrite(tx, upload.object_id, { reason: 'duplicate' })
  })
}

/**
 * While the local copy is at hand. What fails is tried again, and counted, by the job that does only this.
 */
async function processNow(parts: Parts, assetId: string, signal: AbortSignal | undefined): Promise<void> {
  const { db, log } = parts
  const asset = await db
    .selectFrom('asset')
    .select(['processing', 'owner_id'])
    .where('id', '=', assetId)
    .executeTakeFirst()
  if (asset?.processing !== 'pending') return
  try {
    await processAsset(parts, { assetId }, { signal })
  } catch (error) {
    log.warn({ assetId, error: (error as Error).message }, 'processing is tried again by its own job')
    await enqueueProcessing(db, { id: assetId, ownerId: asset.owner_id })
  }
}
