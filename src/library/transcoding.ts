import { join } from 'node:path'
import { MediaError } from '../media/media-error.ts'
import { probeFile } from '../media/probe.ts'
import { transcodeVideo } from '../media/transcode.ts'
import { ingestGenerated } from '../placement/ingest.ts'
import { releaseProcessingLease } from '../placement/leases.ts'
import { withLocalFile } from '../placement/recall.ts'
import { makeScratchFolder } from '../placement/stage.ts'
import { isOfDeletedAsset, setAssetFile } from './asset-files.ts'
import { type ProcessingParts, reasonToGiveUp } from './processing.ts'

/**
 * Makes the encoding of a video that browsers play. One that can't be made is noted on the asset, which keeps its poster
 * and its original. @throws what may succeed later (an outage, a stopped server).
 */
export async function transcodeAsset(
  { db, placement, mediaTools }: Omit<ProcessingParts, 'pictures'>,
  { assetId }: { assetId: string },
  { signal, isLastAttempt }: { signal: AbortSignal; isLastAttempt: boolean },
): Promise<void> {
  const asset = await db.selectFrom('asset').selectAll().where('id', '=', assetId).executeTakeFirst()
  if (!asset) return
  let failure: string | null = null
  try {
    const encode = async (path: string) => {
      await using scratch = await makeScratchFolder(placement)
      const facts = await probeFile(mediaTools, path, { fileName: asset.original_file_name })
      if (facts.type !== 'VIDEO') throw new MediaError('The file is not a video.')
      const outPath = join(scratch.path, 'encoded.mp4')
      const made = await transcodeVideo(mediaTools, path, facts, outPath, { signal })
      await ingestGenerated(
        placement,
        {
          kind: 'encoded-video',
          ownerId: asset.owner_id,
          assetId,
          contentType: made.contentType,
          extension: 'mp4',
          path: outPath,
        },
        (tx, objectId) =>
          setAssetFile(tx, assetId, 'encoded-video', { objectId, width: made.width, height: made.height }),
      )
    }
    await withLocalFile(placement, asset.original_object_id, 'transcoding', encode, signal)
  } catch (error) {
    if (await isOfDeletedAsset(db, assetId, error)) return
    failure = reasonToGiveUp(error, isLastAttempt)
    if (failure === null) throw error
  }
  await db.transaction().execute(async (tx) => {
    if (failure !== null) {
      await tx.updateTable('asset').set({ processing_error: failure }).where('id', '=', assetId).execute()
    }
    await releaseProcessingLease(tx, placement, asset.original_object_id)
  })
}
