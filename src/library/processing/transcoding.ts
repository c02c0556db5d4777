import { join } from 'node:path'
import { MediaError } from '../../media/media-error.ts'
import { probeFile } from '../../media/probe.ts'
import { transcodeVideo } from '../../media/transcode.ts'
import { releaseProcessingLease } from '../../placement/ledger/leases.ts'
import { withLocalFile } from '../../placement/reads/recall.ts'
import { ingestGenerated } from '../../placement/uploads/ingest.ts'
import { makeScratchFolder } from '../../placement/uploads/stage.ts'
import { isOfDeletedAsset, setAssetFile } from '../assets/asset-files.ts'
import { type ProcessingParts, reasonToGiveUp } from './processing.ts'

/**
 * Makes the encoding of a video that browsers play. One that can't be made is noted on the asset, which keeps
 * its poster and its original. A photo is left alone: its error and its lease
 * belong to the processing of its picture. @throws what may succeed later (an outage, a stopped server).
 */
export async function transcodeAsset(
  { db, placement, mediaTools }: Omit<ProcessingParts, 'pictures'>,
  { assetId }: { assetId: string },
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const asset = await db.selectFrom('asset').selectAll().where('id', '=', assetId).executeTakeFirst()
  if (asset?.type !== 'VIDEO') return
  const manner = { owner: asset.owner_id, signal }
  let failure: string | null = null
  try {
    const encode = async (path: string) => {
      await using scratch = await makeScratchFolder(placement)
      const facts = await probeFile(mediaTools, path, { fileName: asset.original_file_name, ...manner })
      if (facts.type !== 'VIDEO') throw new MediaError('The file is not a video.')
      const outPath = join(scratch.path, 'encoded.mp4')
      const made = await transcodeVideo(mediaTools, path, facts, outPath, manner)
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
    failure = await reasonToGiveUp(db, assetId, error)
    if (failure === null) throw error
  }
  await db.transaction().execute(async (tx) => {
    const outcome = failure === null && { decoder_failures: 0 }
    // What an earlier try said of it is over, too; not why it has no poster.
    await tx
      .updateTable('asset')
      .set({ processing_error: failure, ...outcome })
      .where('id', '=', assetId)
      .where('processing', '<>', 'failed')
      .execute()
    await releaseProcessingLease(tx, placement, asset.original_object_id)
  })
}
