/**
 * Taking in what somebody uploads. Bytes are staged, hashed and on the platter before anything here runs;
 * what counts is the one transaction in which the asset, its objects and its first job appear together. A
 * client that got no answer may send all of it again at any time.
 */
import { randomUUID } from 'node:crypto'
import type { Database } from '../../database/connect.ts'
import { AppError, isAppError } from '../../errors.ts'
import { formatOf } from '../../media/formats.ts'
import { advanceWhereDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import { ingestStaged } from '../../placement/uploads/ingest.ts'
import type { StagedFile } from '../../placement/uploads/stage.ts'
import type { Actor } from '../access.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { insertAsset, SameBytesArrived, type UploadFields } from '../assets/insert-asset.ts'
import { hideLivePhotoVideo, linkIfAlone } from '../assets/live-photos.ts'
import { acknowledgeSent, acknowledgeUnsent, deletedAtThisMoment, findByChecksum } from './duplicates.ts'
import { requireQuota } from './quota.ts'
import { giveSidecar, ingestSidecar, keepSidecar, linkSidecar, refuseSidecar } from './sidecars.ts'

export type Upload = {
  fileName: string
  original: StagedFile
  sidecar: StagedFile | null
  fields: UploadFields
}
export type UploadResult = { id: string; status: 'created' | 'duplicate' }

/** @throws AppError invalid for a name whose extension is of no format we keep. */
export function requireSupportedFile(fileName: string): {
  type: 'IMAGE' | 'VIDEO'
  mimeType: string
  extension: string
} {
  const format = formatOf(fileName)
  if (format === null) throw new AppError('invalid', `Unsupported file type ${fileName}`)
  return format
}

/**
 * Makes an asset of staged files. The staged files are consumed or may be discarded afterwards.
 * @throws AppError invalid (format, live photo), quota-exceeded, storage-full, unavailable
 */
export async function acceptUpload(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  upload: Upload,
): Promise<UploadResult> {
  const format = requireSupportedFile(upload.fileName)
  const known = await findByChecksum(db, actor.userId, upload.original.sha1)
  if (known && (await acknowledgeSent({ db, placement }, actor, known, upload.original))) {
    if (upload.sidecar !== null) await keepSidecar({ db, placement }, actor, known, upload.sidecar)
    await linkAgain({ db, placement }, actor, known.id, upload)
    return { id: known.id, status: 'duplicate' }
  }

  // What was written through has the asset's id in its key.
  const assetId = upload.original.writeThrough?.assetId ?? randomUUID()
  // First, so that asset and sidecar can appear in one transaction. Should we die in between, the daily sweep
  // finds it.
  const sidecarId =
    upload.sidecar && (await ingestSidecar(placement, actor, assetId, upload.sidecar, async () => undefined))
  try {
    await ingestStaged(
      placement,
      {
        kind: 'original',
        ownerId: actor.userId,
        assetId,
        contentType: format.mimeType,
        extension: format.extension,
        staged: upload.original,
        keepLocalUntilProcessed: true,
      },
      async (tx, objectId) => {
        await requireQuota(tx, actor.userId, upload.original.size)
        if (upload.fields.livePhotoVideoId) {
          await hideLivePhotoVideo(tx, actor, upload.fields.livePhotoVideoId)
        }
        await insertAsset(tx, actor, { assetId, objectId, format, upload })
        if (sidecarId) await linkSidecar(tx, assetId, sidecarId)
        await enqueueProcessing(tx, { id: assetId, ownerId: actor.userId })
      },
    )
    if (upload.fields.livePhotoVideoId) await advanceWhereDue(placement)
    return { id: assetId, status: 'created' }
  } catch (error) {
    // An error of ours is thrown before the commit; after anything else (a connection lost while committing)
    // the asset may be there with its sidecar, and the daily sweep decides.
    if (sidecarId && isAppError(error)) await refuseSidecar(db, sidecarId)
    if (!(error instanceof SameBytesArrived)) throw error
    // These bytes are gone by now; those of the other upload are proven, unless something happened since.
    const winner = await acknowledgeUnsent({ db, placement }, actor, upload.original)
    if (!winner && sidecarId) await refuseSidecar(db, sidecarId)
    if (!winner) throw deletedAtThisMoment()
    // The other upload may have brought none.
    if (upload.sidecar && sidecarId)
      await giveSidecar({ db, placement }, actor, winner, {
        objectId: sidecarId,
        sha256: upload.sidecar.sha256,
      })
    await linkAgain({ db, placement }, actor, winner.id, upload)
    return { id: winner.id, status: 'duplicate' }
  }
}

/** A still that is here already may have come without its film, or lost the answer that it is linked. */
async function linkAgain(
  parts: { db: Database; placement: Placement },
  actor: Actor,
  assetId: string,
  { fields }: Upload,
): Promise<void> {
  if (fields.livePhotoVideoId !== null) await linkIfAlone(parts, actor, assetId, fields.livePhotoVideoId)
}
